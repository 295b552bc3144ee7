"""What tests of reserves begin with: rules, counters that several share and that can be gone, a ledger that can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from typing_extensions import override

from runtime.limits.base import Answer, Counters, CountersGoneError, Turn
from runtime.limits.counting import State, play
from runtime.limits.memory import MemoryCounters
from runtime.limits.reserves import Reserves
from runtime.limits.rule import Rule, Want
from runtime.stores.base import StoreError
from runtime.stores.spending import Span, SpentRow
from runtime.window import Limit
from tests.support.counters import Clock

MONTH = Rule("key/k", "this key", Limit(of="usd", amount=100, calendar="month"))
MINUTE = Rule("key/k", "this key", Limit(of="requests", amount=3, length_ms=60_000))
AT_ONCE = Rule("tenant/t", "all keys of t", Limit(of="concurrency", amount=2))


class Ledger:
    """``rows`` are what it knows of every subject; ``fails``: it cannot be asked."""

    def __init__(self) -> None:
        self.rows: list[SpentRow] = []
        self.fails = False

    async def since(self, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]:
        if self.fails:
            raise StoreError("gone")
        return [
            [row for row in self.rows if row.subject == subject and row.start_s >= start_s]
            for subject, _, start_s in wanted
        ]


class Shared(Counters):
    """Counters that several reserves use, and that can be gone."""

    def __init__(self, clock: Clock) -> None:
        self.state = State()
        self.turns = 0
        self.gone = False
        self._clock = clock

    @override
    async def turn(self, turn: Turn) -> Answer:
        await asyncio.sleep(0)
        if self.gone:
            raise CountersGoneError("no answer")
        self.turns += 1
        return play(self.state, turn, self._clock())

    @override
    async def aclose(self) -> None: ...


@asynccontextmanager
async def running(*all_: Reserves) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(each.run()) for each in all_]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def alone(clock: Clock, ledger: Ledger | None = None) -> Reserves:
    return Reserves(MemoryCounters(clock), ledger or Ledger(), "w", clock)


def want(rule: Rule, amount: int = 1) -> tuple[Want, ...]:
    return (Want(rule, amount),)


def all_of(amount: int, _: Rule) -> int:
    return amount


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to that")
