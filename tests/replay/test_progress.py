"""Progress is told between events, as often as it is due, and `done` only of what came to its end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator

import pytest

from runtime.call import Complete, Streaming
from runtime.replay import progress
from runtime.replay.kept import Kept, opened
from runtime.resilience import Door
from runtime.telemetry import CallRecord
from tests.replay.support import turns


def record() -> CallRecord:
    return CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=time.monotonic())


async def streaming(pieces: list[bytes], kind: str = "text/event-stream", wait_s: float = 0) -> Streaming:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b""
        for piece in pieces:
            await asyncio.sleep(wait_s)
            yield piece

    return Streaming(headers=(), content_type=kind, keep_alive=None, chunks=await opened(chunks()))


async def told(reply: Streaming, form: progress.Form = "event", call: CallRecord | None = None) -> list[bytes]:
    out = await progress.told(reply, form, call or record(), Door(), time.monotonic)
    assert isinstance(out, Streaming)
    assert ("x-omniroute-progress", "enabled") in out.headers
    return [piece async for piece in out.chunks]


@pytest.mark.parametrize(
    "last",
    [b"data: [DONE]\n\n", b"event: message_stop\ndata: {}\n\n", b"event: response.completed\ndata: {}\n\n"],
)
async def test_one_at_the_begin_and_one_before_the_last_event(last: bytes) -> None:
    pieces = [b"data: one\n\n", b"data: two\n\n" + last]
    out = b"".join(await told(await streaming(pieces)))
    events = out.split(b"\n\n")[:-1]
    assert [b"event: progress", b"data: one", b"data: two", b"event: progress", last.split(b"\n")[0]] == [
        each.split(b"\n")[0] for each in events
    ]
    final = json.loads(events[3].split(b"data: ")[1])
    assert (2, True, True) == (final["tokens_generated"], final["done"], final["estimated"])


async def test_comments_are_passed_over_by_every_reader() -> None:
    out = b"".join(await told(await streaming([b"data: one\n\n", b"data: [DONE]\n\n"]), "comment"))
    assert b"data: one\n\ndata: [DONE]\n\n" == b"".join(
        each + b"\n\n" for each in out.split(b"\n\n")[:-1] if not each.startswith(b": progress {")
    )
    assert 2 == out.count(b": progress {")


async def test_in_a_silence_it_is_told_when_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    out = await told(await streaming([b"data: one\n\n"], wait_s=0.1))
    assert 4 <= b"".join(out).count(b"event: progress")


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n"], ids=["LF", "CRLF"])
async def test_what_is_told_amid_an_answer_that_is_given_again_stands_between_its_events(
    monkeypatch: pytest.MonkeyPatch, blank: bytes
) -> None:
    """A slow reader of a long one: a line is due with every piece."""
    monkeypatch.setattr(progress, "EVERY_S", -1.0)
    events = [b"data: " + b"x" * length for length in (*range(1, 900), 200_000, 3)]
    body = b"".join(each + blank for each in (*events, b"data: [DONE]"))
    kept = Kept(headers=(), body=body, streamed=True, content_type="text/event-stream")
    reply = await kept.reply()
    assert isinstance(reply, Streaming)
    out = b"".join(await told(reply, "comment"))

    found = out.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]
    lines = [number for number, each in enumerate(found) if each.startswith(b": progress {")]
    assert [*events, b"data: [DONE]"] == [each for number, each in enumerate(found) if number not in lines]
    assert len(found) - 2 == lines[-1]
    assert b'"done":true' in found[-2]
    assert 4 < len(lines)


async def test_an_answer_that_was_cut_is_not_done() -> None:
    call = record()
    call.outcome = "error"
    assert b'"done"' not in b"".join(await told(await streaming([b"data: error\n\n"]), call=call))


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
async def test_a_dialect_that_bears_no_events_says_so_by_saying_nothing(kind: str) -> None:
    reply = await streaming([b"{}\n"], kind)
    assert reply is await progress.told(reply, "event", record(), Door(), time.monotonic)
    whole = Complete(headers=(), body=b"{}")
    assert whole is await progress.told(whole, "event", record(), Door(), time.monotonic)


async def silent_behind(pieces: list[bytes]) -> tuple[Streaming, asyncio.Event]:
    """A stream whose progress is told, which says nothing more behind ``pieces``; and what is set when it is closed."""
    closed = asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            for piece in pieces:
                yield piece
            await asyncio.Event().wait()
        finally:
            closed.set()

    inner = Streaming(headers=(), content_type="text/event-stream", keep_alive=None, chunks=await opened(chunks()))
    out = await progress.told(inner, "event", record(), Door(), time.monotonic)
    assert isinstance(out, Streaming)
    return out, closed


async def test_a_client_that_leaves_closes_what_it_listened_to() -> None:
    out, closed = await silent_behind([b"data: one\n\n"])

    async def read() -> None:
        try:
            async for _ in out.chunks:
                pass
        finally:
            await out.chunks.aclose()

    reading = asyncio.create_task(read())
    await turns()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert closed.is_set()


async def test_a_client_that_is_lost_at_a_line_of_progress_closes_what_it_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    out, closed = await silent_behind([])
    begin, in_a_silence = await anext(out.chunks), await anext(out.chunks)
    for line in (begin, in_a_silence):
        assert line.startswith(b"event: progress")

    await out.chunks.aclose()

    assert closed.is_set()


async def test_at_a_shutdown_the_farewell_of_the_dialect_comes_through() -> None:
    door = Door()

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield b"data: farewell\n\n"

    inner = Streaming(headers=(), content_type="text/event-stream", keep_alive=None, chunks=await opened(chunks()))

    async def read() -> bytes:
        with door:
            out = await progress.told(inner, "event", record(), door, time.monotonic)
            assert isinstance(out, Streaming)
            return b"".join([piece async for piece in out.chunks])

    reading = asyncio.create_task(read())
    await turns()
    await door.close(0.01)
    assert b"data: farewell\n\n" in await reading


@pytest.mark.parametrize(
    ("value", "form"),
    [("", None), ("false", None), ("0", None), ("true", "event"), ("1", "event"), ("comment", "comment")],
)
def test_who_asks_gets_it(value: str, form: str | None) -> None:
    assert form == progress.wanted({"x-omniroute-progress": value})
    assert progress.wanted({}) is None
