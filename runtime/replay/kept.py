"""An answer as it is kept: the client's bytes, whole, with what a reply needs beside them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec

from runtime.call import Complete, Streaming
from runtime.telemetry import CallRecord

__all__ = ["Kept", "Origin", "gathering", "opened"]

PIECE_BYTES: Final = 64 << 10
BLANK_LINES: Final = (b"\n\n", b"\n\r\n")
LINES: Final = (b"\n",)


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Who made an answer: the target's public id, its provider and the connection, as `CallRecord` has them."""

    served: str = ""
    provider: str = ""
    connection: str = ""

    @classmethod
    def of(cls, record: CallRecord) -> Origin:
        return cls(record.served, record.provider, record.connection)

    def tell(self, record: CallRecord) -> None:
        """``record`` is of a call that gets this answer once more."""
        record.served, record.provider, record.connection = self.served, self.provider, self.connection


class Kept(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``streamed`` tells which kind of reply it was; ``made_s`` is when it was complete, in Unix seconds."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    streamed: bool = False
    content_type: str = ""
    keep_alive: bytes | None = None
    made_s: float = 0.0
    origin: Origin = Origin()

    async def reply(self, more: tuple[tuple[str, str], ...] = ()) -> Complete | Streaming:
        """The answer once more, of the kind it was."""
        headers = (*self.headers, *more)
        if not self.streamed:
            return Complete(headers=headers, body=self.body)
        chunks = await opened(self._pieces())
        return Streaming(headers=headers, content_type=self.content_type, keep_alive=self.keep_alive, chunks=chunks)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """Whole events, or lines, in each: what is told meanwhile stands between them."""
        yield b""
        body, start = self.body, 0
        marks = BLANK_LINES if self.content_type.startswith("text/event-stream") else LINES
        while start < len(body):
            end = _end(body, marks, start, start + PIECE_BYTES)
            yield body[start:end]
            start = end


def _end(body: bytes, marks: tuple[bytes, ...], start: int, about: int) -> int:
    """Behind the last mark up to ``about``, else behind the first after it; the end of ``body`` where there is none."""
    if about >= len(body):
        return len(body)
    before = [at + len(mark) for mark in marks if (at := body.rfind(mark, start, about)) >= 0]
    if before:
        return max(before)
    after = [at + len(mark) for mark in marks if (at := body.find(mark, max(start, about - len(mark)))) >= 0]
    return min(after, default=len(body))


async def gathering(
    chunks: AsyncGenerator[bytes, None], limit_bytes: int, end: Callable[[bytes | None], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    """``chunks``, handed on as they come. At their end ``end`` gets them all, or None where they are more than the limit.

    Where the stream is left before, or raises, ``end`` is not called. To be opened by `opened`.
    """
    seen: bytearray | None = bytearray()
    async with aclosing(chunks):
        yield b""
        async for data in chunks:
            if seen is not None:
                seen += data
                if len(seen) > limit_bytes:
                    seen = None
            yield data
    await end(bytes(seen) if seen is not None else None)


async def opened(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """``chunks`` past its first, empty piece: closing it then runs what its `finally` holds, even when it was not read."""
    await anext(chunks)
    return chunks
