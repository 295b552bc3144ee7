"""The cheapest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["CostOptimized"]


class CostOptimized(Strategy):
    """By the price of a nominal call, as much sent as answered; those without a known price last; else as written."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return sorted(choices, key=_price)


def _price(choice: Choice) -> tuple[bool, int]:
    return choice.price_nano_usd is None, choice.price_nano_usd or 0
