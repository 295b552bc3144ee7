"""One after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["RoundRobin"]


class RoundRobin(Strategy):
    """Each request begins one further than the one before, and goes round."""

    def __init__(self) -> None:
        self._next = 0

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        start = self._next % len(choices)
        self._next += 1
        return (*choices[start:], *choices[:start])

    @override
    def memory(self) -> tuple[int | None, ...]:
        return (self._next,)

    @override
    def recall(self, memory: tuple[int | None, ...]) -> None:
        self._next = memory[0] or 0
