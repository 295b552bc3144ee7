"""Several streamed answers as one, each piece as it comes; a client that reads slowly slows them all.

Knows neither dialects nor HTTP: a piece is bytes of one call that may stand between those of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from itertools import islice
from typing import TypeVar

import msgspec

from runtime.gateway import Call, Streaming

__all__ = ["Merging", "all_of"]

T = TypeVar("T")


class _Piece(msgspec.Struct, frozen=True):
    """``data`` of a call that has ``failed`` is the last of the whole answer. ``over``: a worker has no more."""

    data: bytes = b""
    failed: bool = False
    over: bool = False
    error: Exception | None = None


class Merging:
    """Asks ``calls`` in order, ``at_once`` at a time. ``complete`` once all of them have ended well.

    Whoever has begun must close: that closes every stream.
    """

    def __init__(self, calls: Iterable[Call], at_once: int, ask: Callable[[Call], Awaitable[Streaming]]) -> None:
        self._waiting = iter(calls)
        self._at_once = at_once
        self._ask = ask
        self._begun: list[tuple[Call, Streaming]] = []
        self._workers: list[asyncio.Task[None]] = []
        self._ready: asyncio.Queue[_Piece] = asyncio.Queue(1)
        self._closed = False
        self.complete = False

    async def begin(self) -> list[Streaming]:
        """Ask the first ones, and wait until all of those have begun to answer. Raises what the first failure raised."""

        async def begin_one(call: Call) -> None:
            self._begun.append((call, await self._ask(call)))

        try:
            await all_of([begin_one(call) for call in islice(self._waiting, self._at_once)])
        except BaseException:
            await self.aclose()
            raise
        return [streaming for _, streaming in self._begun]

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All pieces. Ends behind the error event of the first stream that broke.

        Raises the error of the first call that was refused.
        """
        self._workers = [asyncio.create_task(self._work(call, streaming)) for call, streaming in self._begun]
        working = len(self._workers)
        while working:
            piece = await self._ready.get()
            if piece.error is not None:
                raise piece.error
            if piece.data:
                yield piece.data
            if piece.failed:
                return
            working -= piece.over
        self.complete = True

    async def aclose(self) -> None:
        """Close every stream, read to its end or not."""
        self._closed = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for _, streaming in self._begun:
            await streaming.chunks.aclose()

    async def _work(self, call: Call, streaming: Streaming) -> None:
        """Read one stream after the other until no call waits."""
        try:
            while await self._read(call, streaming):
                following = next(self._waiting, None)
                if following is None:
                    await self._ready.put(_Piece(over=True))
                    return
                call, streaming = following, await self._ask(following)
        except Exception as error:  # noqa: BLE001 — raised where somebody waits for it
            await self._ready.put(_Piece(error=error))

    async def _read(self, call: Call, streaming: Streaming) -> bool:
        """Hand on one stream. Whether it ended well."""
        async with aclosing(streaming.chunks) as chunks:
            async for data in chunks:
                if self._closed:  # told to go, it may still say farewell, which nobody hears
                    return False
                failed = call.record.outcome != "ok"
                if data:
                    await self._ready.put(_Piece(data, failed=failed))
                if failed:
                    return False
        return True


async def all_of(asked: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """What all of them give. The first failure cancels the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in asked]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
