"""Responses that are made in the background, against a scripted gateway: every way one can end, and what is told of it."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from typing_extensions import override

from runtime.errors import (
    AuthenticationFailed,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    UpstreamUnavailable,
)
from runtime.gateway import Call, Complete, Gateway
from runtime.protocols.base import Answer, ClientCodec, Envelope
from runtime.resilience import Door
from runtime.services.background import Background
from runtime.services.response_request import Asking
from runtime.services.runs import Runs
from runtime.stores.base import Item, Key, Status, StoredResponse, StoreError, StoreGoneError
from runtime.telemetry import CallRecord, Metrics, Recorder
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger
from runtime.web.key import KeyRecord
from tests.support.responses import MemoryResponses

KEY: Key = ("anna", "resp_new1")
ITEM = {"id": "msg_a", "type": "message", "role": "assistant", "content": []}
ANSWER = {"id": "resp_upstream", "status": "completed", "output": [ITEM], "background": False}
FOREVER = object()


def event(type_: str, **fields: Any) -> bytes:
    return (
        b"data: " + json.dumps({"type": type_, "response": {"id": "resp_x", "output": [], **fields}}).encode() + b"\n\n"
    )


class Encoder:
    def feed(self, events: Sequence[object]) -> bytes:
        return event("response.created", status="in_progress", error=None)

    def fail(self, error: GatewayError) -> bytes:
        return event("response.created", status="in_progress") + event(
            "response.failed", status="failed", error={"code": error.kind, "message": error.message}
        )


class Codec:
    protocol = "openai_responses"

    def decode_request(self, envelope: Envelope, headers: object) -> None:
        if "bad" in envelope.fields:
            raise InvalidRequest("bad", param="bad")

    def stream_encoder(self, answer: Answer) -> Encoder:
        return Encoder()


class Script:
    """Answers with what it is given: a body, an error to raise, or FOREVER."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.refusal: GatewayError | None = None
        self.cancelled = False
        self.gate = asyncio.Event()
        self.gate.set()

    def check(self, call: Call) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def infer(self, call: Call) -> Complete:
        if isinstance(self.answer, Exception):
            raise self.answer
        try:
            if self.answer is FOREVER:
                self.gate.clear()
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return Complete(headers=(), body=json.dumps(self.answer).encode())


class Books(Recorder):
    def __init__(self) -> None:
        ticks = itertools.count(1)
        log = logger("error", "json", "b", Lines(io.StringIO()))
        super().__init__(Metrics("b", "v"), log, lambda: float(next(ticks)))
        self.ended: list[CallRecord] = []

    @override
    def end(self, call: CallRecord) -> None:
        self.ended.append(call)
        super().end(call)


class Desk:
    def __init__(self, answer: Any, store: MemoryResponses | None = None, limit: int = 5) -> None:
        self.script = Script(answer)
        self.store = store or MemoryResponses()
        self.books = Books()
        self.door = Door()
        self.faults: list[Exception] = []
        self.runs = Runs(self.store, limit, lambda: 50.0, self._fault, poll_s=0.001)
        numbers = itertools.count(1)
        self.background = Background(
            cast("Gateway", self.script),
            self.books,
            self.store,
            self.runs,
            self.door,
            lambda: 50.0,
            lambda: f"new{next(numbers)}",
            self._fault,
        )

    def _fault(self, error: Exception, request_id: str) -> None:
        self.faults.append(error)

    async def queue(self, **fields: Any) -> dict[str, Any]:
        asking = Asking(
            envelope=Envelope("m", False, fields),
            context=(Item(id="msg_q", body=b"{}"),),
            previous="resp_0",
            keep=True,
            background=True,
        )
        self.posted = self.books.begin("id-1", "chat", "openai_responses")
        call = Call(
            codec=cast("ClientCodec", Codec()),
            envelope=asking.envelope,
            headers={},
            key=KeyRecord(id="anna", scopes=frozenset({"chat"})),
            record=self.posted,
        )
        answer: dict[str, Any] = json.loads(await self.background.queue(call, asking))
        return answer

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                await asyncio.sleep(0)

    async def end(self) -> tuple[str, dict[str, Any], list[str]]:
        """Wait for the run's record, and return what the store says then."""
        await self.until(lambda: bool(self.books.ended))
        row = self.store.rows[KEY]
        return row.response.status, json.loads(row.response.body), [item.id for item in row.context + row.output]


async def test_it_is_queued_at_once_and_completed_later() -> None:
    desk = Desk(ANSWER)
    queued = await desk.queue()

    assert {name: queued[name] for name in ("id", "status", "background", "store", "previous_response_id")} == {
        "id": "resp_new1",
        "status": "queued",
        "background": True,
        "store": True,
        "previous_response_id": "resp_0",
    }
    status, body, items = await desk.end()
    assert status == "completed"
    assert body == ANSWER | {"id": "resp_new1", "background": True, "store": True, "previous_response_id": "resp_0"}
    assert items == ["msg_q", "msg_a"]
    (record,) = desk.books.ended
    assert (record.operation, record.outcome, record.status, record.key) == ("chat", "ok", 200, "anna")
    assert desk.posted.operation == "queue"


async def test_it_is_in_progress_while_it_is_made() -> None:
    desk = Desk(FOREVER)
    await desk.queue()
    await desk.until(lambda: desk.store.rows[KEY].response.status == "in_progress")

    assert json.loads(desk.store.rows[KEY].response.body)["status"] == "in_progress"
    await desk.runs.aclose()


@pytest.mark.parametrize("status", ["incomplete", "failed"])
async def test_an_answer_that_ended_otherwise_says_so(status: Status) -> None:
    desk = Desk(ANSWER | {"status": status})
    await desk.queue()

    assert (await desk.end())[0] == status


async def test_an_error_is_the_response_failed() -> None:
    desk = Desk(UpstreamUnavailable("not there"))
    await desk.queue()
    status, body, _ = await desk.end()

    assert status == "failed"
    assert (body["id"], body["status"]) == ("resp_new1", "failed")
    assert body["error"] == {"code": "unavailable", "message": "not there"}
    (record,) = desk.books.ended
    assert (record.outcome, record.error, record.status) == ("error", "unavailable", 503)


async def test_a_fault_of_ours_is_told_without_its_inside() -> None:
    desk = Desk(ZeroDivisionError("secret"))
    await desk.queue()
    status, body, _ = await desk.end()

    assert status == "failed"
    assert "secret" not in json.dumps(body)
    assert [type(fault) for fault in desk.faults] == [ZeroDivisionError]
    assert desk.books.ended[0].status == 500


async def test_an_answer_that_is_no_response_is_the_response_failed() -> None:
    desk = Desk({"hello": 1})
    await desk.queue()

    assert (await desk.end())[1]["error"]["code"] == "upstream_protocol"


async def test_a_refusal_comes_before_anything_is_kept() -> None:
    desk = Desk(ANSWER)
    desk.script.refusal = ModelNotFound("no such model")

    with pytest.raises(ModelNotFound):
        await desk.queue()
    desk.script.refusal = None
    with pytest.raises(InvalidRequest):
        await desk.queue(bad=1)
    assert desk.store.puts == 0
    assert not desk.books.ended


async def test_beyond_the_limit_it_is_refused() -> None:
    desk = Desk(FOREVER, limit=1)
    await desk.queue()

    with pytest.raises(RateLimited):
        await desk.queue()
    await desk.runs.aclose()


async def test_those_that_come_at_once_are_no_more_than_the_limit() -> None:
    class Slow(MemoryResponses):
        @override
        async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
            await asyncio.sleep(0)
            await super().put(response, context, output)

    desk = Desk(FOREVER, Slow(), limit=2)
    told = await asyncio.gather(*(desk.queue() for _ in range(12)), return_exceptions=True)

    assert 2 == sum(isinstance(each, dict) for each in told)
    assert 10 == sum(isinstance(each, RateLimited) for each in told)
    await desk.runs.aclose()


async def test_where_nothing_can_be_kept_the_place_is_free_again() -> None:
    class Full(MemoryResponses):
        full = True

        @override
        async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
            if self.full:
                raise StoreError("full")
            await super().put(response, context, output)

    store = Full()
    desk = Desk(ANSWER, store, limit=1)
    with pytest.raises(StoreError):
        await desk.queue()
    store.full = False

    assert (await desk.queue())["status"] == "queued"
    await desk.until(lambda: bool(desk.books.ended))


async def test_cancelled_elsewhere_it_closes_the_upstream_and_stays_cancelled() -> None:
    desk = Desk(FOREVER)
    await desk.queue()
    await desk.until(lambda: desk.store.rows[KEY].response.status == "in_progress")
    await desk.store.set_status(KEY, "cancelled", b'{"status":"cancelled"}')

    assert (await desk.end())[0] == "cancelled"
    assert desk.script.cancelled
    assert [(record.outcome, record.status) for record in desk.books.ended] == [("cancelled", 200)]


async def test_cancelled_before_it_began_it_never_begins() -> None:
    class Cancelled(MemoryResponses):
        @override
        async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
            return False

    desk = Desk(AssertionError("it was asked"), Cancelled())
    await desk.queue()
    await desk.end()

    assert not desk.faults
    assert [(record.outcome, record.status) for record in desk.books.ended] == [("cancelled", 200)]


async def test_a_shutdown_ends_it_as_failed_after_its_grace() -> None:
    desk = Desk(FOREVER)
    await desk.queue()
    await desk.until(lambda: desk.store.rows[KEY].response.status == "in_progress")

    assert await desk.door.close(0.001) == 1
    status, body, _ = await desk.end()
    assert status == "failed"
    assert "shut down" in body["error"]["message"]


async def test_a_revoked_key_ends_it_as_failed() -> None:
    desk = Desk(FOREVER)
    with desk.door as visit:
        visit.owner = "anna"
        await desk.queue()
    await desk.until(lambda: desk.store.rows[KEY].response.status == "in_progress")

    error = AuthenticationFailed("the API key was revoked", code="invalid_api_key")
    assert desk.door.dismiss(frozenset({"anna"}), error) == 1
    status, body, _ = await desk.end()
    assert (status, body["error"]["message"]) == ("failed", "the API key was revoked")
    assert [(record.outcome, record.status) for record in desk.books.ended] == [("error", 401)]


async def test_a_shutdown_waits_for_it() -> None:
    desk = Desk(ANSWER)
    desk.script.gate.clear()
    await desk.queue()
    await desk.until(lambda: desk.store.rows[KEY].response.status == "in_progress")
    closing = asyncio.create_task(desk.door.close(5))
    await asyncio.sleep(0)
    desk.script.gate.set()

    assert await closing == 0
    assert (await desk.end())[0] == "completed"


async def test_where_the_store_fails_at_the_end_the_record_still_ends_once() -> None:
    class Full(MemoryResponses):
        @override
        async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
            if status == "in_progress":
                return await super().set_status(key, status, body, output)
            raise StoreError("full")

    desk = Desk(ANSWER, Full())
    await desk.queue()
    status, _, _ = await desk.end()

    assert status == "in_progress"
    assert [str(fault) for fault in desk.faults] == ["full", "full"]
    assert len(desk.books.ended) == 1


class Away(MemoryResponses):
    """Does not answer whoever says that a response is ``when``, for so many ``times``."""

    def __init__(self, when: Status, times: float) -> None:
        super().__init__()
        self.when = when
        self.times = times

    @override
    async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
        if status == self.when and self.times > 0:
            self.times -= 1
            raise StoreGoneError("it restarts")
        return await super().set_status(key, status, body, output)


@pytest.mark.parametrize("when", ["in_progress", "completed"])
async def test_a_store_that_is_away_for_a_while_loses_no_answer(when: Status) -> None:
    desk = Desk(ANSWER, Away(when, 3))
    await desk.queue()
    status, body, items = await desk.end()

    assert (status, body["output"], items) == ("completed", [ITEM], ["msg_q", "msg_a"])
    assert not desk.faults
    assert [(record.outcome, record.status) for record in desk.books.ended] == [("ok", 200)]


async def test_a_store_that_stays_away_holds_up_no_shutdown() -> None:
    store = Away("completed", float("inf"))
    desk = Desk(ANSWER, store)
    await desk.queue()
    await desk.until(lambda: desk.script.gate.is_set() and store.rows[KEY].response.status == "in_progress")
    async with asyncio.timeout(20):
        await desk.door.close(10)
        await desk.runs.aclose()

    assert 1 == len(desk.books.ended)
