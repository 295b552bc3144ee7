"""What accounts may still use: declared limits are kept, reports are believed until they end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from generated.config import BreakerSettings, ConnectionLimit, CooldownSettings
from runtime.errors import RateLimited
from runtime.resilience import Health
from runtime.resilience.quota import Quotas, Window
from runtime.resilience.quota_news import QUOTA, tell_quotas, told_quota
from runtime.resilience.reported import Reported
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.shared.memory import MemoryState
from tests.support.routing import Time

MINUTE = 60.0
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 4)), max_size=40)


@given(limit=st.integers(1, 6), length_s=st.floats(1, 200), steps=STEPS)
def test_no_stretch_of_the_time_holds_more_than_the_limit(
    limit: int, length_s: float, steps: list[tuple[float, int]]
) -> None:
    """Whoever asks before each request, and sends it only when told that it may, never goes beyond the limit."""
    window, now_s, sent = Window(limit, length_s), 0.0, list[float]()
    for wait_s, wanted in steps:
        now_s += wait_s
        for _ in range(wanted):
            if window.due_s(now_s) is None:
                window.add(1, now_s)
                sent.append(now_s)

    assert all(sum(at - length_s < other <= at for other in sent) <= limit for at in sent)


@given(limit=st.integers(1, 6), length_s=st.floats(1, 200), steps=STEPS)
def test_what_is_used_up_is_back_when_it_was_said_to_be(
    limit: int, length_s: float, steps: list[tuple[float, int]]
) -> None:
    window, now_s = Window(limit, length_s), 0.0
    for wait_s, used in steps:
        now_s += wait_s
        window.add(used, now_s)
        due_s = window.due_s(now_s)
        if due_s is not None:
            assert now_s < due_s <= now_s + length_s * 1.1
            now_s = due_s
            assert window.due_s(due_s) is None


def test_what_is_left_is_said_as_a_part() -> None:
    window = Window(4, MINUTE)
    window.add(3, 0.0)

    assert 0.25 == window.headroom(1.0)
    window.add(9, 1.0)
    assert 0.0 == window.headroom(1.0)
    assert 1.0 == window.headroom(100.0)


def quotas(*limits: ConnectionLimit) -> Quotas:
    return Quotas({"p/a": limits}, 3600.0)


def test_all_limits_of_a_connection_hold_and_only_its_own() -> None:
    made = quotas(ConnectionLimit(requests=1, per_ms=60_000), ConnectionLimit(tokens=10, per_ms=3_600_000))
    made.sent("p/a", 0.0)
    first = made.full_until_s("p/a", 0.0)
    made.used("p/a", 10, 0.0)
    second = made.full_until_s("p/a", 0.0)

    assert first is not None
    assert second is not None
    assert first < 3600 <= second
    assert made.full_until_s("p/a", first) == second
    assert made.full_until_s("p/b", 0.0) is None
    assert made.full_until_s("p/a", second) is None


def test_a_report_holds_until_its_reset_for_its_model_and_connection() -> None:
    made = quotas()
    made.learn("p/a", "p/m", [Reported("-requests", 0.0, 5.0), Reported("-tokens", 0.5, 9.0)], 100.0)

    assert 105.0 == made.spent_until_s("p/a", "p/m", 104.9)
    assert made.spent_until_s("p/a", "p/m", 105.0) is None
    assert made.spent_until_s("p/a", "p/other", 101.0) is None
    assert made.spent_until_s("p/b", "p/m", 101.0) is None
    assert (0.0, 0.5, 1.0) == tuple(made.headroom("p/a", "p/m", now_s) for now_s in (101.0, 106.0, 109.0))


def test_a_later_report_takes_the_place_of_an_earlier_one_and_none_is_believed_for_ever() -> None:
    made = quotas()
    made.learn("p/a", "p/m", [Reported("", 0.0, 1e9)], 0.0)
    assert 3600.0 == made.spent_until_s("p/a", "p/m", 0.0)
    made.learn("p/a", "p/m", [Reported("", 0.1, 60.0)], 1.0)

    assert made.spent_until_s("p/a", "p/m", 1.0) is None


def test_a_connection_at_its_limit_is_hindered_until_that_has_passed() -> None:
    time = Time()
    limits = {"p/a": (ConnectionLimit(requests=2, per_ms=60_000),)}
    health = Health(BreakerSettings(), CooldownSettings(), {}, time.clock, limits)
    for _ in range(2):
        assert health.hindrance("p/m", "p/a") is None
        ticket = health.enter("p/m", "p/a")
        assert ticket is not None
        ticket.sent()
        ticket.end()
    found = health.hindrance("p/other", "p/a")

    assert found is not None
    assert ("limit", RateLimited) == (found.reason, type(found.error))
    assert health.hindrance("p/m", "p/b") is None
    time.now_s = found.due_s
    assert health.hindrance("p/m", "p/a") is None


# -- several workers


class AlarmError(Exception):
    """The test has slept enough."""


async def test_workers_together_keep_to_one_limit_and_what_could_not_be_told_is_told_later() -> None:
    time = Time()
    shared = Away(time.clock)
    limits = {"p/a": (ConnectionLimit(requests=3, per_ms=60_000), ConnectionLimit(tokens=100, per_ms=60_000))}
    healths = {name: Health(BreakerSettings(), CooldownSettings(), {}, time.clock, limits) for name in ("one", "two")}
    everybody = {
        name: Colleagues(shared, name, lambda: "q", {QUOTA: told_quota(health, name)})
        for name, health in healths.items()
    }

    async def told(name: str, *, times: int) -> None:
        left = [None] * times

        async def sleep(_: float) -> None:
            if not left:
                raise AlarmError
            left.pop()

        with suppress(AlarmError):
            await tell_quotas(healths[name], name, everybody[name], sleep)

    async with AsyncExitStack() as stack:
        for each in everybody.values():
            listening = asyncio.create_task(each.listen())
            stack.callback(listening.cancel)
        await asyncio.sleep(0)
        for _ in range(2):
            ticket = healths["one"].enter("p/m", "p/a")
            assert ticket is not None
            ticket.sent()
            ticket.used(10)
            ticket.end()
        shared.away = True
        await told("one", times=3)
        shared.away = False
        await told("one", times=3)
        async with asyncio.timeout(20):
            while healths["two"].headroom("p/m", "p/a") == 1:
                await asyncio.sleep(0.01)

        assert healths["two"].headroom("p/m", "p/a") == healths["one"].headroom("p/m", "p/a") == pytest.approx(1 / 3)
        assert healths["two"].take_used() == {}


class Away(MemoryState):
    away = False

    @override
    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        if self.away:
            raise SharedError("away")
        return await super().entries(topic, prefix, limit)


def test_other_limits_count_what_was_used_before_them() -> None:
    minute, hour = ConnectionLimit(requests=2, per_ms=60_000), ConnectionLimit(requests=5, tokens=10, per_ms=3_600_000)
    quotas = Quotas({"c": (minute, hour)}, MINUTE)
    for _ in range(2):
        quotas.sent("c", 0.0)
    quotas.used("c", 9, 0.0)
    assert quotas.full_until_s("c", 1.0) is not None

    quotas.configure({"c": (ConnectionLimit(requests=3, per_ms=60_000), hour)}, MINUTE)
    assert quotas.full_until_s("c", 1.0) is None
    quotas.sent("c", 1.0)
    assert quotas.full_until_s("c", 1.0) is not None

    quotas.configure({"c": (hour,)}, MINUTE)
    assert quotas.full_until_s("c", 1.0) is None
    quotas.used("c", 1, 1.0)
    assert quotas.full_until_s("c", 1.0) is not None
    quotas.configure({}, MINUTE)
    assert quotas.full_until_s("c", 1.0) is None


def test_two_limits_over_the_same_time_are_the_smaller_one() -> None:
    limits = {"c": (ConnectionLimit(requests=5, per_ms=60_000), ConnectionLimit(requests=2, per_ms=60_000))}
    quotas = Quotas(limits, MINUTE)
    quotas.sent("c", 0.0)
    assert quotas.full_until_s("c", 0.0) is None
    quotas.sent("c", 0.0)
    assert quotas.full_until_s("c", 0.0) is not None
