"""Settings and catalogue to the entities of a plan: providers, connections, models, routes, keys; one module each."""
