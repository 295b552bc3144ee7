"""Kept connections to providers, bounded, and the dialling of new ones: names looked up, addresses tried in turn.

A kept line may have been closed by the provider in the moment we write to it; what is done then, `client` knows.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeVar

from runtime.network import Standing, standing_of
from runtime.upstream.address import Address, Origin
from runtime.upstream.gate import Gate
from runtime.upstream.line import Line

__all__ = ["Dialler", "Dials", "Pool", "Resolver", "SystemResolver"]

DNS_CACHE_S: Final = 10.0
STAGGER_S: Final = 0.25
"""How long one address is tried alone, before the next is tried beside it (RFC 8305)."""

Opened = TypeVar("Opened", Line, Gate)


class Dials(Protocol):
    """Opens lines, one way or another."""

    async def dial(self, address: Address, line: Callable[[], Line]) -> Line:
        """Raises OSError or UpstreamUnavailable. Cancelling closes what was opened."""
        ...


class Resolver(Protocol):
    """Looks up host names."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses, best first. Raises OSError when there are none."""
        ...


class SystemResolver:
    """The system's, with answers kept for ten seconds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        known = self._known.get((host, port))
        if known is not None and known[0] > loop.time():
            return known[1]
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        self._known[host, port] = (loop.time() + DNS_CACHE_S, addresses)
        return addresses


class Dialler:
    """Opens lines. ``tls`` is what certificates are checked against.

    No name leads to link-local addresses and the metadata of clouds, whoever answers for it; with ``public`` to no network
    of one's own either. What was looked up is what is connected to.
    """

    def __init__(self, tls: ssl.SSLContext, resolver: Resolver, *, public: bool = False) -> None:
        self._tls = tls
        self._resolver = resolver
        self._refused: tuple[Standing, ...] = ("never", "own") if public else ("never",)

    async def dial(self, address: Address, line: Callable[[], Opened]) -> Opened:
        """Raises OSError (`socket.gaierror` and `ssl.SSLError` are ones). Cancelling closes what was opened."""
        try:
            ipaddress.ip_address(address.host)
        except ValueError:
            found = await self._resolver.resolve(address.host, address.port)
            hosts: Sequence[str] = [host for host in found if standing_of(host) not in self._refused]
        else:
            hosts = (address.host,)
        if not hosts:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        if len(hosts) == 1:
            return await self._connect(address, hosts[0], line)
        return await _first([partial(self._connect, address, host, line) for host in hosts])

    async def _connect(self, address: Address, host: str, line: Callable[[], Opened]) -> Opened:
        loop = asyncio.get_running_loop()
        if not address.tls:
            return (await loop.create_connection(line, host, address.port))[1]
        try:
            connected = await loop.create_connection(
                line, host, address.port, ssl=self._tls, server_hostname=address.host
            )
        except ConnectionError as error:
            if error.errno is None:  # it was open, and ended in the handshake
                raise ssl.SSLError("the handshake was cut") from error
            raise
        return connected[1]


async def _first(attempts: Sequence[Callable[[], Awaitable[Opened]]]) -> Opened:
    """The first line that opens. Raises the last failure when none does."""
    done: set[asyncio.Future[Opened]] = set()
    running: set[asyncio.Future[Opened]] = set()
    left, failure = deque(attempts), OSError("no address")
    try:
        while left or running:
            if left:
                running.add(asyncio.ensure_future(left.popleft()()))
            done, running = await asyncio.wait(
                running, timeout=STAGGER_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for each in done:
                error = each.exception()
                if error is None:
                    done.discard(each)
                    return each.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        for each in running | done:
            each.cancel()
            each.add_done_callback(_close_late)


def _close_late(dialled: asyncio.Future[Opened]) -> None:
    """A line that opened when another one was taken already."""
    if not dialled.cancelled() and dialled.exception() is None:
        dialled.result().cut()


class Pool:
    """The lines of one connection of the plan, by origin. Who finds no free place for another one waits."""

    def __init__(self, dialler: Dials, keep_idle_s: float, most: int) -> None:
        self._dialler = dialler
        self._keep_idle_s = keep_idle_s
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, list[tuple[Line, float]]] = {}
        self._origins: dict[Line, Origin] = {}
        self._names: dict[bytes, str] = {}
        self._taken = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._retired = False

    def idle(self, origin: Origin) -> Line | None:
        """A kept line, the last one that was used; it is taken."""
        kept = self._idle.get(origin)
        while kept:
            line, _ = kept.pop()
            if line.open:
                return line
        return None

    async def dial(self, address: Address) -> Line:
        """A new line. Raises as `Dialler.dial` does."""
        while self._taken >= self._most and not self._drop_idle():
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._call_next()
                raise
            finally:
                with suppress(ValueError):
                    self._waiters.remove(waiter)
            kept = self.idle(address.origin)
            if kept is not None:
                return kept
        self._taken += 1
        try:
            line = await self._dialler.dial(address, lambda: Line(self._free, self._lost, self._names))
        except BaseException:
            self._leave()
            raise
        if not line.open:  # it was closed in the meantime
            self._leave()
            raise ConnectionResetError
        self._origins[line] = address.origin
        return line

    @property
    def busy(self) -> bool:
        """Whether any line is open."""
        return bool(self._origins)

    def retire(self) -> None:
        """Keep no line: idle ones are closed now, the others when their answers end."""
        self._retired = True
        for kept in self._idle.values():
            for line, _ in kept:
                line.close()
        self._idle.clear()

    def cut(self) -> None:
        """Close every line at once, also those in use."""
        self._retired = True
        if self._sweep is not None:
            self._sweep.cancel()
        for line in list(self._origins):
            line.cut()

    def _free(self, line: Line) -> None:
        """The answer that came over ``line`` is complete."""
        if self._retired:
            line.close()
            return
        self._idle.setdefault(self._origins[line], []).append((line, self._loop.time()))
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._keep_idle_s, self._drop_old)
        if self._waiters:
            self._call_next()

    def _lost(self, line: Line) -> None:
        if self._origins.pop(line, None) is not None:
            self._leave()

    def _leave(self) -> None:
        self._taken -= 1
        self._call_next()

    def _call_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _drop_idle(self) -> bool:
        """Make room by closing a line that is kept for another origin."""
        for kept in self._idle.values():
            while kept:
                line, _ = kept.pop(0)
                if self._origins.pop(line, None) is not None:
                    self._taken -= 1
                    line.close()
                    return True
        return False

    def _drop_old(self) -> None:
        self._sweep = None
        before_s = self._loop.time() - self._keep_idle_s
        oldest: float | None = None
        for origin, kept in list(self._idle.items()):
            left = [each for each in kept if each[0].open and each[1] > before_s]
            for line, since_s in kept:
                if line.open and since_s <= before_s:
                    line.close()
            if left:
                self._idle[origin] = left
                oldest = left[0][1] if oldest is None else min(oldest, left[0][1])
            else:
                del self._idle[origin]
        if oldest is not None:
            self._sweep = self._loop.call_at(oldest + self._keep_idle_s, self._drop_old)
