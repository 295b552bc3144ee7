"""The least busy first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["LeastUsed"]


class LeastUsed(Strategy):
    """Fewest calls under way, then fewest since the start, then as written."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return sorted(choices, key=lambda choice: (view.in_flight(choice), view.used(choice)))
