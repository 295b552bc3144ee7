"""What led a call where it went, one entry after the other, as cheap as it can be noted while the call runs.

Kept in memory and put into words only when somebody asks. Holds names and figures, neither prompts nor secrets. Times are
seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from runtime.canonical import Usage
from runtime.catalog import Prices

__all__ = ["AttemptRecord", "Coming", "Figure", "Keyed", "Note", "Ordering", "Skipped", "Step"]

Figure: TypeAlias = tuple[str, int, float | None]
"""What a strategy asked of the view: the question (`in_flight`), the key of the choice, and the answer."""


class Coming(Protocol):
    """What came of an answer."""

    def tokens(self) -> int:
        """About how many the text that came has."""
        ...


class AttemptRecord(msgspec.Struct):
    """One request that was sent to one target, or was to be. ``outcome`` is `ok`, `cancelled`, or `GatewayError.kind`.

    ``label`` stands for the target where names must not be made up by clients. ``status`` is None until there was one.
    ``requests`` is how often a price by the request counts. ``number`` is the ledger's, 0 for one that was not sent; ``free`` is what no provider charges for. ``measure``, which tells
    about how many tokens were sent, and ``received`` are let go when the call is settled.
    """

    target: str
    label: str
    connection: str
    started_s: float
    provider: str = ""
    prices: Prices | None = None
    ended_s: float = 0.0
    outcome: str = ""
    status: int | None = None
    usage: Usage | None = None
    number: int = 0
    free: bool = False
    requests: int = 1
    measure: Callable[[], int] | None = None
    received: Coming | None = None
    cost_nano_usd: int = 0
    unpriced: bool = False


class Skipped(msgspec.Struct, frozen=True):
    """A target that was not asked over a connection, and why: `circuit_open`, `rate_limit`, `quota`, `credential`, `busy`.

    ``due_s`` is when it can be asked again, as far as that was known.
    """

    target: str
    label: str
    connection: str
    reason: str
    due_s: float | None = None


class Note(msgspec.Struct, frozen=True):
    """Anything else that had a part in it: a pinned session, a hedge, a cache. ``kind`` is a word, ``text`` a sentence."""

    kind: str
    text: str
    target: str = ""
    connection: str = ""


class Keyed(Protocol):
    """A choice, as far as it must be known here."""

    @property
    def key(self) -> int: ...
    @property
    def name(self) -> str: ...


class Ordering(msgspec.Struct):
    """One order that a strategy gave, with everything it depended on: the same again gives the same order.

    ``entity`` is what was ordered (`combos.smart`, `providers.openai`), ``choices`` those whose conditions held, ``seed``
    what was drawn from, ``memory`` what the strategy remembered, ``seen`` what it was told when it asked.
    """

    entity: str
    strategy: str
    choices: Sequence[Keyed]
    seed: int
    memory: tuple[int | None, ...]
    seen: list[Figure]
    order: Sequence[Keyed]


Step: TypeAlias = AttemptRecord | Skipped | Note | Ordering
