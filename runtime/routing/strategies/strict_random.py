"""At random, but evenly: a shuffled deck."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["StrictRandom"]


class StrictRandom(Strategy):
    """Each is first once per round, and never twice running, across rounds too. The rest follows at random."""

    def __init__(self) -> None:
        self._deck: list[int] = []
        self._last: int | None = None

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        by_key = {choice.key: choice for choice in choices}
        first = by_key[self._draw(by_key.keys(), rng)]
        rest = [choice for choice in choices if choice is not first]
        return (first, *rng.sample(rest, len(rest)))

    @override
    def memory(self) -> tuple[int | None, ...]:
        return (self._last, *self._deck)

    @override
    def recall(self, memory: tuple[int | None, ...]) -> None:
        self._last = memory[0]
        self._deck = [key for key in memory[1:] if key is not None]

    def _draw(self, keys: AbstractSet[int], rng: Random) -> int:
        held = [key for key in self._deck if key in keys]
        if held:
            key = held[0]
            self._deck.remove(key)
        else:
            fresh = rng.sample(sorted(keys), len(keys))
            if len(fresh) > 1 and fresh[0] == self._last:
                other = rng.randrange(1, len(fresh))
                fresh[0], fresh[other] = fresh[other], fresh[0]
            key = fresh[0]
            self._deck += fresh[1:]
        self._last = key
        return key
