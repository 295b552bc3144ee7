"""How a branch's choices are put in order: by its strategy now, with what that depended on noted; or as it was before.

An order is a function of the choices, of what the view answered, of what the strategy remembered, and of a seed. All four
are noted, so that the same function gives the same order later, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View
from runtime.routing.drawing import Draws
from runtime.routing.kept import BY_SESSION
from runtime.routing.tree import Branch
from runtime.telemetry import Ordering
from runtime.telemetry.trail import Figure, Step

__all__ = ["Chance", "Noting", "SeenView", "order_again"]

_AS_WRITTEN: Final = frozenset({"priority", "fill-first"})
"""Strategies that look at nothing, draw nothing and remember nothing."""


class Chance:
    """Where seeds come from. One per process; each seed is used up before another is taken."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._draws = Draws()

    def seed(self) -> int:
        return self._rng.getrandbits(32)

    def of(self, seed: int) -> Random:
        """The draws of ``seed``; until the next call."""
        self._draws.begin(seed)
        return self._draws


class Noting:
    """Orders by the strategies, and notes how in ``trail``."""

    def __init__(self, view: View, chance: Chance, trail: list[Step], beginning: bytes = b"") -> None:
        """``beginning`` stands for the beginning of the conversation, where it is known (`Steering`)."""
        self._beginning = beginning
        self._view = view
        self._chance = chance
        self._trail = trail

    def order(self, branch: Branch, choices: Sequence[Choice]) -> Sequence[Choice]:
        """Those of ``branch`` whose conditions hold are ``choices``."""
        if branch.rule in _AS_WRITTEN:
            self._trail.append(Ordering(branch.entity, branch.rule, choices, 0, (), [], choices))
            return choices
        seen: list[Figure] = []
        alike = branch.rule == "prefix-affinity" and self._beginning
        seed = int.from_bytes(self._beginning[:4], "big") if alike else self._chance.seed()
        memory = branch.strategy.memory()
        ordered: Sequence[Choice] = choices
        if len(choices) > 1:
            view, rng = SeenView(self._view, seen), self._chance.of(seed)
            ordered = tuple(branch.strategy.order(choices, view, rng))
        self._trail.append(Ordering(branch.entity, branch.rule, choices, seed, memory, seen, ordered))
        return ordered

    def kept(self, branch: Branch, choices: Sequence[Choice], first: Choice) -> None:
        """The request's session put ``first`` before the others of ``choices``."""
        self._trail.append(Ordering(branch.entity, BY_SESSION, choices, 0, (), [], (first,)))


class SeenView(View):
    """Asks another view and remembers the answers."""

    __slots__ = ("_seen", "_view")

    def __init__(self, view: View, seen: list[Figure]) -> None:
        self._view = view
        self._seen = seen

    @override
    def in_flight(self, choice: Choice) -> int:
        found = self._view.in_flight(choice)
        self._seen.append(("in_flight", choice.key, found))
        return found

    @override
    def used(self, choice: Choice) -> int:
        found = self._view.used(choice)
        self._seen.append(("used", choice.key, found))
        return found

    @override
    def latency_s(self, choice: Choice) -> float | None:
        found = self._view.latency_s(choice)
        self._seen.append(("latency_s", choice.key, found))
        return found

    @override
    def success(self, choice: Choice) -> float:
        found = self._view.success(choice)
        self._seen.append(("success", choice.key, found))
        return found

    @override
    def ready(self, choice: Choice) -> bool:
        found = self._view.ready(choice)
        self._seen.append(("ready", choice.key, found))
        return found

    @override
    def headroom(self, choice: Choice) -> float:
        found = self._view.headroom(choice)
        self._seen.append(("headroom", choice.key, found))
        return found

    @override
    def bound(self, choice: Choice) -> bool:
        found = self._view.bound(choice)
        self._seen.append(("bound", choice.key, found))
        return found


class _Remembered(View):
    """Answers what was seen. Raises KeyError for what nobody asked."""

    def __init__(self, seen: Iterable[Figure]) -> None:
        self._seen: Mapping[tuple[str, int], float | None] = {(what, key): value for what, key, value in seen}

    @override
    def in_flight(self, choice: Choice) -> int:
        return int(self._seen["in_flight", choice.key] or 0)

    @override
    def used(self, choice: Choice) -> int:
        return int(self._seen["used", choice.key] or 0)

    @override
    def latency_s(self, choice: Choice) -> float | None:
        return self._seen["latency_s", choice.key]

    @override
    def success(self, choice: Choice) -> float:
        return self._seen["success", choice.key] or 0.0

    @override
    def ready(self, choice: Choice) -> bool:
        return bool(self._seen["ready", choice.key])

    @override
    def headroom(self, choice: Choice) -> float:
        return self._seen["headroom", choice.key] or 0.0

    @override
    def bound(self, choice: Choice) -> bool:
        return bool(self._seen["bound", choice.key])


def order_again(
    fresh: Strategy, choices: Sequence[Choice], seed: int, memory: tuple[int | None, ...], seen: Iterable[Figure]
) -> tuple[Choice, ...]:
    """The order that a ``fresh`` strategy gives for these inputs: the same that was given when they were noted.

    Raises KeyError where it looks at something that was not looked at then: it is not the same strategy.
    """
    if len(choices) < 2:
        return tuple(choices)
    draws = Draws()
    draws.begin(seed)
    fresh.recall(memory)
    return tuple(fresh.order(choices, _Remembered(seen), draws))
