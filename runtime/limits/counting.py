"""The rule of counters, in memory: what a turn changes, and what it is answered. Pure but for the state it is given.

Other backends load a part of this state, let the rule work on it and write it back, or say the same in their own language.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from runtime.limits.base import ABSENT_MS, SHARE, Answer, Ask, Outcome, Short, Taken, Turn, Unseeded

__all__ = ["FORGOTTEN_MS", "Counter", "Holder", "State", "play"]

SLACK: Final = 61
"""Buckets that are kept though they count no more, for a machine whose clock is behind."""


FORGOTTEN_MS: Final = 24 * 3_600_000
"""How long it is known which reports of a worker were counted: far longer than it would try to tell one again."""


class Counter(msgspec.Struct):
    """``held`` is what is kept aside, by holder. Nothing of it matters after ``until_ms`` unless it is used again."""

    buckets: dict[int, int] = {}
    held: dict[str, int] = {}
    begun: bool = False
    until_ms: int = 0


class Holder(msgspec.Struct):
    seen_ms: int
    number: int


class State(msgspec.Struct):
    counters: dict[str, Counter] = {}
    holders: dict[str, Holder] = {}

    def sweep(self, now_ms: int) -> None:
        """Forget what matters no more."""
        for name in [name for name, holder in self.holders.items() if holder.seen_ms + FORGOTTEN_MS < now_ms]:
            del self.holders[name]
        for name in [name for name, each in self.counters.items() if each.until_ms < now_ms and not each.held]:
            del self.counters[name]


def play(state: State, turn: Turn, now_ms: int) -> Answer:
    """Do what ``turn`` says and answer it."""
    known = _hear(state, turn, now_ms)
    for seed in turn.seeds:
        counter = _counter(state, seed.counter, seed.kept_ms, now_ms)
        counter.begun = True
        for bucket, amount in seed.buckets.items():
            counter.buckets[bucket] = max(counter.buckets.get(bucket, 0), amount)
    for name, amount in turn.held.items():
        _hold(_counter(state, name, ABSENT_MS, now_ms), turn.holder, amount)
    return Answer(known, tuple(_grant(state, turn.holder, asks, now_ms) for asks in turn.asks))


def _hear(state: State, turn: Turn, now_ms: int) -> bool:
    """Whether the holder was known. What it used is counted unless it was counted before."""
    holder = state.holders.get(turn.holder)
    known = holder is not None and holder.seen_ms + ABSENT_MS >= now_ms
    if holder is None:
        holder = state.holders[turn.holder] = Holder(now_ms, 0)
    holder.seen_ms = max(holder.seen_ms, now_ms)
    if turn.number > holder.number:
        holder.number = turn.number
        for used in turn.used:
            counter = _counter(state, used.counter, used.kept_ms, now_ms)
            counter.buckets[used.bucket] = max(0, counter.buckets.get(used.bucket, 0) + used.amount)
    return known


def _grant(state: State, holder: str, asks: tuple[Ask, ...], now_ms: int) -> Outcome:
    counters = [_counter(state, ask.counter, ask.kept_ms, now_ms) for ask in asks]
    unseeded = tuple(
        index for index, (ask, counter) in enumerate(zip(asks, counters, strict=True))
        if ask.lasting and not counter.begun
    )  # fmt: skip
    if unseeded:
        return Unseeded(unseeded)
    standing: list[int] = []
    granted: list[int] = []
    for index, (ask, counter) in enumerate(zip(asks, counters, strict=True)):
        held = _held(counter, state.holders, now_ms)
        used = sum(amount for bucket, amount in counter.buckets.items() if bucket >= ask.oldest)
        if used + held + ask.amount > ask.limit:
            return Short(index, {bucket: n for bucket, n in counter.buckets.items() if bucket >= ask.oldest}, held)
        total = used + held + ask.amount
        more = min(ask.extra, (ask.limit - total) // SHARE)
        granted.append(ask.amount + (more if more >= ask.amount else 0))
        standing.append(total - ask.amount + granted[-1])
    for ask, counter, amount in zip(asks, counters, granted, strict=True):
        for bucket in [bucket for bucket in counter.buckets if bucket < ask.oldest - SLACK]:
            del counter.buckets[bucket]
        if ask.held:
            _hold(counter, holder, counter.held.get(holder, 0) + amount)
        else:
            counter.buckets[ask.bucket] = counter.buckets.get(ask.bucket, 0) + amount
    return Taken(tuple(standing), tuple(granted))


def _held(counter: Counter, holders: dict[str, Holder], now_ms: int) -> int:
    """What living holders keep aside; what others did is let go."""
    for name in list(_gone(counter.held, holders, now_ms)):
        del counter.held[name]
    return sum(counter.held.values())


def _gone(names: Iterable[str], holders: dict[str, Holder], now_ms: int) -> Iterable[str]:
    return (name for name in names if name not in holders or holders[name].seen_ms + ABSENT_MS < now_ms)


def _hold(counter: Counter, holder: str, amount: int) -> None:
    if amount > 0:
        counter.held[holder] = amount
    else:
        counter.held.pop(holder, None)


def _counter(state: State, name: str, kept_ms: int, now_ms: int) -> Counter:
    counter = state.counters.get(name)
    if counter is None:
        counter = state.counters[name] = Counter()
    counter.until_ms = max(counter.until_ms, now_ms + kept_ms)
    return counter
