"""Calls, answers and a place for them, without a gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from itertools import count
from typing import Any

from generated.config import IdempotencySettings
from runtime.call import Call, Complete, Streaming
from runtime.protocols import client_codec, codec
from runtime.protocols.base import Asked
from runtime.replay.idempotency import Once
from runtime.resilience import Door
from runtime.shared import SharedState
from runtime.shared.memory import MemoryState
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord

IDS = count()


def make_call(
    body: Mapping[str, Any] | bytes | None = None,
    *,
    protocol: str = "openai_chat",
    key: str = "team",
    headers: Mapping[str, str] | None = None,
    stream: bool | None = None,
    models: tuple[str, ...] = (),
    asked: Asked = Asked(),
) -> Call:
    """A client's request; Chat's simplest unless it says otherwise."""
    if not isinstance(body, bytes):
        said = (
            {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0} if body is None else body
        )
        body = json.dumps(dict(said) | ({} if stream is None else {"stream": stream})).encode()
    speaks = client_codec(protocol) if protocol in {"openai_completions", "ollama_generate"} else codec(protocol)
    return Call(
        codec=speaks,
        envelope=speaks.peek(body, asked),
        headers=dict(headers or {}),
        key=KeyRecord(id=key, scopes=frozenset({"chat"}), models=models),
        record=CallRecord(id=f"r{next(IDS)}", operation="chat", protocol=protocol, started_s=time.monotonic()),
    )


class Model:
    """Answers when it is let; counts how often it was asked, and how many askings ended how.

    ``pieces`` makes the answer a stream. ``error`` is raised in its place; with ``cut`` the stream ends in an error event.
    """

    def __init__(self, body: bytes = b"answer", pieces: Iterable[bytes] | None = None) -> None:
        self.body = body
        self.pieces = None if pieces is None else list(pieces)
        self.error: Exception | None = None
        self.cut = False
        self.asked = 0
        self.finished = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.read = 0

    async def __call__(self, call: Call) -> Complete | Streaming:
        self.asked += 1
        call.record.provider = "sim"
        if self.pieces is not None:
            chunks = self._chunks(call)
            await anext(chunks)
            return Streaming(
                headers=(("x-gatewright-served", "sim/m"),),
                content_type="text/event-stream",
                keep_alive=b": keep-alive\n\n",
                chunks=chunks,
            )
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        self.finished += 1
        return Complete(headers=(("x-gatewright-served", "sim/m"),), body=self.body)

    async def _chunks(self, call: Call) -> AsyncGenerator[bytes, None]:
        assert self.pieces is not None
        whole = False
        try:
            yield b""
            for number, piece in enumerate(self.pieces):
                if number:
                    await self.gate.wait()
                self.read += 1
                yield piece
            if self.cut:
                call.record.outcome, call.record.error = "error", "upstream_protocol"
                yield b"data: error\n\n"
            whole = True
        finally:
            if whole:
                self.finished += 1
            else:
                self.cancelled += 1


def once(shared: SharedState | None = None, door: Door | None = None, **settings: Any) -> Once:
    """One worker's."""
    ids = count()
    worker = next(IDS)

    def on_fault(error: Exception, request_id: str) -> None:
        del error, request_id

    return Once(
        IdempotencySettings(**settings),
        5.0,
        shared or MemoryState(time.monotonic),
        door or Door(),
        time.time,
        lambda: f"{worker}-{next(ids)}",
        on_fault,
    )


async def body_of(reply: Complete | Streaming) -> bytes:
    """All of an answer's bytes."""
    if isinstance(reply, Complete):
        return reply.body
    return b"".join([piece async for piece in reply.chunks])


async def turns(number: int = 20) -> None:
    """Let everybody go on."""
    for _ in range(number):
        await asyncio.sleep(0)
