"""An HTTP answer whose body is still coming: read as it is taken, with the idle and total limits on it.

Connecting, sending and the status line are `client`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast
from weakref import ref

from aiohttp import ClientResponse, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from runtime.errors import UpstreamError, UpstreamProtocolError, UpstreamUnavailable
from runtime.upstream.errors import failure_of_body
from runtime.upstream.timeouts import timeout_error

__all__ = ["HttpResponse", "Line", "abort"]

DECODED = frozenset({"gzip", "deflate", "br", "zstd"})
"""Content encodings that are undone before the body is handed out."""


class HttpResponse:
    """`UpstreamResponse` over HTTP. ``headers`` describe the body as handed out: a coding that was undone is not named.

    A header that came several times has its values joined by a comma.
    """

    __slots__ = ("_content", "_failure", "_line", "_response", "_watch", "headers", "status")

    def __init__(self, response: ClientResponse, line: Line, idle_s: float, end: float) -> None:
        self.status = response.status
        self.headers = _headers(response)
        self._response = response
        self._content = response.content
        self._failure: UpstreamError | None = None
        self._line = line
        self._watch = _Watch(response.content, idle_s, end, self._expire)
        if not response.content.is_eof():
            line.carries(self._content)

    async def read(self, max_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while data := await self.next():
            size += len(data)
            if size > max_bytes:
                await self.aclose()
                raise UpstreamProtocolError(f"the provider's answer is larger than {max_bytes} bytes")
            parts.append(data)
        return b"".join(parts)

    def chunks(self) -> AsyncIterator[bytes]:
        return _Chunks(self)

    async def next(self) -> bytes:
        """What has arrived since the last call, at least one byte; nothing at the end. Cancelling closes the connection.

        What arrived before the connection broke is given first, the error with the next call.
        """
        if self._failure is not None:
            raise self._failure
        if not self._content.is_eof():
            self._watch.waiting()
        try:
            data = await self._content.readany()
            broken = None if data else self._content.exception()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except Exception as failure:  # noqa: BLE001 — whatever the library raises, the connection has failed
            data, broken = b"" if self._watch.expired else _arrived(self._content), failure
        finally:
            self._watch.taken()
        if broken is not None:
            self._failure = failure_of_body(broken)
            if not data:
                raise self._failure
        return data

    async def aclose(self) -> None:
        self._watch.stop()
        if self._failure is None and not self._content.at_eof():
            self._failure = UpstreamUnavailable("the answer was let go before its end")
        if self._response.connection is not None:
            abort(self._response.connection)
        self._response.close()

    def _expire(self, limit: str) -> None:
        self._failure = timeout_error(limit)
        self._content.set_exception(self._failure)
        if self._response.connection is not None:
            abort(self._response.connection)
        self._response.close()


class _Chunks:
    """Not an async generator: one that is dropped half-way would be closed by the loop, later, at a time of its own."""

    __slots__ = ("_response",)

    def __init__(self, response: HttpResponse) -> None:
        self._response = response

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if data := await self._response.next():
            return data
        raise StopAsyncIteration


class Line:
    """A kept connection, as long as it lives: tells the body it carries when it is lost.

    The library does that too, but for two cases. When its parser fails inside a chunked body it closes the connection and
    lets the reader wait. And a body without a length ends, to it, with the connection, whether that was closed or broke.
    """

    __slots__ = ("__weakref__", "_closed", "_content", "_protocol", "used")

    def __init__(self, protocol: ResponseHandler) -> None:
        self.used = False
        self._protocol = ref(protocol)
        self._content: StreamReader | None = None
        self._closed = protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._lost)

    def carries(self, content: StreamReader) -> None:
        self._content = content
        content.on_eof(self._complete)

    def cut(self) -> None:
        """Tell the body that it ends here. To be called before closing the connection on purpose."""
        self._fail(ConnectionResetError())

    def _complete(self) -> None:
        if self._closed is not None and self._closed.done() and self._broken(self._closed):
            self._fail(ConnectionResetError())
        self._content = None

    def _lost(self, closed: asyncio.Future[None]) -> None:
        self._broken(closed)
        if self._content is None or self._content.is_eof():
            return
        protocol = self._protocol()
        self._fail((None if protocol is None else protocol.exception()) or ConnectionResetError())

    def _fail(self, failure: BaseException) -> None:
        content, self._content = self._content, None
        if content is not None and content.exception() is None:
            content.set_exception(failure)

    def _broken(self, closed: asyncio.Future[None]) -> bool:
        """Also marks the exception as seen, so that the loop does not report it as overlooked."""
        return not closed.cancelled() and closed.exception() is not None


class _Watch:
    """The idle and the total limit of one body, on one timer.

    The timer is not moved at each read, which would cost more than the read: it looks, when it rings, how long the
    reader has been waiting, and sets itself again. Only waiting counts as silence: a reader that takes its time does
    not make the provider late. The total limit runs in any case, until the body is complete.
    """

    __slots__ = ("_arrived_bytes", "_content", "_end", "_expire", "_idle_s", "_loop", "_since", "_timer", "expired")

    def __init__(self, content: StreamReader, idle_s: float, end: float, expire: Callable[[str], None]) -> None:
        self.expired = False
        self._content = content
        self._loop = asyncio.get_running_loop()
        self._idle_s = idle_s
        self._end = end
        self._expire = expire
        self._since: float | None = None
        self._arrived_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        if not content.is_eof():
            self._set(self._loop.time() + idle_s)
            content.on_eof(self.stop)

    def waiting(self) -> None:
        self._since = self._loop.time()
        self._arrived_bytes = self._content.total_raw_bytes

    def taken(self) -> None:
        self._since = None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        self._timer = self._loop.call_at(min(when, self._end), self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        if self._since is not None and self._content.total_raw_bytes > self._arrived_bytes:
            self.waiting()  # not silent: what came is compressed and has not given a byte yet
        since = self._since
        if now >= self._end:
            self._give_up("total")
        elif since is not None and now - since >= self._idle_s:
            self._give_up("idle")
        else:
            self._set((now if since is None else since) + self._idle_s)

    def _give_up(self, limit: str) -> None:
        self.expired = True
        self._timer = None
        self._expire(limit)


def abort(connection: Connection) -> None:
    """Close at once: unsent bytes are dropped, no farewell is waited for. The provider sees the end within a round trip."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


def _arrived(content: StreamReader) -> bytes:
    """What is in the buffer of a body that failed. The library gives its error first and would never give this."""
    content.set_exception(cast("BaseException", None))
    return content.read_nowait()


def _headers(response: ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if headers.get("content-encoding", "").lower() in DECODED:
        del headers["content-encoding"]
        headers.pop("content-length", None)
    return headers
