"""Chance that can be had again: numbers drawn from a seed that costs nothing to set."""

from __future__ import annotations

from random import Random
from typing import Final

from typing_extensions import override

__all__ = ["Draws"]

_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15


class Draws(Random):
    """SplitMix64 (Steele, Lea, Flood 2014): every request draws from a seed of its own, which can then be written down.

    The standard generator takes longer to seed than a request takes to be routed.
    """

    def __init__(self) -> None:
        self._state = 0
        super().__init__(0)

    def begin(self, seed: int) -> None:
        """From here on the draws that belong to ``seed``."""
        self._state = seed

    @override
    def random(self) -> float:
        return (self._next() >> 11) * 2.0**-53

    @override
    def getrandbits(self, k: int, /) -> int:
        bits, have = 0, 0
        while have < k:
            bits |= self._next() << have
            have += 64
        return bits >> (have - k)

    def _next(self) -> int:
        self._state = state = (self._state + _GAMMA) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)
