"""Quantiles of many values in little memory: a histogram of log-linear buckets, whose merging loses nothing.

Every power of two is cut into 64 buckets of one width, and a bucket stands for its middle. A value is therefore told with a
relative error of at most 1/128 (0.79 %), and a quantile is the value of the right rank within that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, floor, frexp, ldexp
from typing import Final

__all__ = ["RELATIVE_ERROR", "Sketch"]

RELATIVE_ERROR: Final = 1 / 128
_PER_OCTAVE: Final = 64
_PER_UNIT: Final = 2 * _PER_OCTAVE
"""A mantissa goes over half a unit in one octave."""
_LEAST: Final = 1e-9


class Sketch:
    """Of values above 0; what is not counts as the smallest that can be told, a billionth."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets or {})

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.buckets.values())

    def add(self, value: float) -> None:
        told = value if value > _LEAST else _LEAST  # noqa: FURB136 — a call of `max` takes as long as all of the rest
        mantissa, exponent = frexp(told)  # a mantissa is 0.5 at least and less than 1
        index = exponent * _PER_OCTAVE + floor((mantissa - 0.5) * _PER_UNIT)
        try:
            self.buckets[index] += 1
        except KeyError:
            self.buckets[index] = 1

    def merge(self, other: Sketch) -> None:
        """Add what the other one has: the same as if its values had been added here."""
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """For each share the smallest value that so many are not above; 0 where there is none."""
        ordered, count = sorted(self.buckets), self.count
        return [self._at(ordered, max(1, ceil(share * count))) for share in shares]

    def _at(self, ordered: Iterable[int], rank: int) -> float:
        below = 0
        for index in ordered:
            below += self.buckets[index]
            if below >= rank:
                exponent, part = divmod(index, _PER_OCTAVE)
                return ldexp(0.5 + (part + 0.5) / _PER_UNIT, exponent)
        return 0.0
