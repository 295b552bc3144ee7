"""Hedging: exactly one answer, nobody left behind, a row for each; over sockets, and over every order of events."""

from __future__ import annotations

import asyncio
import json
import selectors
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generated.config import HedgeSettings
from runtime.catalog import Endpoint
from runtime.config.plan import Plan
from runtime.errors import GatewayError, InvalidRequest, RateLimited, UpstreamFailed
from runtime.resilience import Health
from runtime.routing import Attempt, Attempts, Pace, Race, RouteTable
from runtime.telemetry import CallRecord
from tests.routing.test_attempts import BROKEN, several
from tests.routing.test_faults import FORMS, answered, healthy, said_error
from tests.support.pipeline import Act, compiled
from tests.support.raw_server import RawConnection, RawRequest

HEDGED = "combos: {smart: {targets: [a/m, b/m, c/m], hedge: {after: 50ms}}}\n"


PATIENCE_S = 30
"""How long a test waits for what must come; nothing depends on how soon it does."""


class Held:
    """A target that does not act before it is told to."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self.answers = asyncio.Event()

    async def __call__(self, connection: RawConnection, request: RawRequest) -> None:
        await self.answers.wait()
        await self._act(connection, request)


class Silent:
    """A target that never answers, and knows when it was let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def __call__(self, connection: RawConnection, request: RawRequest) -> None:
        await connection.gone()
        self.let_go.set()


@pytest.mark.parametrize(("client", "stream"), FORMS)
async def test_a_slow_target_is_overtaken_and_let_go_at_once(client: str, stream: bool) -> None:
    slow = Silent()
    async with several(HEDGED, {"a": slow, "b": healthy, "c": healthy}) as (made, servers):
        said = await made.call(client=client, stream=stream)

        answered(said, client, stream=stream)
        assert [("a/m", "cancelled"), ("b/m", "ok")] == said.attempts
        assert ("b/m", "b") == (said.record.served, said.record.provider)
        assert 200 == said.record.upstream_status
        assert "b/m" == said.headers["x-gatewright-served"]
        assert said.record.usage is not None
        await asyncio.wait_for(slow.let_go.wait(), PATIENCE_S)
        assert 0 == made.health.lane("a/m", "a/default").in_flight
        assert 1.0 == made.health.lane("a/m", "a/default").success
        assert [] == servers["c"].requests
        assert any("hedge" == getattr(step, "kind", "") for step in said.record.trail)


async def test_a_quick_target_is_asked_alone() -> None:
    async with several(HEDGED.replace("50ms", "20s"), {"a": healthy, "b": healthy, "c": healthy}) as (made, servers):
        said = await made.call()

        assert [("a/m", "ok")] == said.attempts
        assert [] == servers["b"].requests


async def test_beside_a_target_the_same_one_is_asked_over_its_next_connection_first() -> None:
    config = "combos: {smart: {targets: [a/m, b/m], hedge: {after: 50ms}}}\n"
    two = "connections: [{id: one}, {id: two}], models: {m: {}}"
    held = Held(BROKEN)
    async with several(config + "retries: {per_target: 0}\n", {"a": held, "b": healthy}, {"a": two}) as (made, servers):
        calling = asyncio.create_task(made.call())
        while len(servers["a"].requests) < 2:
            await asyncio.sleep(0.01)
        assert [] == servers["b"].requests
        held.answers.set()
        said = await calling

        asked = [(each.target, each.connection) for each in said.record.attempts]
        assert [("a/m", "a/one"), ("a/m", "a/two"), ("b/m", "b/default")] == asked


async def test_no_more_than_are_allowed_are_asked_at_once() -> None:
    held = [Held(BROKEN) for _ in range(3)]
    config = HEDGED + "retries: {per_target: 0}\n"
    async with several(config, dict(zip("abc", held, strict=True))) as (made, servers):
        calling = asyncio.create_task(made.call())
        for number, name in enumerate("abc"):
            while not servers[name].requests:
                await asyncio.sleep(0.01)
            if number:  # two are asked: for as long as neither has answered, nobody else is
                await asyncio.sleep(0.12)
                assert [1, 1, number - 1] == [len(servers[each].requests) for each in "abc"]
                held[number - 1].answers.set()
        held[2].answers.set()
        said = await calling

        assert said.error is not None
        assert ["server_error"] * 3 == [outcome for _, outcome in said.attempts]


async def test_a_failure_brings_the_next_one_at_once_and_a_fault_of_the_clients_ends_it() -> None:
    config = HEDGED.replace("50ms", "20s")
    async with several(config, {"a": said_error(401, "no", "invalid_api_key"), "b": healthy, "c": healthy}) as (
        made,
        _,
    ):
        assert [("a/m", "upstream_auth"), ("b/m", "ok")] == (await made.call()).attempts
    async with several(config, {"a": said_error(400, "bad", "invalid_value"), "b": healthy, "c": healthy}) as (
        made,
        servers,
    ):
        said = await made.call()

        assert said.error is not None
        assert 400 == said.error.http_status
        assert [] == servers["b"].requests


async def test_a_client_that_leaves_lets_everybody_go() -> None:
    slow = [Silent(), Silent()]
    async with several(HEDGED, {"a": slow[0], "b": slow[1], "c": healthy}) as (made, servers):
        calling = asyncio.create_task(made.call(stream=True))
        while not servers["b"].requests:
            await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

        await asyncio.wait_for(asyncio.gather(*(each.let_go.wait() for each in slow)), PATIENCE_S)
        assert 0 == made.health.lane("a/m", "a/default").in_flight == made.health.lane("b/m", "b/default").in_flight


async def test_counting_tokens_is_not_worth_a_race() -> None:
    async with several(HEDGED, {"a": healthy, "b": healthy, "c": healthy}) as (made, servers):
        count = await made.gateway.count(made.make("anthropic_messages", "smart", stream=False))

        assert count.estimated
        assert [] == servers["a"].requests + servers["b"].requests


async def test_the_log_tells_of_all_who_were_asked() -> None:
    async with several(HEDGED, {"a": Silent(), "b": healthy, "c": healthy}) as (made, _):
        await made.call()

        line = json.loads(made.log.getvalue().splitlines()[-1])
        assert ["cancelled", "ok"] == [each["outcome"] for each in line["attempts"]]
        assert "b/m" == line["served"]


# -- every order of events

ERRORS: tuple[type[GatewayError], ...] = (UpstreamFailed, RateLimited, InvalidRequest)


class Answer:
    def __init__(self, target: str) -> None:
        self.target = target
        self.closed = False


def plan(count: int, at_once: int) -> Plan:
    names = [f"p{number}" for number in range(count)]
    surfaces = "local: true, surfaces: {openai_chat: {}}, auth: {scheme: none}, models: {m: {}}"
    providers = "".join(f"  {name}: {{base_url: 'http://127.0.0.1:1', {surfaces}}}\n" for name in names)
    targets = ", ".join(f"{name}/m" for name in names)
    combo = f"combos: {{smart: {{targets: [{targets}], hedge: {{after: 2ms, at_once: {at_once}}}}}}}\n"
    return compiled(f"providers:\n{providers}{combo}retries: {{per_target: 0}}\n")


PLANS = {(count, at_once): plan(count, at_once) for count in (2, 3, 4) for at_once in (2, 3)}


class TimelessLoop(asyncio.SelectorEventLoop):
    """A loop in which no time passes but that which somebody waits for, all at once: orders are those of the figures."""

    def __init__(self) -> None:
        self._skipped_s = 0.0
        self._inner = selectors.DefaultSelector()
        super().__init__(self._inner)
        self._select = self._inner.select
        self._inner.select = self._skip  # type: ignore[method-assign]

    def time(self) -> float:
        return self._skipped_s

    def _skip(self, timeout: float | None = None) -> Any:
        self._skipped_s += max(timeout or 0.0, 0.0)
        return self._select(0)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(PLANS)), st.data())
def test_exactly_one_answer_is_delivered_and_all_others_are_closed(shape: tuple[int, int], data: st.DataObject) -> None:
    outcomes = st.one_of(st.none(), st.sampled_from(ERRORS))
    acts = [(data.draw(st.integers(0, 8)), data.draw(outcomes)) for _ in range(shape[0])]
    leaves_ms = data.draw(st.one_of(st.none(), st.integers(0, 10)))
    lets_go_ms = data.draw(st.integers(0, 3))
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(_race(PLANS[shape], shape[1], acts, leaves_ms, lets_go_ms))


def test_a_client_that_leaves_while_the_others_are_let_go_leaves_none_of_them() -> None:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        for leaves_ms in range(20):
            runner.run(_race(PLANS[3, 3], 3, [(8, None), (6, None), (4, None)], leaves_ms, 5))


def test_nobody_is_asked_in_place_of_one_that_failed_when_another_has_answered() -> None:
    """In the same moment: that one would be paid for, and never heard."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        asked = runner.run(_race(PLANS[3, 2], 2, [(4, UpstreamFailed), (2, None), (8, None)], None, 0))
    assert ["p0/m", "p1/m"] == asked


async def _race(
    made: Plan,
    at_once: int,
    acts: list[tuple[int, type[GatewayError] | None]],
    leaves_ms: int | None,
    lets_go_ms: int,
) -> list[str]:
    """Who was asked."""
    clock = asyncio.get_running_loop().time
    health = Health(made.breakers, made.cooldowns, {}, clock)
    pace = Pace(retries=made.retries, total_ms=60_000, queue_ms=10)
    attempts = Attempts(health, pace, asyncio.sleep, Random(1))
    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0)
    prepared = RouteTable(made, dict.fromkeys(made.connections, "k")).prepared("smart", "openai_chat", Endpoint.CHAT)
    given_: list[Answer] = []
    running = most = 0

    async def ask(attempt: Attempt) -> Answer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        wait_ms, error = acts[int(attempt.candidate.id[1])]
        try:
            await asyncio.sleep(wait_ms / 1000)
        finally:
            running -= 1
        if error is not None:
            raise error("x")
        given_.append(Answer(attempt.candidate.id))
        attempt.held = True
        return given_[-1]

    async def let_go(answer: Answer) -> None:
        try:
            await asyncio.sleep(lets_go_ms / 1000)
        finally:
            answer.closed = True

    pursuit = attempts.pursue(prepared, lambda: None, record)  # type: ignore[arg-type, return-value]
    assert isinstance(prepared.hedge, HedgeSettings)
    racing = asyncio.ensure_future(Race(pursuit, prepared.hedge, record, ask, let_go).answer())
    if leaves_ms is not None:
        await asyncio.wait([racing], timeout=leaves_ms / 1000)
        racing.cancel()
    try:
        answer: Answer | None = await racing
    except (GatewayError, asyncio.CancelledError):
        answer = None

    assert 0 == running
    assert most <= at_once
    assert [each for each in given_ if not each.closed] == ([answer] if answer is not None else [])
    open_rows = [row.target for row in record.attempts if not row.outcome]
    assert open_rows == ([answer.target] if answer is not None else [])
    assert len(record.attempts) == len({row.target for row in record.attempts})
    lanes = [health.lane(row.target, row.connection) for row in record.attempts]
    assert sum(lane.in_flight for lane in lanes) == len(open_rows)
    return [row.target for row in record.attempts]
