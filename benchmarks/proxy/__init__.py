"""Gateways measured side by side, between a load generator and a provider that cost next to nothing."""
