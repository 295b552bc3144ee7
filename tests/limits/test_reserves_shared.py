"""Reserves of two workers over the same counters, and counters and ledgers that do not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from runtime.limits.base import Answer, CountersGoneError, Turn
from runtime.limits.memory import MemoryCounters
from runtime.limits.reserves import ExceededError, Reserves
from runtime.limits.rule import Rule, Want
from runtime.stores.spending import Span, SpentRow
from runtime.window import Limit
from tests.limits.reserving import AT_ONCE, MINUTE, MONTH, Ledger, Shared, all_of, alone, running, want
from tests.support.counters import Clock

HOUR = Rule("key/k", "this key", Limit(of="requests", amount=40, length_ms=3_600_000))


@asynccontextmanager
async def pair() -> AsyncGenerator[tuple[Reserves, Reserves]]:
    """Two workers, whose clock goes on by itself, far from the end of a window."""
    shared, began_s = Shared(Clock()), time.monotonic()

    def passing() -> int:
        return 1_700_000_000_000 + int((time.monotonic() - began_s) * 1000)

    one, other = (Reserves(shared, Ledger(), name, passing) for name in "ab")
    async with running(one, other):
        yield one, other


async def test_a_call_that_ended_in_one_worker_makes_place_in_the_other() -> None:
    async with pair() as workers:
        for turn in range(20):
            calls = [want(AT_ONCE), want(AT_ONCE)]
            for number, call in enumerate(calls):
                await workers[(turn + number) % 2].take(call)
            for number, call in enumerate(calls):
                workers[(turn + number) % 2].give_back(call, lambda _: 0)
        for _ in range(2):
            await workers[0].take(want(AT_ONCE))
        began_s = time.monotonic()
        with pytest.raises(ExceededError):
            await workers[1].take(want(AT_ONCE))
        assert time.monotonic() - began_s < 10


async def test_a_call_whose_end_the_other_worker_is_slow_to_tell_refuses_nobody() -> None:
    async with pair() as (one, other):
        calls = [want(AT_ONCE), want(AT_ONCE)]
        for call in calls:
            await one.take(call)
        asked = asyncio.create_task(other.take(want(AT_ONCE)))
        asyncio.get_running_loop().call_later(0.2, one.give_back, calls[0], lambda _: 0)
        assert (2,) == await asked


async def test_calls_that_all_run_here_refuse_the_next_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.limits.reserves.FIRST_S", 30.0)
    async with pair() as (one, _):
        for _ in range(2):
            await one.take(want(AT_ONCE))
        async with asyncio.timeout(20):
            with pytest.raises(ExceededError):
                await one.take(want(AT_ONCE))


async def test_calls_at_the_same_time_are_never_taken_in_advance() -> None:
    clock = Clock()
    shared = Shared(clock)
    plenty = Rule("tenant/t", "all keys of t", Limit(of="concurrency", amount=1000))
    reserves = Reserves(shared, Ledger(), "w", clock)
    async with running(reserves):
        await reserves.take(want(plenty))
        assert {"w": 1} == shared.state.counters[plenty.counter].held


@pytest.mark.parametrize("rule", [MINUTE, HOUR, MONTH])
async def testall_of_a_limit_can_be_used_at_any_worker_though_the_other_took_some_in_advance(rule: Rule) -> None:
    async with pair() as (one, other):
        taken = want(rule)
        await one.take(taken)
        one.give_back(taken, lambda _: 1)
        for _ in range(rule.limit.amount - 1):
            taken = want(rule)
            await other.take(taken)
            other.give_back(taken, lambda _: 1)
        for each in (one, other):
            with pytest.raises(ExceededError):
                await each.take(want(rule))


async def test_money_that_is_spent_is_refused_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.limits.reserves.FIRST_S", 30.0)
    async with pair() as (one, other):
        taken = want(MONTH, 100)
        await one.take(taken)
        one.give_back(taken, lambda _: 100)
        await one.say()
        for each in (one, other):
            async with asyncio.timeout(20):
                with pytest.raises(ExceededError):
                    await each.take(want(MONTH))


@settings(max_examples=25)
@given(
    st.sampled_from([Limit(of="usd", amount=50, calendar="month"), Limit(of="requests", amount=50, length_ms=3_600_000)]),
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 12), st.integers(0, 12), st.booleans()), max_size=30),
)  # fmt: skip
def test_nobody_is_refused_what_the_limit_still_allows(limit: Limit, steps: list[tuple[int, int, int, bool]]) -> None:
    """Two workers, whoever is asked: refused is what does not fit beside what was used and what runs, and nothing else."""
    rule = Rule("key/k", "this key", limit)

    async def go() -> None:
        gone = 0
        open_: list[tuple[int, tuple[Want, ...]]] = []
        async with pair() as workers:
            for which, amount, used, ends in steps:
                taken = want(rule, 1 if limit.of == "requests" else amount)
                fits = gone + sum(each[0].amount for _, each in open_) + taken[0].amount <= limit.amount
                try:
                    await workers[which].take(taken)
                except ExceededError:
                    assert not fits
                    continue
                assert fits
                if limit.of == "requests":
                    gone += 1
                else:
                    open_.append((which, taken))
                if open_ and ends:
                    where, ended = open_.pop(0)
                    spent = min(used, ended[0].amount)
                    gone += spent
                    workers[where].give_back(ended, partial(all_of, spent))

    asyncio.run(go())


class Silent(Shared):
    """Counters that do not answer while ``held``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.answers = asyncio.Event()

    @override
    async def turn(self, turn: Turn) -> Answer:
        await self.answers.wait()
        return await super().turn(turn)


async def test_counters_that_are_silent_are_waited_for_briefly_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.limits.reserves.ANSWER_S", 1.0)
    clock, said = Clock(1_700_000_000_000), list[str | None]()
    counters = Silent(clock)
    one = Reserves(counters, Ledger(), "one", clock, changed=said.append)
    async with running(one):
        began_s = time.monotonic()
        for _ in range(50):
            with pytest.raises(CountersGoneError):
                await one.take((Want(AT_ONCE, 1),))
        assert time.monotonic() - began_s < 20, "the first waits, the others are refused at once"
        assert ["no answer within 1 s"] == said
        counters.answers.set()
        while one.trouble is not None:
            await asyncio.sleep(0.01)
        taken = (Want(AT_ONCE, 2),)
        await one.take(taken)
    assert ["no answer within 1 s", None] == said


async def test_a_ledger_that_is_silent_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Locked(Ledger):
        answers = asyncio.Event()

        @override
        async def since(self, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]:
            await self.answers.wait()
            return await super().since(wanted)

    monkeypatch.setattr("runtime.limits.reserves.ANSWER_S", 0.1)
    clock, said, ledger = Clock(1_700_000_000_000), list[str | None](), Locked()
    one = Reserves(MemoryCounters(clock), ledger, "one", clock, changed=said.append)
    for _ in range(2):
        with pytest.raises(CountersGoneError, match="the ledger does not answer"):
            await one.take((Want(MINUTE, 1),))
    ledger.answers.set()
    await one.take((Want(MINUTE, 1),))
    assert ["the ledger does not answer within 0.1 s", None] == said


async def test_a_first_look_asks_the_ledger_too_where_nobody_else_counts() -> None:
    class Asked(Ledger):
        times = 0

        @override
        async def since(self, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]:
            self.times += 1
            return await super().since(wanted)

    ledger = Asked()
    await alone(Clock(), ledger).look()
    assert 1 == ledger.times


async def test_a_first_look_at_counters_and_a_ledger_that_are_gone_is_no_fault() -> None:
    said, shared, ledger = list[str | None](), Shared(Clock()), Ledger()
    shared.gone = ledger.fails = True
    await Reserves(shared, ledger, "one", Clock(), changed=said.append).look()
    assert [] == said


async def test_a_first_look_at_silent_counters_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.limits.reserves.LOOK_S", 0.01)
    counters = Silent(Clock())
    async with asyncio.timeout(20):
        await Reserves(counters, Ledger(), "one", Clock()).look()
    assert not counters.answers.is_set()
