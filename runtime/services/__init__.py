"""Implements the generated APIs, one module per resource."""
