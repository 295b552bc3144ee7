"""Limits of what keys, tenants, combos and policies use: put aside before a call, counted after it, by all workers together."""
