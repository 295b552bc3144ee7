"""What is asked of counters that workers share, whatever they lie in. Everything is said in turns, each of which is one piece.

A worker's turn reports what it used, says what it keeps aside for the calls that run, and asks for more of it. All that one
call asks for is granted, or nothing. What a worker keeps is let go when it was not heard of for `ABSENT_MS`: it died.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

__all__ = ["ABSENT_MS", "SHARE", "Answer", "Ask", "Counters", "CountersGoneError", "Outcome", "Seed", "Short", "Taken", "Turn", "Unseeded", "Used"]  # fmt: skip

ABSENT_MS: Final = 30_000
"""A worker that lives is heard of every few seconds, and one that died has been accounted for long before."""


SHARE: Final = 16
"""What is asked for in advance is granted up to this part of what is left, if it is enough for another call at least."""


class CountersGoneError(Exception):
    """They cannot be reached or written now."""


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """``amount`` more of ``counter``, unless it would be more than ``limit`` together with all since ``oldest``.

    ``held``: it is kept aside until the call ends; else it is used at once, in ``bucket``. ``lasting``: the counter must have
    been begun with what was used before. ``kept_ms`` is how long it is remembered when nobody uses it. ``extra`` is asked for in
    advance: of that comes what can be spared.
    """

    counter: str
    limit: int
    amount: int
    bucket: int
    oldest: int
    held: bool
    lasting: bool
    kept_ms: int
    extra: int = 0


class Used(msgspec.Struct, frozen=True, array_like=True):
    """So much was used; less than nothing takes back what was counted in vain."""

    counter: str
    bucket: int
    amount: int
    kept_ms: int


class Seed(msgspec.Struct, frozen=True, array_like=True):
    """A counter begins with this, at least: where it knows of more in a bucket, that stands."""

    counter: str
    buckets: dict[int, int]
    kept_ms: int


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """``holder`` is the worker. ``used`` counts once for each ``number``, however often it is told; numbers go up.

    ``held`` is all it keeps aside of the counters that are named, but for what it asks for in ``asks``.
    """

    holder: str
    number: int = 0
    used: tuple[Used, ...] = ()
    held: dict[str, int] = {}
    seeds: tuple[Seed, ...] = ()
    asks: tuple[tuple[Ask, ...], ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """Granted: of each so much, what was asked for at least. ``standing`` is what each counter has now, used and kept aside."""

    standing: tuple[int, ...]
    granted: tuple[int, ...]


class Short(msgspec.Struct, frozen=True):
    """Refused for the ask at ``index``: ``buckets`` are what was used of it, ``held`` what is kept aside."""

    index: int
    buckets: Mapping[int, int]
    held: int


class Unseeded(msgspec.Struct, frozen=True):
    """Not decided: the counters of these asks were not begun."""

    indexes: tuple[int, ...]


Outcome: TypeAlias = Taken | Short | Unseeded


class Answer(msgspec.Struct, frozen=True):
    """``known`` is false where nothing is known of what the holder keeps aside: it should say all of it."""

    known: bool
    outcomes: tuple[Outcome, ...]


class Counters(Protocol):
    """Every backend passes the same tests, `tests/limits/test_contract.py`."""

    async def turn(self, turn: Turn) -> Answer:
        """All of it at once, unseen by others before it is done. Raises CountersGoneError."""
        ...

    async def aclose(self) -> None: ...
