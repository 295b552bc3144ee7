"""Progress told in a stream, to clients that ask for it with `X-OmniRoute-Progress`.

`true` asks for events of the name `progress`, which is what OmniRoute's clients listen for; `comment` for comment lines,
which every reader of event streams passes over. One at the begin, one every two seconds, one before the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final, Literal

import msgspec

from runtime.call import Complete, Streaming
from runtime.replay.kept import opened
from runtime.resilience import Door
from runtime.telemetry import CallRecord

__all__ = ["Form", "told", "wanted"]

EVERY_S: Final = 2.0
TERMINATORS: Final = (
    b"data: [DONE]",
    b"event: message_stop",
    b"event: response.completed",
    b"event: response.incomplete",
)
"""How the last event of a stream begins, at the begin of a line, where its dialect has such a one."""

Form = Literal["event", "comment"]


def wanted(headers: Mapping[str, str]) -> Form | None:
    """In which form the client asks for progress, if it does."""
    asked = headers.get("x-omniroute-progress", "").strip().lower()
    if asked in {"", "false", "0", "off"}:
        return None
    return "comment" if asked in {"comment", "comments"} else "event"


async def told(
    reply: Complete | Streaming, form: Form, record: CallRecord, door: Door, clock: Callable[[], float]
) -> Complete | Streaming:
    """``reply`` with progress in it, where it is a stream of events that bears it; a header says so. ``clock`` is the record's."""
    if isinstance(reply, Complete) or not reply.content_type.startswith("text/event-stream"):
        return reply
    chunks = await opened(_telling(reply.chunks, _Teller(form, record, clock), door))
    headers = (*reply.headers, ("x-omniroute-progress", "enabled"))
    return msgspec.structs.replace(reply, headers=headers, chunks=chunks)


class _Teller:
    def __init__(self, form: Form, record: CallRecord, clock: Callable[[], float]) -> None:
        self._form = form
        self._record = record
        self._clock = clock
        self._pieces = 0

    @property
    def went_well(self) -> bool:
        """Nothing says `done` of an answer that was cut."""
        return self._record.outcome == "ok"

    def count(self, data: bytes) -> None:
        """A piece of text is about a token: providers send one or few in each event."""
        self._pieces += data.count(b"\n\n")

    def line(self, *, done: bool = False) -> bytes:
        usage = self._record.usage
        exact = done and usage is not None
        facts: dict[str, object] = {
            "tokens_generated": usage.output if exact and usage is not None else self._pieces,
            "elapsed_ms": round((self._clock() - self._record.started_s) * 1000),
            "attempts": len(self._record.attempts),
        }
        facts |= {} if exact else {"estimated": True}
        facts |= {"done": True} if done else {}
        text = msgspec.json.encode(facts)
        return b"event: progress\ndata: " + text + b"\n\n" if self._form == "event" else b": progress " + text + b"\n\n"


async def _telling(chunks: AsyncGenerator[bytes, None], teller: _Teller, door: Door) -> AsyncGenerator[bytes, None]:
    ended = False
    async with aclosing(chunks), aclosing(_timed(chunks, door)) as timed:
        yield b""
        yield teller.line()
        async for data in timed:
            if data is None:
                if not ended:
                    yield teller.line()
                continue
            at = _terminator(data)
            if at >= 0 and not ended:
                ended = True
                teller.count(data[:at])
                yield data[:at] + teller.line(done=True) + data[at:]
            else:
                teller.count(data)
                yield data
    if not ended and teller.went_well:
        yield teller.line(done=True)


def _terminator(data: bytes) -> int:
    """Where the last event of the stream begins in ``data``; -1 where it does not."""
    for mark in TERMINATORS:
        if data.startswith(mark):
            return 0
        at = data.find(b"\n" + mark)
        if at >= 0:
            return at + 1
    return -1


async def _timed(chunks: AsyncGenerator[bytes, None], door: Door) -> AsyncGenerator[bytes | None, None]:
    """What ``chunks`` give, and None whenever the time has come to tell."""
    pending: asyncio.Task[bytes | None] | None = None
    loop = asyncio.get_running_loop()
    due_s = loop.time() + EVERY_S
    try:
        while True:
            pending = pending or asyncio.create_task(_next(chunks))
            try:
                await asyncio.wait((pending,), timeout=max(0.0, due_s - loop.time()))
            except asyncio.CancelledError:
                if door.farewell() is None:
                    raise
                pending.cancel()  # whoever makes the answer says farewell in its dialect
                await asyncio.wait((pending,))
            if pending.done():
                data, pending = pending.result(), None
                if data is None:
                    return
                yield data
            if loop.time() >= due_s:
                due_s = loop.time() + EVERY_S
                yield None
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.wait((pending,))


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(chunks, None)
