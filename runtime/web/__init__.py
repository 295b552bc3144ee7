"""What generated routes lean on: raw exchanges, keys, problem responses. Knows no protocol, no provider, no service."""
