"""Ids of calls: the worker's name, and behind it 64 random bits.

Clients are told them. Numbers in their place would tell each of them how many calls the others made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["call_ids"]

DRAWN: Final = 256
"""So many ids are drawn at once: to ask the system for each takes longer than all else."""

_BYTES: Final = 8


def call_ids(worker: str, random: Callable[[int], bytes]) -> Iterator[str]:
    """Ids without end; ``random`` gives so many random bytes."""
    prefix, digits = f"{worker}-", 2 * _BYTES
    while True:
        drawn = random(_BYTES * DRAWN).hex()
        yield from [prefix + drawn[at : at + digits] for at in range(0, len(drawn), digits)]
