"""A request that comes twice with one key is made once, and nobody gets less than a whole answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from typing_extensions import override

from runtime.call import Streaming
from runtime.errors import Conflict, GatewayError, InvalidRequest, LimitExceeded, Refused, UpstreamUnavailable
from runtime.limits.admission import BudgetReached, LimitReached, TooMuch
from runtime.replay import idempotency
from runtime.shared import SharedError
from runtime.shared.memory import MemoryState
from tests.replay.support import Model, body_of, make_call, once, turns

KEYED = {"idempotency-key": "k1"}
PIECES = [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]
LIMITS = {LimitReached, BudgetReached, TooMuch}
IDEMPOTENT = ("x-omniroute-idempotent", "true")


async def test_without_a_key_each_request_is_made() -> None:
    door, model = once(), Model()
    for _ in range(2):
        await door.infer(make_call(), model)
    assert 2 == model.asked


@pytest.mark.parametrize("pieces", [None, PIECES])
async def test_a_second_request_gets_the_same_bytes_and_is_told_so(pieces: list[bytes] | None) -> None:
    desk, model = once(), Model(pieces=pieces)
    first = await desk.infer(make_call(headers=KEYED, stream=pieces is not None), model)
    bytes_ = await body_of(first)
    second = await desk.infer(make_call(headers=KEYED, stream=pieces is not None), model)

    assert 1 == model.asked
    assert bytes_ == await body_of(second)
    assert IDEMPOTENT not in first.headers
    assert (*first.headers, IDEMPOTENT) == second.headers
    assert type(first) is type(second)


async def test_duplicates_that_come_while_the_first_runs_wait_for_it() -> None:
    desk, model = once(), Model()
    model.gate.clear()
    calls = [make_call(headers=KEYED) for _ in range(5)]
    tasks = [asyncio.create_task(desk.infer(call, model)) for call in calls]
    await turns()
    model.gate.set()
    replies = await asyncio.gather(*tasks)

    assert 1 == model.asked
    assert [b"answer"] * 5 == [await body_of(reply) for reply in replies]
    assert [False, True, True, True, True] == [IDEMPOTENT in reply.headers for reply in replies]
    assert ["", *["idempotent"] * 4] == [call.record.replay for call in calls]


async def test_a_duplicate_joins_a_stream_at_its_beginning_and_follows_it() -> None:
    desk, model = once(), Model(pieces=PIECES)
    model.gate.clear()
    first = await desk.infer(make_call(headers=KEYED, stream=True), model)
    assert isinstance(first, Streaming)
    assert PIECES[0] == await anext(first.chunks)
    second = await desk.infer(make_call(headers=KEYED, stream=True), model)
    assert isinstance(second, Streaming)
    assert PIECES[0] == await anext(second.chunks)
    model.gate.set()

    assert b"".join(PIECES[1:]) == await body_of(second) == await body_of(first)
    assert 1 == model.asked


@pytest.mark.parametrize("pieces", [None, PIECES])
async def test_a_first_that_leaves_takes_nothing_from_those_who_wait(pieces: list[bytes] | None) -> None:
    desk, model = once(), Model(pieces=pieces)
    model.gate.clear()
    streamed = pieces is not None

    async def read() -> bytes:
        return await body_of(await desk.infer(make_call(headers=KEYED, stream=streamed), model))

    first, second = asyncio.create_task(read()), asyncio.create_task(read())
    await turns()
    first.cancel()
    await turns()
    assert not first.done()  # its record is not ended before the work is
    model.gate.set()

    assert (b"".join(pieces) if pieces else b"answer") == await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (1, 1, 0) == (model.asked, model.finished, model.cancelled)


@pytest.mark.parametrize("pieces", [None, PIECES])
async def test_when_the_last_has_left_the_work_is_cancelled_and_the_key_is_free(pieces: list[bytes] | None) -> None:
    desk, model = once(), Model(pieces=pieces)
    model.gate.clear()
    streamed = pieces is not None

    async def read() -> bytes:
        return await body_of(await desk.infer(make_call(headers=KEYED, stream=streamed), model))

    both = [asyncio.create_task(read()) for _ in range(2)]
    await turns()
    for task in both:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    assert (1, 0, 1) == (model.asked, model.finished, model.cancelled)
    model.gate.set()

    assert (b"".join(pieces) if pieces else b"answer") == await read()
    assert 0 == desk.running


async def test_a_stream_that_nobody_read_is_let_go() -> None:
    desk, model = once(), Model(pieces=PIECES)
    model.gate.clear()
    reply = await desk.infer(make_call(headers=KEYED, stream=True), model)
    assert isinstance(reply, Streaming)
    await reply.chunks.aclose()
    assert (1, 0) == (model.cancelled, desk.running)


class Unreplaced(MemoryState):
    """Says when something is to be replaced, and never gets to it."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.asked = asyncio.Event()

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        self.asked.set()
        await asyncio.Event().wait()
        return await super().replace(topic, key, expected, value, ttl_s)


@pytest.mark.parametrize("pieces", [None, PIECES])
async def test_when_the_last_leaves_while_the_answer_is_being_kept_nothing_of_it_stays(
    pieces: list[bytes] | None,
) -> None:
    shared = Unreplaced()
    desk = once(shared)
    reading = asyncio.create_task(_read(desk, Model(pieces=pieces), pieces is not None))
    await shared.asked.wait()
    assert 1 == desk.running
    reading.cancel()
    await asyncio.wait([reading])

    assert 0 == desk.running


async def test_an_error_is_everybodys_who_waited_and_nobodys_after() -> None:
    desk, model = once(), Model()
    model.gate.clear()
    model.error = UpstreamUnavailable("down")
    tasks = [asyncio.create_task(desk.infer(make_call(headers=KEYED), model)) for _ in range(2)]
    await turns()
    model.gate.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [UpstreamUnavailable, UpstreamUnavailable] == [type(each) for each in told]
    assert 1 == model.asked
    model.error = None

    assert b"answer" == await body_of(await desk.infer(make_call(headers=KEYED), model))


async def test_a_stream_that_was_cut_is_not_kept_and_its_duplicates_know_that_it_failed() -> None:
    desk, model = once(), Model(pieces=PIECES[:2])
    model.cut = True
    model.gate.clear()
    first = await desk.infer(make_call(headers=KEYED, stream=True), model)
    call = make_call(headers=KEYED, stream=True)
    second = await desk.infer(call, model)
    model.gate.set()
    assert await body_of(first) == await body_of(second) == b"data: one\n\ndata: two\n\ndata: error\n\n"
    assert ("error", "upstream_protocol") == (call.record.outcome, call.record.error)
    model.cut, model.pieces = False, PIECES

    assert b"".join(PIECES) == await body_of(await desk.infer(make_call(headers=KEYED, stream=True), model))


@pytest.mark.parametrize("running", [False, True])
async def test_a_key_that_asked_for_something_else_is_refused(running: bool) -> None:
    desk, model = once(), Model()
    if running:
        model.gate.clear()
    first = asyncio.create_task(desk.infer(make_call(headers=KEYED), model))
    await turns()
    other = make_call({"model": "m", "messages": []}, headers=KEYED)
    with pytest.raises(Conflict) as caught:
        await desk.infer(other, model)
    assert "idempotency_key_reused" == caught.value.code
    model.gate.set()
    await first
    assert 1 == model.asked


@pytest.mark.parametrize(
    "other",
    [
        make_call(headers=KEYED, key="other"),
        make_call({"model": "m", "max_tokens": 1, "messages": []}, headers=KEYED, protocol="anthropic_messages"),
        make_call(headers={"idempotency-key": "k2"}),
    ],
    ids=["client key", "dialect", "idempotency key"],
)
async def test_nothing_is_shared_with(other: object) -> None:
    desk, model = once(), Model()
    await desk.infer(make_call(headers=KEYED), model)
    await desk.infer(other, model)  # type: ignore[arg-type]
    assert 2 == model.asked


async def test_the_window_ends() -> None:
    now = [0.0]
    desk, model = once(MemoryState(lambda: now[0]), window_ms=5000), Model()
    await desk.infer(make_call(headers=KEYED), model)
    now[0] = 4.9
    await desk.infer(make_call(headers=KEYED), model)
    assert 1 == model.asked
    now[0] = 5.1
    await desk.infer(make_call(headers=KEYED), model)
    assert 2 == model.asked


async def test_a_window_of_nothing_turns_it_off() -> None:
    desk, model = once(window_ms=0), Model()
    for _ in range(2):
        await desk.infer(make_call(headers=KEYED), model)
    assert 2 == model.asked


async def test_request_ids_are_keys_only_where_the_operator_says_so() -> None:
    tracing, deduplicating, model = once(), once(request_ids="deduplicate"), Model()
    for _ in range(2):
        await tracing.infer(make_call(headers={"x-request-id": "r"}), model)
    assert 2 == model.asked
    for _ in range(2):
        await deduplicating.infer(make_call(headers={"x-request-id": "r"}), model)
    assert 3 == model.asked


@pytest.mark.parametrize("name", ["", "x" * 256])
async def test_a_key_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        await once().infer(make_call(headers={"idempotency-key": name}), Model())


@pytest.mark.parametrize("pieces", [None, [b"x" * 60, b"y" * 60, b"z" * 60]])
async def test_too_long_an_answer_is_made_once_and_not_repeated(pieces: list[bytes] | None) -> None:
    desk, model = once(max_answer_bytes=100), Model(b"x" * 101, pieces)
    streamed = pieces is not None
    model.gate.clear()
    tasks = [asyncio.create_task(_read(desk, model, streamed)) for _ in range(2)]
    await turns()
    model.gate.set()
    whole = b"".join(pieces) if pieces else model.body
    assert [whole, whole] == await asyncio.gather(*tasks)

    with pytest.raises(Conflict):
        await desk.infer(make_call(headers=KEYED, stream=streamed), model)
    assert 1 == model.asked


async def test_beyond_what_is_held_the_slowest_sets_the_pace() -> None:
    desk, model = once(max_answer_bytes=100), Model(pieces=[b"x" * 60] * 10)
    slow = await desk.infer(make_call(headers=KEYED, stream=True), model)
    fast = await desk.infer(make_call(headers=KEYED, stream=True), model)
    reading = asyncio.create_task(body_of(fast))
    await turns()
    assert 2 == model.read  # one is held, one waits for room
    assert b"x" * 600 == await body_of(slow) == await reading


async def _read(desk: idempotency.Once, model: Model, streamed: bool) -> bytes:
    return await body_of(await desk.infer(make_call(headers=KEYED, stream=streamed), model))


# -- between workers


async def test_another_worker_waits_for_the_first_and_gives_its_answer() -> None:
    shared = MemoryState(time.monotonic)
    one, two, model = once(shared), once(shared), Model(pieces=PIECES)
    model.gate.clear()
    first = asyncio.create_task(_read(one, model, True))
    await turns()
    second = asyncio.create_task(two.infer(make_call(headers=KEYED, stream=True), model))
    await turns()
    model.gate.set()
    await first
    reply = await second

    assert b"".join(PIECES) == await body_of(reply)
    assert IDEMPOTENT in reply.headers
    assert 1 == model.asked


async def test_kept_answers_of_others_do_not_let_a_duplicate_be_made() -> None:
    shared = MemoryState(time.monotonic, 1 << 20)
    one, two, model = once(shared), once(shared), Model()
    model.gate.clear()
    first = asyncio.create_task(one.infer(make_call(headers=KEYED), model))
    await turns()
    for number in range(140):
        await shared.put(idempotency.TOPIC, f"other{number}", bytes(20_000), 600.0)
    second = asyncio.create_task(two.infer(make_call(headers=KEYED), model))
    await turns()
    model.gate.set()

    assert b"answer" == await body_of(await first) == await body_of(await second)
    assert 1 == model.asked


async def test_a_first_that_leaves_takes_nothing_from_those_who_wait_in_another_worker() -> None:
    shared = MemoryState(time.monotonic)
    one, two, model = once(shared), once(shared), Model(pieces=PIECES)
    model.gate.clear()
    first = asyncio.create_task(_read(one, model, True))
    await turns()
    second = asyncio.create_task(_read(two, model, True))
    await turns()
    first.cancel()
    await turns()
    model.gate.set()
    assert b"".join(PIECES) == await second
    assert (1, 1) == (model.asked, model.finished)


async def test_when_the_waiting_worker_gives_up_as_well_the_work_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAITING_S", 0.05)
    shared = MemoryState(time.monotonic)
    one, two, model = once(shared), once(shared), Model(pieces=PIECES)
    model.gate.clear()
    first = asyncio.create_task(_read(one, model, True))
    await turns()
    second = asyncio.create_task(_read(two, model, True))
    await turns()
    for task in (first, second):
        task.cancel()
    await asyncio.wait((first, second), timeout=20)
    assert (True, 0, 1) == (first.done(), model.finished, model.cancelled)


async def test_another_worker_is_told_the_error_it_waited_for() -> None:
    shared = MemoryState(time.monotonic)
    one, two, model = once(shared), once(shared), Model()
    model.gate.clear()
    model.error = UpstreamUnavailable("down", retry_after_s=3)
    first = asyncio.create_task(one.infer(make_call(headers=KEYED), model))
    await turns()
    second = asyncio.create_task(two.infer(make_call(headers=KEYED), model))
    await turns()
    model.gate.set()
    await asyncio.gather(first, return_exceptions=True)
    with pytest.raises(UpstreamUnavailable) as caught:
        await second
    assert (1, "down", 3) == (model.asked, caught.value.message, caught.value.retry_after_s)
    model.error = None

    assert b"answer" == await body_of(await two.infer(make_call(headers=KEYED), model))


def kinds_of(base: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds_of(kind)


@pytest.mark.parametrize("kind", sorted({*kinds_of(GatewayError), *LIMITS} - {Refused}, key=lambda kind: kind.__name__))
async def test_whatever_error_it_waited_for_another_worker_is_told_the_same(kind: type[GatewayError]) -> None:
    shared, model = MemoryState(time.monotonic), Model()
    one, two = once(shared), once(shared)
    model.gate.clear()
    model.error = kind("no", param="model", retry_after_s=3, code="c")
    first = asyncio.create_task(one.infer(make_call(headers=KEYED), model))
    await turns()
    second = asyncio.create_task(two.infer(make_call(headers=KEYED), model))
    await turns()
    model.gate.set()
    made, told = await asyncio.gather(first, second, return_exceptions=True)

    assert isinstance(made, GatewayError)
    assert isinstance(told, GatewayError)
    assert 1 == model.asked
    for name in ("http_status", "kind", "retryable", "message", "param", "retry_after_s", "code"):
        assert getattr(made, name) == getattr(told, name), name
    assert isinstance(told, LimitExceeded) == isinstance(made, LimitExceeded)


async def test_what_a_dead_worker_began_is_made_by_the_next_once_its_lease_is_over() -> None:
    now = [0.0]
    shared = MemoryState(lambda: now[0])
    dead = idempotency._Claim(shared, *_identity(), "dead", lambda _: None)
    await dead.take(1)
    assert dead._renewing is not None
    dead._renewing.cancel()
    model = Model()
    waiting = asyncio.create_task(once(shared).infer(make_call(headers=KEYED), model))
    await turns()
    assert (0, False) == (model.asked, waiting.done())
    now[0] = idempotency.LEASE_S + 0.1

    assert b"answer" == await body_of(await waiting)


class Renewed(MemoryState):
    """Says when a claim was made longer."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.again = asyncio.Event()

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        done = await super().replace(topic, key, expected, value, ttl_s)
        self.again.set()
        return done


async def test_a_lease_is_renewed_while_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "RENEW_S", 0.01)
    now = [0.0]
    shared = Renewed(lambda: now[0])
    one, two, model = once(shared), once(shared), Model()
    model.gate.clear()
    tasks = [asyncio.create_task(each.infer(make_call(headers=KEYED), model)) for each in (one, two)]
    for _ in range(3):
        shared.again.clear()
        async with asyncio.timeout(30):
            await shared.again.wait()
        now[0] += idempotency.LEASE_S - 0.1
    model.gate.set()
    await asyncio.gather(*tasks)
    assert 1 == model.asked


class Broken(MemoryState):
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        raise SharedError("away")


async def test_where_the_shared_state_is_away_a_request_is_made_and_its_duplicate_here_still_waits() -> None:
    desk, model = once(Broken(time.monotonic)), Model()
    model.gate.clear()
    tasks = [asyncio.create_task(desk.infer(make_call(headers=KEYED), model)) for _ in range(2)]
    await turns()
    model.gate.set()
    await asyncio.gather(*tasks)
    assert 1 == model.asked


def _identity() -> tuple[str, bytes]:
    call = make_call(headers=KEYED)
    return idempotency._digest("team", "openai_chat", "chat", "k1").hex(), idempotency._print(call)
