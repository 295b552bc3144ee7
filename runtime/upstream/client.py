"""HTTP to providers: pools of kept connections, a limit on every wait, bodies read no faster than they are taken.

Built on aiohttp's connector, request and response, without its session: a session hides when a connection was got and
whether it had been used before, and brings redirects, cookies, proxies from the environment and retries of its own, none
of which a gateway wants. Retrying, signing and choosing whom to ask are done above.

A kept connection may have been closed by the provider in the moment we write to it. Such a request is sent once more, no
oftener, when all of this holds: the connection had carried an answer before, it ended without a byte of an
answer, and within ``STALE_WINDOW_S`` of the request. For a POST this is safe enough: a server that closes an idle
connection does not read what arrives on it, and a server that did read it and then failed rarely does so within a second
of it, before anything of a status line. What is left is a provider that bills an answer nobody saw; our own ledger holds
one. Nothing else is sent twice here.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from pathlib import Path
from weakref import WeakKeyDictionary

import certifi
from aiohttp import (
    ClientError,
    ClientOSError,
    ClientRequest,
    ClientTimeout,
    InvalidURL,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDict, istr
from yarl import URL

from runtime.errors import UpstreamUnavailable
from runtime.upstream.body import HttpResponse, Line, abort
from runtime.upstream.errors import error_of
from runtime.upstream.timeouts import timeout_error
from runtime.upstream.types import UpstreamRequest

__all__ = ["HttpUpstream", "default_tls"]

READ_BUFFER_BYTES = 64 * 1024
LINE_LIMIT_BYTES = 32 * 1024
HEADERS_LIMIT = 256
LARGE_BODY_BYTES = 512 * 1024
"""Above this a body is written piece by piece, so that other requests get their turn."""

STALE_WINDOW_S = 1.0
DNS_CACHE_S = 10

NO_LIMIT = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
"""aiohttp's own limits are off: ours also cover the upload, and know which of them ran out."""

SKIPPED_HEADERS = frozenset({istr("content-type"), istr("accept")})
"""What aiohttp must not add by itself. The rest of what it adds, DEFAULT_HEADERS replaces."""

DEFAULT_HEADERS = (("user-agent", "gatewright"), ("accept-encoding", "identity"))
"""Sent unless the request has its own. Compression would cost us more than it saves, and holds back streamed events."""


class HttpUpstream:
    """`Upstream` over HTTP/1.1. One pool per ``UpstreamRequest.pool``; within it, connections are kept per host.

    Args:
        tls: what server certificates are checked against; None means the system's store.
        resolver: looks up host names; None means the system's, with answers kept for ten seconds.
        keep_idle_s: how long an idle connection is kept. Below what providers keep, so that we close first.
        max_connections: per pool; who finds none free waits, within the connect limit.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
        keep_idle_s: float = 15.0,
        max_connections: int = 4096,
    ) -> None:
        self._tls = tls if tls is not None else default_tls()
        self._resolver = resolver
        self._keep_idle_s = keep_idle_s
        self._max_connections = max_connections
        self._pools: dict[str, _Pool] = {}
        self._lines: WeakKeyDictionary[ResponseHandler, Line] = WeakKeyDictionary()
        self._closed = False

    async def send(self, request: UpstreamRequest) -> HttpResponse:
        if self._closed:
            raise UpstreamUnavailable("the gateway is closing its connections to providers")
        exchange = _Exchange(self._pool(request.pool), self._tls, self._lines, request)
        try:
            return await exchange.run()
        except (ClientError, OSError) as failure:
            if not exchange.was_stale(failure):
                raise error_of(failure) from None
        except ValueError as failure:
            raise error_of(failure) from None
        try:
            return await exchange.run()
        except (ClientError, OSError) as failure:
            raise error_of(failure) from None

    async def aclose(self) -> None:
        """Close every connection at once, also those in use."""
        self._closed = True
        for line in list(self._lines.values()):
            line.cut()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    def retire(self, pool: str) -> None:
        """New requests of ``pool`` get lines of their own; those that are in use are closed when their answers end."""
        retired = self._pools.pop(pool, None)
        if retired is not None:
            retired.retire()

    def _pool(self, name: str) -> TCPConnector:
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = _Pool(
                limit=self._max_connections,
                keepalive_timeout=self._keep_idle_s,
                ttl_dns_cache=DNS_CACHE_S,
                resolver=self._resolver,
            )
        return pool


class _Pool(TCPConnector):
    def retire(self) -> None:
        """Keep no line: idle ones are closed now, the others when they come back."""
        self._force_close = True
        for idle in self._conns.values():
            for protocol, _ in idle:
                protocol.close()
        self._conns.clear()


class _Exchange:
    """One request up to its status line. Run again only when `was_stale`; the total limit counts from the first run."""

    __slots__ = ("_end", "_lines", "_loop", "_pool", "_request", "_reused", "_sent_at", "_tls")

    def __init__(
        self,
        pool: TCPConnector,
        tls: ssl.SSLContext,
        lines: WeakKeyDictionary[ResponseHandler, Line],
        request: UpstreamRequest,
    ) -> None:
        self._pool = pool
        self._tls = tls
        self._lines = lines
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + request.limits.total_ms / 1000
        self._reused = False
        self._sent_at = 0.0

    async def run(self) -> HttpResponse:
        """Raises UpstreamTimeout, or the client library's own exceptions. Cancelling closes the connection."""
        limits = self._request.limits
        waiting_for = "connect"
        self._reused = False
        request = self._prepare()
        limit = asyncio.timeout_at(min(self._loop.time() + limits.connect_ms / 1000, self._end))
        try:
            async with limit:
                connection = await self._pool.connect(request, [], NO_LIMIT)
                try:
                    waiting_for = "first_byte"
                    self._sent_at = self._loop.time()
                    limit.reschedule(min(self._sent_at + limits.first_byte_ms / 1000, self._end))
                    return await self._answered(request, connection)
                except BaseException:
                    abort(connection)
                    raise
        except TimeoutError as failure:
            if failure.errno is not None:
                raise
            raise timeout_error("total" if limit.when() == self._end else waiting_for) from None

    def was_stale(self, failure: Exception) -> bool:
        """Whether ``failure`` is that of a kept connection which the provider had closed meanwhile."""
        if not self._reused or self._loop.time() - self._sent_at > STALE_WINDOW_S:
            return False
        if isinstance(failure, ServerDisconnectedError):
            return isinstance(failure.message, str)  # else it holds the beginning of an answer
        return isinstance(failure, ConnectionError | ClientOSError)

    def _prepare(self) -> ClientRequest:
        url = URL(self._request.url)
        if url.scheme not in {"http", "https"}:
            raise InvalidURL(url)
        headers = CIMultiDict(self._request.headers)
        for name, value in DEFAULT_HEADERS:
            headers.setdefault(name, value)
        body: bytes | io.BytesIO | None = self._request.body or None
        if len(self._request.body) > LARGE_BODY_BYTES:
            body = io.BytesIO(self._request.body)
        return ClientRequest(
            self._request.method,
            url,
            headers=headers,
            skip_auto_headers=SKIPPED_HEADERS,
            data=body,
            loop=self._loop,
            ssl=self._tls,
        )

    async def _answered(self, request: ClientRequest, connection: Connection) -> HttpResponse:
        protocol = connection.protocol
        if protocol is None:
            raise ServerDisconnectedError
        line = self._lines.get(protocol)
        if line is None:
            line = self._lines[protocol] = Line(protocol)
        self._reused, line.used = line.used, True
        protocol.set_response_params(
            skip_payload=request.method == "HEAD",
            read_until_eof=True,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=LINE_LIMIT_BYTES,
            max_field_size=LINE_LIMIT_BYTES,
            max_headers=HEADERS_LIMIT,
        )
        response = await request.send(connection)
        try:
            await response.start(connection)
        except BaseException:
            response.close()
            raise
        limits = self._request.limits
        return HttpResponse(response, line, limits.idle_ms / 1000, self._end)


def default_tls() -> ssl.SSLContext:
    """Verify against the system's certificates; against certifi's where the system has none (small containers)."""
    paths = ssl.get_default_verify_paths()
    system = bool(paths.cafile) or (bool(paths.capath) and any(Path(paths.capath).iterdir()))
    context = ssl.create_default_context(cafile=None if system else certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
