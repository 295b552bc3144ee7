"""An answer on its way: kept before its end leaves, whole or as a stream, however the stream is cut into pieces."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from runtime.gateway import Complete, Streaming
from runtime.protocols.base import Envelope
from runtime.replay.kept import opened
from runtime.services.keeping import Frames, Keeping
from runtime.services.response_request import Asking
from runtime.stores.base import Item, StoredResponse, StoreError
from tests.support.responses import MemoryResponses

QUESTION = Item(id="msg_q", body=b'{"role":"user","content":"q"}')


def event(type_: str, end: str = "\n", **fields: Any) -> bytes:
    data = json.dumps({"type": type_, **fields})
    return f"event: {type_}{end}data: {data}{end}{end}".encode()


def response(status: str, output: Sequence[Any] = (), id_: str = "resp_1") -> dict[str, Any]:
    return {"id": id_, "status": status, "output": list(output), "previous_response_id": None}


ITEM = {"id": "msg_a", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A"}]}
CREATED = event("response.created", response=response("in_progress"))
DELTA = event("response.output_text.delta", delta='"type":"response.completed"')
DONE = event("response.output_item.done", item=ITEM)
COMPLETED = event("response.completed", response=response("completed", [ITEM]))
WHOLE = CREATED + DELTA + DONE + COMPLETED


class Failing(MemoryResponses):
    @override
    async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
        raise StoreError("the disk is full")


class Desk:
    def __init__(self, store: MemoryResponses | None = None, *, previous: str | None = None, chosen: str | None = None):
        self.store = store or MemoryResponses()
        self.faults: list[Exception] = []
        numbers = itertools.count(1)
        self.keeping = Keeping(
            self.store,
            Asking(
                envelope=Envelope("m", True, {}), context=(QUESTION,), previous=previous, keep=True, background=False
            ),
            owner="anna",
            chosen=chosen,
            created_s=7.0,
            new_id=lambda: f"new{next(numbers)}",
            on_fault=self.faults.append,
        )

    async def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        reply = await self.keeping.take(Complete(headers=(), body=json.dumps(body).encode()))
        assert isinstance(reply, Complete)
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

    async def stream(self, pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
        async def chunks() -> AsyncGenerator[bytes, None]:
            for piece in pieces:
                yield piece

        reply = await self.keeping.take(
            Streaming(headers=(), content_type="text/event-stream", keep_alive=None, chunks=chunks())
        )
        assert isinstance(reply, Streaming)
        return reply.chunks

    async def all(self, *pieces: bytes) -> bytes:
        return b"".join([piece async for piece in await self.stream(pieces)])

    async def kept(self, id_: str = "resp_1") -> tuple[str, Any, list[str]] | None:
        found = await self.store.get(("anna", id_))
        items = await self.store.conversation(("anna", id_))
        if found is None or items is None:
            return None
        assert found.created_s == 7.0
        return found.status, json.loads(found.body), [item.id for item in items]


async def test_a_whole_answer_is_kept_as_it_goes_out() -> None:
    desk = Desk()
    body = json.dumps(response("completed", [ITEM]), indent=1).encode()
    reply = await desk.keeping.take(Complete(headers=(("a", "b"),), body=body))

    assert reply == Complete(headers=(("a", "b"),), body=body)
    assert await desk.kept() == ("completed", json.loads(body), ["msg_q", "msg_a"])


async def test_an_answer_names_the_response_it_continues() -> None:
    desk = Desk(previous="resp_0")
    answer = await desk.whole(response("completed", [ITEM]))

    assert answer == response("completed", [ITEM]) | {"previous_response_id": "resp_0"}
    assert await desk.kept() == ("completed", answer, ["msg_q", "msg_a"])


async def test_what_is_no_response_passes_unkept() -> None:
    desk = Desk(previous="resp_0")

    assert await desk.whole({"hello": 1}) == {"hello": 1}
    assert desk.store.puts == 0


async def test_an_answer_gets_its_own_id_in_place_of_one_that_may_come_again() -> None:
    desk = Desk(chosen="resp_1")
    out = await desk.all(WHOLE)

    assert b"resp_1" not in out
    assert out.count(b"resp_new1") == 2
    assert await desk.kept("resp_new1") is not None


async def test_an_id_that_is_not_the_clients_stays_with_every_other_byte() -> None:
    desk = Desk(chosen="resp_mine")
    assert await desk.all(WHOLE) == WHOLE
    assert await desk.kept() is not None


async def test_an_output_item_without_an_id_gets_one() -> None:
    desk = Desk()
    await desk.whole(response("completed", [{"type": "reasoning"}]))
    found = await desk.kept()

    assert found is not None
    assert found[2] == ["msg_q", "rs_new1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_a_stream_passes_unchanged_and_is_kept_however_it_is_cut(end: str) -> None:
    whole = b"".join(
        (
            b": comment" + end.encode() * 2,
            event("response.created", end, response=response("in_progress")),
            event("response.output_text.delta", end, delta="x"),
            event("response.completed", end, response=response("completed", [ITEM])),
            b"data: [DONE]" + end.encode() * 2,
        )
    )
    for size in (1, 2, 7, 64, len(whole)):
        desk = Desk()
        out = await desk.all(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert out == whole
        assert await desk.kept() == ("completed", response("completed", [ITEM]), ["msg_q", "msg_a"])


async def test_a_stream_names_the_response_it_continues_in_every_event_that_holds_the_response() -> None:
    desk = Desk(previous="resp_0")
    out = await desk.all(WHOLE)

    said = [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: ")]
    assert [each["response"]["previous_response_id"] for each in said if "response" in each] == ["resp_0", "resp_0"]
    assert [line for line in out.split(b"\n") if line.startswith(b"event")] == [
        line for line in WHOLE.split(b"\n") if line.startswith(b"event")
    ]
    assert DELTA in out


async def test_a_stream_is_kept_before_its_end_leaves() -> None:
    desk = Desk()
    chunks = await desk.stream([CREATED, DELTA, COMPLETED])
    seen = []
    async for piece in chunks:
        seen.append((b"response.completed" in piece and DELTA != piece, desk.store.puts))

    assert seen == [(False, 0), (False, 0), (True, 1)]


@pytest.mark.parametrize("type_", ["completed", "incomplete", "failed"])
async def test_every_end_of_a_stream_is_kept(type_: str) -> None:
    desk = Desk()
    await desk.all(CREATED, event(f"response.{type_}", response=response(type_, [ITEM])))

    assert await desk.kept() == (type_, response(type_, [ITEM]), ["msg_q", "msg_a"])


async def test_what_comes_behind_the_end_is_not_kept() -> None:
    desk = Desk()
    failed = event("response.failed", response=response("failed"))
    said = await desk.all(WHOLE, failed)

    assert said == WHOLE + failed
    assert await desk.kept() == ("completed", response("completed", [ITEM]), ["msg_q", "msg_a"])


async def test_a_client_that_leaves_makes_it_cancelled_with_what_was_finished() -> None:
    desk = Desk()
    chunks = await desk.stream([CREATED, DONE, DELTA, COMPLETED])
    for _ in range(3):
        await anext(chunks)
    await chunks.aclose()

    expected = response("cancelled", [ITEM]) | {"error": None}
    assert await desk.kept() == ("cancelled", expected, ["msg_q", "msg_a"])


async def test_a_client_that_leaves_while_it_is_kept_does_not_undo_that() -> None:
    class Slow(MemoryResponses):
        @override
        async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
            await asyncio.sleep(0.02)
            await super().put(response, context, output)

    desk = Desk(Slow())
    call = asyncio.create_task(desk.all(WHOLE))
    await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0.03)

    found = await desk.kept()
    assert found is not None
    assert found[0] == "completed"


async def test_a_client_that_leaves_before_the_answer_began_leaves_nothing() -> None:
    desk = Desk()
    chunks = await desk.stream([b": wait\n\n", CREATED])
    await anext(chunks)
    await chunks.aclose()

    assert desk.store.puts == 0


async def test_a_client_that_leaves_before_it_was_sent_anything_lets_the_answer_go() -> None:
    let_go: list[bool] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            yield WHOLE
        finally:
            let_go.append(True)

    desk = Desk()
    source = await opened(chunks())
    taken = await desk.keeping.take(
        Streaming(headers=(), content_type="text/event-stream", keep_alive=None, chunks=source)
    )
    assert isinstance(taken, Streaming)
    await taken.chunks.aclose()

    assert ([True], 0) == (let_go, desk.store.puts)


async def test_a_stream_that_just_stops_is_kept_as_failed() -> None:
    desk = Desk()
    await desk.all(CREATED, DONE)

    found = await desk.kept()
    assert found is not None
    assert (found[0], found[1]["error"]["code"]) == ("failed", "server_error")


async def test_where_the_store_fails_the_answer_says_that_it_was_not_kept() -> None:
    desk = Desk(Failing())

    assert (await desk.whole(response("completed")))["store"] is False
    out = await Desk(Failing()).all(WHOLE)
    assert json.loads(out.split(b"data: ")[-1])["response"]["store"] is False
    assert [str(fault) for fault in desk.faults] == ["the disk is full"]


@given(st.lists(st.sampled_from([b"data: x\n\n", b"\n", b"\r\n", b"\r", b"a", b": c\r\n\r\n"])), st.data())
def test_frames_lose_no_byte(pieces: list[bytes], data: st.DataObject) -> None:
    frames, whole, out = Frames(), b"".join(pieces), b""
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        out += b"".join(frames.feed(whole[:size]))
        whole = whole[size:]

    assert out + frames.rest() == b"".join(pieces)
