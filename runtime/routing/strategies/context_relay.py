"""A session stays where it is until that can go on no longer, and moves as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["ContextRelay"]

_ROUNDING: Final = 1e-9


class ContextRelay(Strategy):
    """Where its session is, then those behind it as written, then those before it; without a session as written.

    So a session whose target failed goes on with the next one, and stays there: it does not come back when the first one
    recovers. Who has used up ``handoff_percent`` of a quota comes behind those that have not.
    """

    def __init__(self, handoff_percent: int = 100) -> None:
        self._least = (100 - handoff_percent) / 100 + _ROUNDING

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        at = next((index for index, choice in enumerate(choices) if view.bound(choice)), 0)
        ahead = (*choices[at:], *choices[:at])
        return sorted(ahead, key=lambda choice: view.headroom(choice) <= self._least)
