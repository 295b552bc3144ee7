"""One worker's reserves: alone and with others, with counters that go and come, against what the ledger knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from runtime.limits.base import Answer, CountersGoneError, Turn
from runtime.limits.counting import State, play
from runtime.limits.reserves import ExceededError, Reserves
from runtime.limits.rule import Rule, Want
from runtime.stores.spending import SpentRow
from runtime.window import Limit
from tests.limits.reserving import AT_ONCE, MINUTE, MONTH, Ledger, Shared, all_of, alone, running, until, want
from tests.support.counters import Clock


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


class Prompt(Shared):
    """Answers at once, and ``then`` is called after that, before whoever asked can go on."""

    then: Callable[[], object] | None = None

    @override
    async def turn(self, turn: Turn) -> Answer:
        if self.then is not None and turn.asks:
            asyncio.get_running_loop().call_soon(self.then)
        return play(self.state, turn, self._clock())


@pytest.mark.parametrize("all_there_is", [want(MONTH, 100), want(AT_ONCE, 2)])
async def test_who_leaves_in_the_moment_of_the_answer_keeps_nothing(all_there_is: tuple[Want, ...]) -> None:
    clock = Clock()
    counters = Prompt(clock)
    reserves = Reserves(counters, Ledger(), "w", clock)
    async with running(reserves):
        first = want(all_there_is[0].rule)
        await reserves.take(first)
        reserves.give_back(first, lambda _: 0)
        asking = asyncio.create_task(reserves.take(all_there_is))
        counters.then = asking.cancel
        await asyncio.wait([asking])
        counters.then = None

        assert asking.cancelled()
        assert (all_there_is[0].amount,) == await reserves.take(all_there_is)


async def test_an_answer_in_the_moment_the_time_is_up_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    reserves = Reserves(Prompt(clock), Ledger(), "w", clock)
    async with running(reserves):
        await asyncio.sleep(0)  # it runs, and answers within the turn of the loop that ends the time
        monkeypatch.setattr("runtime.limits.reserves.ANSWER_S", 0.0)
        assert (2,) == await reserves.take(want(AT_ONCE, 2))
        assert reserves.trouble is None


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
                    workers[which].give_back(taken, partial(all_of, used))
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
