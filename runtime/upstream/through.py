"""Dialling through a proxy: a line whose other end is the provider's, whoever carries it.

The provider's name is looked up by the proxy, and its certificate is checked here as it is without one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import msgspec

from runtime.errors import UpstreamUnavailable
from runtime.upstream.address import Address, address_of
from runtime.upstream.errors import error_of
from runtime.upstream.gate import Gate
from runtime.upstream.line import Line
from runtime.upstream.pool import Dialler

__all__ = ["ThroughProxy"]


class ThroughProxy:
    """Dials as `Dialler` does. ``url`` is the proxy's, with what it asks for; never logged."""

    def __init__(self, dialler: Dialler, tls: ssl.SSLContext, url: str) -> None:
        """Raises ValueError for what is no HTTP URL."""
        proxy = address_of(url)
        self._dialler = dialler
        self._tls = tls
        self._credential = proxy.user
        self._proxy = msgspec.structs.replace(proxy, user="")

    async def dial(self, address: Address, line: Callable[[], Line]) -> Line:
        """Raises UpstreamUnavailable where it is the proxy that fails, else as `Dialler.dial`. Cancelling closes what was opened."""
        try:
            gate = await self._dialler.dial(self._proxy, Gate)
        except (OSError, ValueError) as failure:
            told = error_of(failure)
            if isinstance(told, UpstreamUnavailable):
                raise UpstreamUnavailable(told.message.replace("the provider", "the proxy", 1)) from None
            raise told from None
        transport = await gate.open(address, self._credential)
        made = line()
        try:
            if address.tls:
                loop = asyncio.get_running_loop()
                inner = await loop.start_tls(transport, made, self._tls, server_hostname=address.host)
                if inner is None:
                    raise ssl.SSLError("the handshake was cut")
                transport = inner
            else:
                transport.set_protocol(made)
        except ConnectionError as failure:
            transport.abort()
            raise ssl.SSLError("the handshake was cut") from failure
        except BaseException:
            transport.abort()
            raise
        made.connection_made(transport)
        return made
