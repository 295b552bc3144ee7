"""One worker's reserves: alone and with others, with counters that go and come, against what the ledger knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from runtime.limits.base import Answer, Counters, CountersGoneError, Turn
from runtime.limits.counting import State, play
from runtime.limits.memory import MemoryCounters
from runtime.limits.reserves import ExceededError, Reserves
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


def _all_of(amount: int, _: Rule) -> int:
    return amount


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to that")


async def test_what_was_not_used_is_there_again() -> None:
    reserves = alone(Clock())
    first = want(MONTH, 70)
    assert (70,) == await reserves.take(first)
    with pytest.raises(ExceededError) as caught:
        await reserves.take(want(MONTH, 40))
    assert (30, None) == (caught.value.left, caught.value.due_ms)

    reserves.give_back(first, lambda _: 20)
    assert (60,) == await reserves.take(want(MONTH, 40))


async def test_requests_are_used_when_they_are_let_in_and_due_when_the_window_has_passed() -> None:
    clock = Clock(60_000)
    reserves = alone(clock)
    for _ in range(3):
        taken = want(MINUTE)
        await reserves.take(taken)
        reserves.give_back(taken, lambda _: 0)
    with pytest.raises(ExceededError) as caught:
        await reserves.take(want(MINUTE))
    assert 121_000 == caught.value.due_ms

    clock.at_ms = 120_999
    with pytest.raises(ExceededError):
        await reserves.take(want(MINUTE))
    clock.at_ms = 121_000
    assert (1,) == await reserves.take(want(MINUTE))


async def test_calls_at_the_same_time_are_counted_while_they_last() -> None:
    reserves = alone(Clock())
    calls = [want(AT_ONCE), want(AT_ONCE)]
    for call in calls:
        await reserves.take(call)
    with pytest.raises(ExceededError) as caught:
        await reserves.take(want(AT_ONCE))
    assert caught.value.due_ms is None

    reserves.give_back(calls[0], lambda _: 0)
    assert (2,) == await reserves.take(want(AT_ONCE))


async def test_counters_begin_with_what_the_ledger_knows() -> None:
    ledger, clock = Ledger(), Clock(1_700_000_000_000)
    today_s = clock.at_ms // 1000 // 86_400 * 86_400
    ledger.rows = [
        SpentRow("key/k", today_s, 1, 1, 60),
        SpentRow("key/k", today_s - 40 * 86_400, 1, 1, 500),
        SpentRow("key/other", today_s, 1, 1, 90),
    ]
    with pytest.raises(ExceededError) as caught:
        await alone(clock, ledger).take(want(MONTH, 41))
    assert 40 == caught.value.left


async def test_without_a_ledger_to_ask_calls_are_refused_or_counted_from_nothing_as_it_is_set() -> None:
    ledger, reserves = Ledger(), None
    ledger.fails = True
    reserves = alone(Clock(), ledger)
    with pytest.raises(CountersGoneError):
        await reserves.take(want(MONTH, 1))

    reserves.when_unreachable = "local"
    assert (100,) == await reserves.take(want(MONTH, 100))
    with pytest.raises(ExceededError):
        await reserves.take(want(MONTH, 1))


async def test_what_the_ledger_learns_of_the_dead_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.limits.reserves.BEAT_S", 0.01)
    ledger, clock = Ledger(), Clock(1_700_000_000_000)
    reserves = alone(clock, ledger)
    await reserves.take(want(MONTH, 10))
    ledger.rows = [SpentRow("key/k", clock.at_ms // 1000 // 86_400 * 86_400, 1, 1, 85)]
    async with running(reserves):
        for _ in range(500):
            await asyncio.sleep(0.005)
            with suppress(ExceededError):
                taken = want(MONTH, 6)
                await reserves.take(taken)
                reserves.give_back(taken, lambda _: 0)
                continue
            return
    raise AssertionError("more was granted than the ledger leaves")


async def test_workers_share_one_limit_and_their_questions_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.limits.reserves.SPARED_S", 0.0)
    clock = Clock()
    shared = Shared(clock)
    one, other = (Reserves(shared, Ledger(), name, clock) for name in "ab")
    async with running(one, other):
        await one.take(want(MONTH, 4))
        before = shared.turns
        found = await asyncio.gather(
            *(each.take(want(MONTH, 4)) for each in (one, other) for _ in range(15)), return_exceptions=True
        )
        assert 24 == sum(not isinstance(each, ExceededError) for each in found)
        assert shared.turns - before <= 6, "all that are waiting ask in one turn"


async def test_most_calls_ask_nobody_and_what_was_taken_in_advance_goes_back() -> None:
    clock = Clock(1_700_000_000_000)
    shared = Shared(clock)
    one, other = (Reserves(shared, Ledger(), name, clock) for name in "ab")
    rule = Rule("key/k", "this key", Limit(of="usd", amount=100_000, calendar="month"))
    hour = Rule("key/k", "this key", Limit(of="requests", amount=1000, length_ms=3_600_000))
    async with running(one, other):
        await one.take((Want(rule, 100), Want(hour, 1)))
        before = shared.turns
        calls = [(Want(rule, 100), Want(hour, 1)) for _ in range(30)]
        for call in calls:
            await one.take(call)
        assert before == shared.turns
        await until(lambda: sum(shared.state.counters[rule.counter].held.values()) > 3200)

        clock.at_ms += 2000
        for call in calls:
            one.give_back(call, lambda _: 10)
        await until(lambda: sum(shared.state.counters[rule.counter].held.values()) == 100)
        assert 300 == sum(shared.state.counters[rule.counter].buckets.values())
        await until(lambda: sum(shared.state.counters[hour.counter].buckets.values()) == 31)
        assert (100 + 300 + 50, 32) == await other.take((Want(rule, 50), Want(hour, 1)))


async def test_who_does_not_wait_any_more_keeps_nothing() -> None:
    clock = Clock()
    shared = Shared(clock)
    reserves = Reserves(shared, Ledger(), "w", clock)
    async with running(reserves):
        await reserves.take(want(MONTH, 1))
        asking = asyncio.create_task(reserves.take(want(MONTH, 99)))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: sum(shared.state.counters[MONTH.counter].held.values()) == 1)


async def test_while_counters_are_gone_calls_are_refused_and_afterwards_nothing_is_lost() -> None:
    clock, told = Clock(), list[str | None]()
    shared = Shared(clock)
    reserves = Reserves(shared, Ledger(), "w", clock, changed=told.append)
    async with running(reserves):
        kept = want(MONTH, 50)
        await reserves.take(kept)
        shared.gone = True
        with pytest.raises(CountersGoneError):
            await reserves.take(want(MONTH, 1))
        reserves.give_back(kept, lambda _: 30)
        shared.gone = False
        await until(lambda: reserves.trouble is None)
        await until(lambda: not shared.state.counters[MONTH.counter].held)
        assert (100,) == await reserves.take(want(MONTH, 70))
    assert ["no answer", None] == told


async def test_a_worker_that_has_nothing_to_say_finds_out_that_the_counters_are_back() -> None:
    clock = Clock()
    shared = Shared(clock)
    reserves = Reserves(shared, Ledger(), "w", clock)
    async with running(reserves):
        shared.gone = True
        with pytest.raises(CountersGoneError):
            await reserves.take(want(MONTH, 1))
        await until(lambda: reserves.trouble is not None)
        shared.gone = False
        await until(lambda: reserves.trouble is None)


async def test_while_counters_are_gone_a_worker_can_count_by_itself() -> None:
    clock = Clock()
    shared = Shared(clock)
    reserves = Reserves(shared, Ledger(), "w", clock, when_unreachable="local")
    async with running(reserves):
        shared.gone = True
        kept = want(MONTH, 80)
        await reserves.take(kept)
        with pytest.raises(ExceededError):
            await reserves.take(want(MONTH, 30))
        reserves.give_back(kept, lambda _: 75)
        shared.gone = False
        await until(lambda: reserves.trouble is None)
        with pytest.raises(ExceededError) as caught:
            await reserves.take(want(MONTH, 26))
        assert 25 == caught.value.left


async def test_counters_that_were_lost_begin_again_with_the_ledger_and_with_what_is_kept() -> None:
    clock, ledger = Clock(1_700_000_000_000), Ledger()
    shared = Shared(clock)
    reserves = Reserves(shared, ledger, "w", clock)
    async with running(reserves):
        kept, spent = want(MONTH, 20), want(MONTH, 40)
        await reserves.take(kept)
        await reserves.take(spent)
        reserves.give_back(spent, lambda _: 40)
        await until(lambda: sum(shared.state.counters[MONTH.counter].buckets.values()) == 40)
        ledger.rows = [SpentRow("key/k", clock.at_ms // 1000 // 86_400 * 86_400, 1, 1, 40)]
        shared.state = State()
        await reserves.take(want(MONTH, 4))
        await until(lambda: sum(shared.state.counters[MONTH.counter].held.values()) == 24)
        with pytest.raises(ExceededError) as caught:
            await reserves.take(want(MONTH, 60))
        assert 36 == caught.value.left


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 60)),
            st.tuples(st.just("end"), st.integers(0, 1), st.integers(0, 100)),
            st.tuples(st.just("wait"), st.integers(0, 8), st.just(0)),
            st.tuples(st.just("die"), st.integers(0, 1), st.just(0)),
        ),
        max_size=40,
    )
)
def test_whatever_happens_in_whatever_order_a_limit_is_never_exceeded(steps: list[tuple[str, int, int]]) -> None:
    """Two workers take and end, time passes, one dies and is followed: used and kept aside stay within the limit.

    What the dead had used is in the ledger, which learns of all that is settled.
    """

    async def go() -> None:
        clock, ledger, limit = Clock(1_700_000_000_000), Ledger(), MONTH.limit.amount
        shared = Shared(clock)
        numbers = iter(range(1000))
        workers = [Reserves(shared, ledger, f"w{next(numbers)}", clock) for _ in range(2)]
        open_: list[list[tuple[Want, ...]]] = [[], []]
        spent = 0
        today_s = clock.at_ms // 1000 // 86_400 * 86_400
        tasks = [asyncio.create_task(each.run()) for each in workers]
        try:
            for what, which, amount in steps:
                if what == "wait":
                    for _ in range(which):
                        clock.at_ms += 5000
                        for each in workers:
                            await each.say()
                elif what == "take":
                    with suppress(ExceededError):
                        taken = want(MONTH, amount)
                        await workers[which].take(taken)
                        open_[which].append(taken)
                elif what == "end" and open_[which]:
                    taken = open_[which].pop(0)
                    used = taken[0].amount * amount // 100
                    spent += used
                    ledger.rows = [SpentRow("key/k", today_s, 1, 1, spent)]
                    workers[which].give_back(taken, partial(_all_of, used))
                elif what == "die":
                    tasks[which].cancel()
                    for taken in open_[which]:  # whoever finds its journal settles them as they may have been used
                        spent += taken[0].amount
                    ledger.rows = [SpentRow("key/k", today_s, 1, 1, spent)]
                    open_[which] = []
                    workers[which] = Reserves(shared, ledger, f"w{next(numbers)}", clock)
                    await workers[which].compare([MONTH])
                    tasks[which] = asyncio.create_task(workers[which].run())
                kept = sum(taken[0].amount for mine in open_ for taken in mine)
                assert spent + kept <= limit
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("runtime.limits.reserves.SPARED_S", 0.0)  # nothing comes back while the clock stands still
        asyncio.run(go())


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
        assert time.monotonic() - began_s < 0.5


async def test_calls_at_the_same_time_are_never_taken_in_advance() -> None:
    clock = Clock()
    shared = Shared(clock)
    plenty = Rule("tenant/t", "all keys of t", Limit(of="concurrency", amount=1000))
    reserves = Reserves(shared, Ledger(), "w", clock)
    async with running(reserves):
        await reserves.take(want(plenty))
        assert {"w": 1} == shared.state.counters[plenty.counter].held


@pytest.mark.parametrize("rule", [MINUTE, HOUR, MONTH])
async def test_all_of_a_limit_can_be_used_at_any_worker_though_the_other_took_some_in_advance(rule: Rule) -> None:
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
            async with asyncio.timeout(5):
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
                    workers[where].give_back(ended, partial(_all_of, spent))

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
    monkeypatch.setattr("runtime.limits.reserves.ANSWER_S", 0.2)
    clock, said = Clock(1_700_000_000_000), list[str | None]()
    counters = Silent(clock)
    one = Reserves(counters, Ledger(), "one", clock, changed=said.append)
    async with running(one):
        began_s = time.monotonic()
        for _ in range(50):
            with pytest.raises(CountersGoneError):
                await one.take((Want(AT_ONCE, 1),))
        assert time.monotonic() - began_s < 5, "the first waits, the others are refused at once"
        assert ["no answer within 0.2 s"] == said
        counters.answers.set()
        while one.trouble is not None:
            await asyncio.sleep(0.01)
        taken = (Want(AT_ONCE, 2),)
        await one.take(taken)
    assert ["no answer within 0.2 s", None] == said


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
