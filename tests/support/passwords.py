"""Passwords of people that tests log in as, cheap to compare with: what comparing costs stands in the hash."""

from __future__ import annotations

from functools import cache
from unittest import mock

from argon2 import PasswordHasher

__all__ = ["compare_quickly", "quick_hash"]


@cache
def quick_hash(plain: str) -> str:
    """As `runtime.web.password` stores one, but for how hard it is."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(plain)


def compare_quickly() -> None:
    """From now on all passwords of this process are so, and of those that it forks: the decoy, and new ones."""
    mock.patch.multiple("runtime.web.password", _TIME=1, _MEMORY_KIB=8, _DECOY=quick_hash("nobody's")).start()
