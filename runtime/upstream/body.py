"""An HTTP answer whose body is still coming: read as it is taken, with the idle and total limits on it.

Connecting, sending and the status line are `client`'s, the connection itself is `line`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from runtime.errors import UpstreamError, UpstreamProtocolError, UpstreamUnavailable
from runtime.upstream.coding import CODINGS, Decoding, decoding_of
from runtime.upstream.line import Answer
from runtime.upstream.timeouts import timeout_error
from runtime.upstream.types import Straight

__all__ = ["HttpResponse"]


class HttpResponse:
    """`UpstreamResponse` over HTTP. ``headers`` describe the body as handed out: a coding that was undone is not named.

    A header that came several times has its values joined by a comma.
    """

    __slots__ = (
        "_answer",
        "_decoding",
        "_end",
        "_failure",
        "_idle_s",
        "_loop",
        "_timer",
        "headers",
        "status",
    )

    def __init__(self, answer: Answer, loop: asyncio.AbstractEventLoop, idle_s: float, end: float) -> None:
        """``end`` is when the total limit passes, by the clock of ``loop``."""
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._loop = loop
        self._idle_s = idle_s
        self._end = end
        self._failure: UpstreamError | None = None
        self._decoding: Decoding | None = None
        self._timer: asyncio.TimerHandle | None = None
        if "content-encoding" in answer.headers:
            self._decode()
        if not answer.complete:
            self._timer = loop.call_at(min(loop.time() + idle_s, end), self._ring)

    async def read(self, max_bytes: int) -> bytes:
        answer = self._answer
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                data = self._at_hand()
                if data is None:
                    data = await anext(self, b"")
                size += len(data)
                if size > max_bytes:
                    raise UpstreamProtocolError(f"the provider's answer is larger than {max_bytes} bytes")
                parts.append(data)
                if not data or (answer.complete and not answer.parts and self._decoding is None):
                    break
        except BaseException:
            await self.aclose()
            raise
        self._over()
        return b"".join(parts)

    def chunks(self) -> AsyncIterator[bytes]:
        return self  # no async generator: one that is dropped half-way is closed by the loop, at a time of its own

    def go_straight(self, straight: Straight) -> None:
        if self._decoding is None:
            self._answer.straight = straight

    def __aiter__(self) -> HttpResponse:
        return self

    async def __anext__(self) -> bytes:
        """What has arrived since the last call, at least one byte. Cancelling closes the connection.

        What arrived before the connection broke is given first, the error with the next call. Nothing is given where
        `go_straight` says so.
        """
        answer = self._answer
        while True:
            if answer.line is None or self._decoding is not None:
                data = self._at_hand()
                if data:
                    return data
                if data is not None:
                    raise StopAsyncIteration
            elif answer.parts:
                return answer.take()
            answer.since_s = self._loop.time()
            answer.wake = self._loop.create_future()
            try:
                if await answer.wake:
                    return b""
            except asyncio.CancelledError:
                await self.aclose()
                raise

    async def aclose(self) -> None:
        self._over()
        answer = self._answer
        answer.straight = None
        if self._failure is None and (not answer.complete or answer.parts):
            self._failure = UpstreamUnavailable("the answer was let go before its end")
        if answer.line is not None:
            answer.line.cut()

    # -- inside

    def _at_hand(self) -> bytes | None:
        """What can be given now: nothing at the end, None where that is to be waited for. Raises what ended it."""
        if self._failure is not None:
            raise self._failure
        answer = self._answer
        if self._decoding is None:
            if answer.parts:
                return answer.take()
        elif data := self._decoded(self._decoding):
            return data
        if answer.complete:
            self._over()
            return b""
        if answer.failure is not None:
            self._failure = answer.failure
            self._over()
            raise self._failure
        return None

    def _decode(self) -> None:
        coding = self.headers["content-encoding"].strip().lower()
        if coding in CODINGS:
            self.headers = {
                name: value
                for name, value in self.headers.items()
                if name not in {"content-encoding", "content-length"}
            }
            try:
                self._decoding = decoding_of(coding)
            except UpstreamProtocolError as failure:
                self._fail(failure)

    def _decoded(self, decoding: Decoding) -> bytes:
        answer = self._answer
        try:
            while True:
                if data := decoding.take():
                    return data
                if more := answer.take():
                    decoding.push(more)
                    continue
                if answer.complete and answer.status not in {204, 304}:
                    decoding.finish()
                return b""
        except UpstreamProtocolError as failure:
            self._fail(failure)
            raise

    def _fail(self, failure: UpstreamError) -> None:
        self._failure = failure
        if self._answer.line is not None:
            self._answer.line.cut()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        """Whether a limit has passed.

        The timer is not moved at each read, which would cost more than the read: it looks how long the reader has been
        waiting, and sets itself again. Only waiting counts as silence: a reader that takes its time does not make the
        provider late. The total limit runs in any case, until the body is complete.
        """
        self._timer = None
        answer, now_s = self._answer, self._loop.time()
        if answer.complete or answer.failure is not None:
            return
        waits = answer.wake is not None and not answer.wake.done()
        since_s = answer.since_s if waits else now_s
        if now_s >= self._end:
            self._expire("total")
        elif now_s - since_s >= self._idle_s:
            self._expire("idle")
        else:
            self._timer = self._loop.call_at(min(since_s + self._idle_s, self._end), self._ring)

    def _expire(self, limit: str) -> None:
        line = self._answer.line
        self._failure = timeout_error(limit)
        self._answer.fail(self._failure)
        if line is not None:
            line.cut()
