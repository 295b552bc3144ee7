"""gateway.yaml to a plan, and what can be asked of plans: resolve, explain, compare. Import its modules by name."""
