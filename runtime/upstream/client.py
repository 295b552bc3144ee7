"""HTTP to providers: pools of kept connections, a limit on every wait, bodies read no faster than they are taken.

Made of asyncio's transports and llhttp's parser (`line`), because every client library that was measured either costs
more than the rest of the gateway's work on a call, or hides when a connection was got and whether it had been used before, or
cannot be stopped from reading ahead. Redirects, cookies, proxies from the environment and retries are not wanted here:
retrying, signing and choosing whom to ask are done above.

A kept connection may have been closed by the provider in the moment we write to it. Such a request is sent once more, no
oftener, when all of this holds: the connection had carried an answer before, it ended without a byte of an
answer, and within ``STALE_WINDOW_S`` of the request. For a POST this is safe enough: a server that closes an idle
connection does not read what arrives on it, and a server that did read it and then failed rarely does so within a second
of it, before anything of a status line. What is left is a provider that bills an answer nobody saw; our own ledger holds
one. Nothing else is sent twice here.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import certifi
import msgspec

from runtime.errors import UpstreamUnavailable
from runtime.upstream.address import Address, Origin, address_of, lasting_head, request_head
from runtime.upstream.body import HttpResponse
from runtime.upstream.deadlines import Deadlines
from runtime.upstream.errors import error_of
from runtime.upstream.line import LARGE_BODY_BYTES, Answer, Line
from runtime.upstream.pool import Dialler, Pool, Resolver, SystemResolver
from runtime.upstream.through import ThroughProxy
from runtime.upstream.timeouts import timeout_error
from runtime.upstream.types import Destination, Limits, UpstreamRequest

__all__ = ["HttpUpstream", "default_tls"]

STALE_WINDOW_S: Final = 1.0
MAX_PLACES: Final = 4096
MAX_KEPT_BYTES: Final = 4096
"""Of a head that requests have in common: with a longer one, each makes its own."""


class _Place(msgspec.Struct, frozen=True):
    """Where requests go and over what, and the head that they have in common."""

    pool: Pool
    address: Address
    origin: Origin
    head: bytes


class HttpUpstream:
    """`Upstream` over HTTP/1.1. One pool per ``Destination.pool`` and proxy; within it, connections are kept per host.

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
        resolver: Resolver | None = None,
        keep_idle_s: float = 15.0,
        max_connections: int = 4096,
    ) -> None:
        self._tls = tls if tls is not None else default_tls()
        self._resolver: Resolver = resolver or SystemResolver()
        self._keep_idle_s = keep_idle_s
        self._max_connections = max_connections
        self._pools: dict[tuple[str, str], Pool] = {}
        self._retired: list[Pool] = []
        self._places: dict[Destination, _Place] = {}
        self._deadlines = Deadlines()
        self._closed = False

    async def send(self, request: UpstreamRequest) -> HttpResponse:
        if self._closed:
            raise UpstreamUnavailable("the gateway is closing its connections to providers")
        to, body, limits = request.to, request.body, request.limits
        place = self._places.get(to) or self._new_place(to)
        head = request_head(place.head, to.method, body)
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        end = now_s + limits.total_ms / 1000
        line = place.pool.idle(place.origin)
        kept = line is not None
        while True:
            if line is None:
                line = await self._dialled(place.pool, place.address, limits, end)
                now_s = loop.time()
            answer = line.ask(head, body, to.method)
            first_byte = now_s + limits.first_byte_ms / 1000
            if first_byte < end:
                self._deadlines.begin(loop, answer, line, first_byte, "first_byte")
            else:
                self._deadlines.begin(loop, answer, line, end, "total")
            try:
                if len(body) > LARGE_BODY_BYTES:
                    await line.upload(answer, body)
                while not answer.status and answer.failure is None:
                    answer.wake = loop.create_future()
                    await answer.wake
            except BaseException:
                line.cut()
                raise
            finally:
                self._deadlines.end(answer)
                answer.wake = None
            if answer.status:
                return HttpResponse(answer, loop, limits.idle_ms / 1000, end)
            if not (kept and _stale(answer, loop.time() - now_s)):
                assert answer.failure is not None, "it has come, or failed"
                raise answer.failure
            line, kept = None, False

    async def aclose(self) -> None:
        """Close every connection at once, also those in use."""
        self._closed = True
        pools, self._pools = self._pools, {}
        for pool in (*pools.values(), *self._retired):
            pool.cut()
        self._deadlines.close()
        await asyncio.sleep(0)  # the ends are told of in the loop's next turn

    def retire(self, pool: str) -> None:
        """New requests of ``pool`` get lines of their own; those that are in use are closed when their answers end."""
        self._places.clear()  # they hold credentials, which may be others now
        for name in [each for each in self._pools if each[0] == pool]:
            retired = self._pools.pop(name)
            retired.retire()
            self._retired = [each for each in self._retired if each.busy] + [retired]

    def _new_pool(self, to: Destination) -> Pool:
        """Raises ValueError for a proxy whose URL is none."""
        direct = Dialler(self._tls, self._resolver, public=to.public and not to.proxy)
        dialler = ThroughProxy(direct, self._tls, to.proxy) if to.proxy else direct
        pool = self._pools[to.pool, to.proxy] = Pool(dialler, self._keep_idle_s, self._max_connections)
        return pool

    def _new_place(self, to: Destination) -> _Place:
        """Raises UpstreamUnavailable for what is no URL, or no header."""
        try:
            address = address_of(to.url)
            head = lasting_head(to.method, to.headers, address)
            over = self._pools.get((to.pool, to.proxy)) or self._new_pool(to)
        except ValueError as failure:
            raise error_of(failure) from None
        place = _Place(over, address, address.origin, head)
        if len(head) <= MAX_KEPT_BYTES:
            if len(self._places) >= MAX_PLACES:
                del self._places[next(iter(self._places))]  # the oldest
            self._places[to] = place
        return place

    @staticmethod
    async def _dialled(pool: Pool, address: Address, limits: Limits, end: float) -> Line:
        """A new line. Raises the GatewayError that tells why there is none."""
        limit = asyncio.timeout_at(min(asyncio.get_running_loop().time() + limits.connect_ms / 1000, end))
        try:
            async with limit:
                return await pool.dial(address)
        except TimeoutError as failure:
            if failure.errno is not None:
                raise error_of(failure) from None
            raise timeout_error("total" if limit.when() == end else "connect") from None
        except (OSError, ValueError) as failure:
            raise error_of(failure) from None


def _stale(answer: Answer, took_s: float) -> bool:
    """Whether it failed as on a kept connection that the provider had closed meanwhile."""
    return not answer.begun and took_s <= STALE_WINDOW_S and isinstance(answer.failure, UpstreamUnavailable)


def default_tls() -> ssl.SSLContext:
    """Verify against the system's certificates; against certifi's where the system has none (small containers)."""
    paths = ssl.get_default_verify_paths()
    system = bool(paths.cafile) or (bool(paths.capath) and any(Path(paths.capath).iterdir()))
    context = ssl.create_default_context(cafile=None if system else certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
