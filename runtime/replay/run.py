"""One answer under way that several clients follow: it is asked for once, and each gets the same bytes.

The work is a task of its own, so that no client's leaving ends it for the others; when the last one has left it is
cancelled. A stream is held as far as the limit allows, so that whoever joins late begins at its beginning; beyond the
limit nobody can join any more, and the slowest follower sets the pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec

from runtime.call import Complete, Streaming
from runtime.errors import Conflict, GatewayError
from runtime.replay.kept import Origin, opened
from runtime.resilience import Door
from runtime.telemetry import CallRecord

__all__ = ["Run"]

ASK_S: Final = 0.25


class Follower:
    """Where one client is in the stream: how many pieces it has had."""

    def __init__(self) -> None:
        self.at = 0


class Run:
    """``record`` is that of the client who came first; its call ends when the work has, so that nothing used is lost.

    ``settle`` is called once at the end, with the reply (None: there is none) and the whole body (None: longer than the
    limit, or not complete); what it does is done before the answer's end is handed out. ``wanted`` tells whether somebody waits
    in another process.
    """

    def __init__(
        self,
        record: CallRecord,
        fingerprint: bytes,
        obtain: Callable[[], Awaitable[Complete | Streaming]],
        settle: Callable[[Complete | Streaming | None, bytes | None, BaseException | None], Awaitable[None]],
        wanted: Callable[[], Awaitable[bool]],
        door: Door,
        limit_bytes: int,
    ) -> None:
        self.record = record
        self.fingerprint = fingerprint
        self._obtain = obtain
        self._settle = settle
        self._wanted = wanted
        self._door = door
        self._limit_bytes = limit_bytes
        self._reply: Complete | Streaming | None = None
        self._error: Exception | None = None
        self._pieces: list[bytes] = []
        self._base = 0
        self._held_bytes = 0
        self._spilt = self._given_up = False
        self._followers: set[Follower] = set()
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._work())

    @property
    def over(self) -> bool:
        """Whether nobody can join: the work has ended, or was given up."""
        return self._given_up or self._task.done()

    async def follow(self, record: CallRecord) -> Complete | Streaming:
        """The answer for one more client, whose call ``record`` is. Raises what the work raised; Conflict for a late one."""
        if self._base:
            raise Conflict("a request with this idempotency key is being answered, at too great a length to repeat")
        follower = Follower()
        self._followers.add(follower)
        try:
            while self._reply is None and not self._task.done():
                await self._wait()
            reply = self._outcome()
            if isinstance(reply, Streaming):
                chunks = await opened(self._read(follower, record))
                return msgspec.structs.replace(reply, chunks=chunks)
        except BaseException:
            await self._leave(follower, record)
            raise
        await self._leave(follower, record)
        return reply

    def _outcome(self) -> Complete | Streaming:
        if self._error is not None:
            raise self._error
        if self._reply is None:
            raise Conflict("the request that held this idempotency key was given up; try again", retry_after_s=1)
        return self._reply

    async def _read(self, follower: Follower, record: CallRecord) -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            while True:
                if follower.at - self._base < len(self._pieces):
                    data = b"".join(self._pieces[follower.at - self._base :])
                    follower.at = self._base + len(self._pieces)
                    self._tell()
                    yield data
                elif self._task.done():
                    break
                else:
                    await self._wait()
            if self._error is not None:
                raise self._error
            if record is not self.record:
                record.outcome, record.error = self.record.outcome, self.record.error
        finally:
            await self._leave(follower, record)

    async def _wait(self) -> None:
        """Until something is new. At a shutdown the work says farewell, and everybody hears it."""
        try:
            await self._changed.wait()
        except asyncio.CancelledError:
            if self._door.farewell() is None:
                raise

    async def _leave(self, follower: Follower, record: CallRecord) -> None:
        self._followers.discard(follower)
        self._tell()
        if record is not self.record:
            Origin.of(self.record).tell(record)
        try:
            await self._while_wanted()
        finally:
            if not self._followers and not self._task.done():
                self._given_up = True
                self._task.cancel()
        if record is self.record or not self._followers:
            await asyncio.wait((self._task,))

    async def _while_wanted(self) -> None:
        """Nobody follows here: go on for as long as somebody waits elsewhere."""
        while not self._followers and not self._task.done() and await self._wanted():
            await asyncio.wait((self._task,), timeout=ASK_S)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -- the work

    async def _work(self) -> None:
        try:
            with self._door:
                await self._make()
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None:
                raise
            self._error = farewell
        except Exception as error:  # noqa: BLE001 — raised again to everybody who follows
            self._error = error
        finally:
            self._tell()

    async def _make(self) -> None:
        reply: Complete | Streaming | None = None
        body: bytes | None = None
        fault: BaseException | None = None
        try:
            reply = await self._obtain()
            if isinstance(reply, Streaming):
                self._reply = reply
                self._tell()
                await self._pump(reply.chunks)
                whole = not self._spilt and self.record.outcome == "ok"
                body = b"".join(self._pieces) if whole else None
            elif len(reply.body) <= self._limit_bytes:
                body = reply.body
        except (GatewayError, asyncio.CancelledError) as error:
            fault = error
            raise
        finally:
            await self._settle(reply, body, fault)
        self._reply = reply

    async def _pump(self, chunks: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(chunks):
            async for data in chunks:
                if not data:
                    continue
                self._held_bytes += len(data)
                if self._held_bytes > self._limit_bytes:
                    await self._spill()
                self._pieces.append(data)
                self._tell()

    async def _spill(self) -> None:
        """Wait until everybody has read what is held, and let go of it."""
        self._spilt = True
        while any(each.at < self._base + len(self._pieces) for each in self._followers):
            await self._changed.wait()
        self._base += len(self._pieces)
        self._pieces.clear()
