"""The outbound side as the rest sees it: one method, one answer, four limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Protocol, TypeAlias

import msgspec

__all__ = ["Destination", "Limits", "Straight", "Upstream", "UpstreamRequest", "UpstreamResponse"]

Straight: TypeAlias = Callable[[bytes], bool]
"""Is given what arrives while its reader waits, without a turn of the loop; says whether the reader may go on waiting."""


class Limits(msgspec.Struct, frozen=True):
    """Every wait has one, in milliseconds: for the connection, the status line, each silence, and all of it."""

    connect_ms: int
    first_byte_ms: int
    idle_ms: int
    total_ms: int


class Destination(msgspec.Struct, frozen=True, cache_hash=True):
    """Where requests go, and what they all say there: made once for many of them, and looked things up by.

    ``url`` is complete. ``pool`` names the connection whose keep-alive pool is used.
    ``proxy`` is the URL of the proxy that is gone through, with its credential: never logged. Empty: none. With ``public``
    no name leads to a network of one's own; it is the same for all requests of a pool.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    pool: str = ""
    proxy: str = ""
    public: bool = False


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One of the requests that go ``to`` a place."""

    to: Destination
    body: bytes
    limits: Limits


class UpstreamResponse(Protocol):
    """An answer whose status and headers are here and whose body is still coming. ``headers`` names are lower-case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self, max_bytes: int) -> bytes:
        """The whole body, decompressed. Raises UpstreamProtocolError beyond ``max_bytes``, UpstreamTimeout in a silence.

        However it ends, nothing is left to let go of.
        """
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, decompressed. Reads no further than it is asked: a slow reader slows the upstream.

        Raises UpstreamTimeout in a silence, UpstreamUnavailable when the connection breaks.
        """
        ...

    def go_straight(self, straight: Straight) -> None:
        """From now on what arrives while the next of `chunks` is waited for may be given to ``straight`` in place of that.

        Where it says that the waiting is not to go on, the chunk is empty; what it raises is raised there.
        """
        ...

    async def aclose(self) -> None:
        """Let go: at the body's end the connection is kept, before it the connection is closed at once. Idempotent."""
        ...


class Upstream(Protocol):
    """Sends requests. Implementations: HTTP, and the simulated provider in process."""

    def send(self, request: UpstreamRequest) -> Coroutine[object, None, UpstreamResponse]:
        """Returns at the status line, whatever the status.

        Raises UpstreamUnavailable when it cannot be reached, UpstreamTimeout when a limit passes, UpstreamProtocolError
        for what is not HTTP. Cancelling closes the connection.
        """
        ...

    async def aclose(self) -> None: ...
