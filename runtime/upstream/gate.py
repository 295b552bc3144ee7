"""The way through a proxy: CONNECT is asked, and what the proxy answers is read to the end of its head.

Nothing of what comes behind that is read here: it is the provider's.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final, cast

from typing_extensions import override

from runtime.errors import UpstreamUnavailable
from runtime.upstream.address import Address

__all__ = ["Gate"]

HEAD_LIMIT_BYTES: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")
_END: Final = b"\r\n\r\n"


class Gate(asyncio.Protocol):
    """One connection to a proxy, until it is open to the provider."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._came = bytearray()
        self._answered: asyncio.Future[int] = self._loop.create_future()

    async def open(self, address: Address, credential: str) -> asyncio.Transport:
        """Ask for the way to ``address``; ``credential`` is Basic's, or empty. Raises UpstreamUnavailable."""
        transport = self._transport
        if transport is None:
            raise UpstreamUnavailable("the proxy closed the connection")
        host = f"[{address.host}]" if ":" in address.host else address.host
        lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"host: {host}:{address.port}"]
        if credential:
            lines.append(f"proxy-authorization: Basic {credential}")
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        try:
            status = await self._answered
        except BaseException:
            transport.abort()
            raise
        if 200 <= status < 300:
            return transport
        transport.abort()
        raise UpstreamUnavailable(_refusal(status))

    def cut(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._came += data
        if self._answered.done():
            return
        found = _STATUS.match(self._came)
        if _END in self._came and found is not None:
            behind = len(self._came) - self._came.index(_END) - len(_END)
            if behind and 200 <= int(found[1]) < 300:  # a provider does not speak first
                self._fail("the proxy answered what its protocol does not allow")
            else:
                self._answered.set_result(int(found[1]))
        elif _END in self._came or len(self._came) > HEAD_LIMIT_BYTES:
            self._fail("the proxy answered what its protocol does not allow")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail("the proxy closed the connection")

    def _fail(self, why: str) -> None:
        if not self._answered.done():
            self._answered.set_exception(UpstreamUnavailable(why))
            self._answered.exception()  # whoever waits is told; nobody may


def _refusal(status: int) -> str:
    if status == 407:
        return "the proxy refuses the gateway's user name and password (status 407)"
    return f"the proxy does not let requests through to the provider (status {status})"
