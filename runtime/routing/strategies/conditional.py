"""Those with conditions first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["Conditional"]


class Conditional(Strategy):
    """Targets with conditions, all of which hold here, then those that take any request; both as written."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return sorted(choices, key=lambda choice: not choice.conditional)
