"""Counters in the SQL database that all workers use. A turn is a transaction."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from runtime.limits.base import ABSENT_MS, Answer, Counters, CountersGoneError, Turn
from runtime.limits.counting import FORGOTTEN_MS, Counter, Holder, State, play
from runtime.stores.base import StoreError
from runtime.stores.counters import CounterRows, SqlCounterRows

__all__ = ["SqlCounters"]

_BEGUN: Final = -1
"""The bucket of the row that says that a counter was begun, and until when it matters."""

_SWEEP_EVERY: Final = 2048
"""Turns of one worker."""


class SqlCounters(Counters):
    def __init__(self, rows: SqlCounterRows) -> None:
        self._rows = rows
        self._turns = 0

    @override
    async def turn(self, turn: Turn) -> Answer:
        self._turns += 1
        named = {used.counter for used in turn.used} | {seed.counter for seed in turn.seeds}
        named |= {ask.counter for asks in turn.asks for ask in asks}
        try:
            if self._turns % _SWEEP_EVERY == 0:
                await self._rows.sweep(ABSENT_MS, FORGOTTEN_MS)
            return await self._rows.change(
                {*named, *turn.held}, turn.holder, lambda rows, now_ms: _play(rows, turn, now_ms)
            )
        except StoreError as error:
            raise CountersGoneError(str(error)) from error

    @override
    async def aclose(self) -> None:
        """The database is its owner's to close."""


def _play(rows: CounterRows, turn: Turn, now_ms: int) -> Answer:
    state = State(holders={name: Holder(*holder) for name, holder in rows.holders.items()})
    for (name, bucket), (used, until_ms) in rows.buckets.items():
        counter = state.counters.setdefault(name, Counter())
        counter.until_ms = max(counter.until_ms, until_ms)
        if bucket == _BEGUN:
            counter.begun = bool(used)
        else:
            counter.buckets[bucket] = used
    for (name, holder), amount in rows.holds.items():
        state.counters.setdefault(name, Counter()).held[holder] = amount
    answer = play(state, turn, now_ms)
    before = rows.buckets
    rows.buckets = {}
    for name, counter in state.counters.items():
        kept = before.get((name, _BEGUN), (0, 0))[1]
        # written anew when half of its time is over: most turns change one row of a counter
        until_ms = counter.until_ms if counter.until_ms - now_ms > 2 * (kept - now_ms) else kept
        rows.buckets[name, _BEGUN] = (int(counter.begun), until_ms)
        for bucket, used in counter.buckets.items():
            known = before.get((name, bucket))
            rows.buckets[name, bucket] = known if known is not None and known[0] == used else (used, until_ms)
    rows.holds = {(name, who): n for name, counter in state.counters.items() for who, n in counter.held.items()}
    rows.holders = {name: (holder.seen_ms, holder.number) for name, holder in state.holders.items()}
    return answer
