"""The one first that answered last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["LastKnownGood"]


class LastKnownGood(Strategy):
    """Who answered the last request of this combo, then as written."""

    def __init__(self) -> None:
        self._good: int | None = None

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return sorted(choices, key=lambda choice: choice.key != self._good)

    @override
    def memory(self) -> tuple[int | None, ...]:
        return (self._good,)

    @override
    def recall(self, memory: tuple[int | None, ...]) -> None:
        self._good = memory[0]

    @override
    def served(self, choice: Choice) -> None:
        self._good = choice.key
