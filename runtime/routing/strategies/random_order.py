"""At random, each request anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["RandomOrder"]


class RandomOrder(Strategy):
    """Every order is equally likely."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return rng.sample(choices, len(choices))
