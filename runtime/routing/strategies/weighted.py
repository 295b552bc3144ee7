"""Shares by weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["Weighted"]


class Weighted(Strategy):
    """One draw after the other, each by weight among those that are left. Those of weight 0 come last, as written."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        left = [choice for choice in choices if choice.weight > 0]
        while left:
            (drawn,) = rng.choices(left, [choice.weight for choice in left])
            left.remove(drawn)
            yield drawn
        yield from (choice for choice in choices if choice.weight == 0)
