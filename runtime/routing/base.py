"""What a strategy is: it orders choices, given what is known of each, and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Protocol

import msgspec

__all__ = ["Choice", "Strategy", "View", "heeds"]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to choose: a target of a combo (a model, or another combo as a whole), or a connection of a provider.

    ``key`` is its place as written, the same for all requests. ``lanes`` are the (model, connection) pairs behind it.
    ``price_nano_usd`` is a nominal call's and ``context_tokens`` the input it takes, None when not known; of a combo it is
    the lowest price and the largest context below.
    """

    key: int
    name: str
    weight: int = 1
    conditional: bool = False
    price_nano_usd: int | None = None
    context_tokens: int | None = None
    lanes: tuple[tuple[str, str], ...] = ()


class View(Protocol):
    """What is known of a choice at this moment. Of several lanes: loads are added, and the best counts otherwise."""

    def in_flight(self, choice: Choice) -> int:
        """Calls it is answering."""
        ...

    def used(self, choice: Choice) -> int:
        """Calls it was sent since the start."""
        ...

    def latency_s(self, choice: Choice) -> float | None:
        """How soon its answers begin; None when it was not measured lately."""
        ...

    def success(self, choice: Choice) -> float:
        """The share of its calls that succeeded lately, 0 to 1."""
        ...

    def ready(self, choice: Choice) -> bool:
        """Whether it can be asked now: no open breaker, no cooldown."""
        ...

    def headroom(self, choice: Choice) -> float:
        """What part of its quota is left, 0 to 1; 1 where nothing is known of it."""
        ...

    def bound(self, choice: Choice) -> bool:
        """Whether the request's session is at this target."""
        ...


class Strategy(Protocol):
    """One combo's order, or one provider's. May remember what it needs between requests.

    `order` gives every choice at most once, and each that could answer. Whether one can be asked now is looked at later:
    a strategy need not leave out those that cannot.
    """

    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]: ...

    def memory(self) -> tuple[int | None, ...]:
        """What the next order depends on beside what it is given."""
        return ()

    def recall(self, memory: tuple[int | None, ...]) -> None:  # noqa: ARG002 — most remember nothing
        """Remember what another one of the same kind did, and nothing else."""
        return

    def served(self, choice: Choice) -> None:  # noqa: ARG002 — most need not know
        """``choice`` answered."""
        return


def heeds(strategy: Strategy) -> bool:
    """Whether ``strategy`` wants to know who answered."""
    return type(strategy).served is not Strategy.served
