"""A fake HTTP server down at the socket: its script may reset, stall, split, lie. Knows no protocol above HTTP's bytes.

    async def script(connection: RawConnection) -> None:
        request = await connection.request()
        await connection.send(head(200, "content-length: 10") + b"half")
        connection.reset()

    async with raw_server(script) as server:
        ... server.url, server.requests, server.connections ...

A script runs once per connection; when it returns the connection is closed properly. `each_request` makes one out of what
is to be done per request, and `answer`, `chunked` and `head` write well-formed answers. A script that fails, fails the
test at the end of the `async with`; one that is still waiting there is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias

__all__ = [
    "LAST_CHUNK", "RawConnection", "RawRequest", "RawServer", "Script", "answer", "chunk", "chunked", "each_request",
    "head", "raw_server",
]  # fmt: skip

Script: TypeAlias = Callable[["RawConnection"], Awaitable[None]]

LAST_CHUNK = b"0\r\n\r\n"


class RawRequest:
    """A request as it came. ``headers`` has lower-case names; the last of several wins."""

    def __init__(self, raw_head: bytes, body: bytes) -> None:
        lines = raw_head.decode("latin-1").split("\r\n")
        self.raw_head = raw_head
        self.method, self.target, self.version = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:] if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.body = body


class RawConnection:
    """One accepted connection. ``number`` counts from 1."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self._server_requests: list[RawRequest] = []

    async def request(self) -> RawRequest | None:
        """The next request, with its body. None when the client has closed."""
        try:
            raw_head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        request = RawRequest(raw_head[:-4], b"")
        request.body = await self._reader.readexactly(int(request.headers.get("content-length", "0")))
        self._server_requests.append(request)
        return request

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client is slow. Raises ConnectionError when it has gone."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_split(self, data: bytes, size: int = 1) -> None:
        """Write ``size`` bytes at a time, each in a segment of its own as far as the kernel allows."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(0)

    def reset(self) -> None:
        """End with RST: what was sent may be lost, and the client sees an error, not an end."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End with FIN, in the middle of whatever was being said."""
        self._writer.close()

    async def gone(self) -> None:
        """Return when the client has closed or reset the connection. Until then: say nothing."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass


class RawServer:
    """``requests`` holds all that came, over all connections, in order; ``connections`` counts those accepted."""

    def __init__(self) -> None:
        self.requests: list[RawRequest] = []
        self.connections = 0
        self.failures: list[Exception] = []
        self.port = 0
        self.scheme = "http"
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def raw_server(
    script: Script, *, tls: ssl.SSLContext | None = None, backlog: int = 2048
) -> AsyncIterator[RawServer]:
    """Serve ``script`` on a free port of the loopback."""
    state = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        state._tasks.add(task)
        state.connections += 1
        connection = RawConnection(state.connections, reader, writer)
        connection._server_requests = state.requests
        try:
            await script(connection)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as failure:  # noqa: BLE001 — raised again at the end
            state.failures.append(failure)
        finally:
            state._tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=backlog)
    state.port = server.sockets[0].getsockname()[1]
    state.scheme = "http" if tls is None else "https"
    try:
        yield state
    finally:
        server.close()
        for task in list(state._tasks):
            task.cancel()
        await asyncio.gather(*state._tasks, return_exceptions=True)
    if state.failures:
        raise state.failures[0]


def each_request(respond: Callable[[RawConnection, RawRequest], Awaitable[None]]) -> Script:
    """A script that calls ``respond`` for one request after the other, as a server with keep-alive does."""

    async def script(connection: RawConnection) -> None:
        while (request := await connection.request()) is not None:
            await respond(connection, request)

    return script


def head(status: int, *lines: str) -> bytes:
    """A status line and header ``lines``, with the empty line that ends them."""
    return "\r\n".join((f"HTTP/1.1 {status} Whatever", *lines, "", "")).encode("latin-1")


def answer(body: bytes, *lines: str, status: int = 200) -> bytes:
    """A complete answer with a content length."""
    return head(status, f"content-length: {len(body)}", *lines) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(parts: Iterable[bytes], *lines: str, status: int = 200) -> bytes:
    """A complete answer whose body comes in chunks, one per part."""
    return head(status, "transfer-encoding: chunked", *lines) + b"".join(chunk(part) for part in parts) + LAST_CHUNK
