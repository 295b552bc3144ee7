"""Passwords of people that tests log in as, cheap to compare with: what comparing costs stands in the hash."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher

__all__ = ["quick_hash"]


@cache
def quick_hash(plain: str) -> str:
    """As `runtime.web.password` stores one, but for how hard it is."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(plain)
