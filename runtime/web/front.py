"""What all routes of a process share, and what is given to them because it comes from above: ids, dialects, keys.

Made once, by the composition root. Holds no state; what a new plan may change is asked for at each call.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Protocol

import msgspec

from runtime.errors import GatewayError
from runtime.web.address import Network
from runtime.web.asking import Askings
from runtime.web.connected import Lookout
from runtime.web.header import RawHeaders
from runtime.web.ip_filter import IpFilter
from runtime.web.key import KeyRecord
from runtime.web.negotiate import NEGOTIATED, dialect, territory
from runtime.web.visit import Visit

__all__ = ["FALLBACK_PROTOCOL", "Authorize", "Cors", "Doorway", "Front", "Fronts", "Render", "Rendered", "request_id"]

FALLBACK_PROTOCOL: Final = "openai_chat"
EXPOSED: Final = (
    b"request-id, retry-after, x-gatewright-build, x-gatewright-cost, x-gatewright-decision, x-gatewright-dropped, x-gatewright-served,"
    b" x-gatewright-similarity, x-gatewright-token-count, x-omniroute-cache, x-omniroute-idempotent,"
    b" x-omniroute-progress, x-page-before, x-page-limit, x-page-offset, x-request-id, x-total-count"
)

_FIT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Rendered(Protocol):
    """An answer that is ready to be sent, such as a codec's `ErrorReply`."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def body(self) -> bytes: ...


Render = Callable[[GatewayError, str], Rendered]
"""An error and the request's id, to the answer that a dialect's clients understand."""

Authorize = Callable[[Visit, str], Awaitable[KeyRecord]]
"""How a call came and a scope, to whose key or login it was; raises AuthenticationFailed or PermissionDenied."""


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """Which web pages may call. No origin: none. `*`: all. Cookies are for pages of our own, so none are allowed."""

    origins: tuple[str, ...] = ()
    max_age_s: int = 600

    def answer(self, origin: bytes | None) -> RawHeaders:
        """Headers for any answer to a page of ``origin``."""
        if origin is None or not self._allows(origin):
            return ()
        allowed = b"*" if "*" in self.origins else origin
        return (
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, origin: str | None, wanted: str | None, allow: str) -> tuple[tuple[str, str], ...]:
        """What else the answer to a preflight request says (Fetch standard, section 3.3.6).

        ``wanted`` are the headers that the page wants to send, ``allow`` the methods that the path has.
        """
        if origin is None or not self._allows(origin.encode("latin-1")):
            return ()
        return (
            ("access-control-allow-methods", allow),
            ("access-control-allow-headers", wanted or "*"),
            ("access-control-max-age", str(self.max_age_s)),
        )

    def _allows(self, origin: bytes) -> bool:
        return "*" in self.origins or origin.decode("latin-1") in self.origins


class Fronts(Protocol):
    """Gives the front of this moment; a call asks once."""

    @property
    def now(self) -> Front: ...


class Doorway(Protocol):
    """Where it is known what is being served, and whence the order to stop comes: `runtime.resilience.Door`."""

    def __enter__(self) -> object:
        """Raises ShuttingDown once nobody is let in."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def farewell(self) -> GatewayError | None:
        """What a call that was cancelled tells its client; None where that was no order to stop."""
        ...


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """What routes are given.

    Attributes:
        new_id: makes a request id.
        renders: how each protocol tells its clients of an error; FALLBACK_PROTOCOL must be there.
        base_headers: headers that every answer carries, such as the build id.
        authorize: checks the key of a call to a typed operation; raw ones leave that to their service.
        scopes: an operation's id to the scope that the operator's settings ask for instead of the schema's.
        spoken: path prefixes, the longest first, and the protocol that is spoken below each.
        write_limit_s: how long a client may take nothing of its answer; None: however long.
        body_limit_s: how long the body of a typed operation may take to arrive; None: however long.
        door: what typed operations that wait for their body are held by when the gateway stops; None: nothing.
        ip_filter: which addresses may call; None: every one.
        trusted_proxies: the proxies in front whose word for who called is believed.
        askings: told which call is being answered.
        lookout: the calls whose clients are to be watched soon.
        fixed: whether nothing is changed through the management API, but by the operations in ``unfixed``.
        header_limit_bytes: how much the headers of a request may have, all together.
        on_fault: told of faults of ours with the request's id; None: the application is.
    """

    new_id: Callable[[], str]
    renders: Mapping[str, Render]
    authorize: Authorize
    base_headers: RawHeaders = ()
    scopes: Mapping[str, str] = {}
    cors: Cors = Cors()
    spoken: tuple[tuple[str, str], ...] = ()
    write_limit_s: float | None = None
    body_limit_s: float | None = None
    door: Doorway | None = None
    header_limit_bytes: int = 64 << 10
    trusted_proxies: tuple[Network, ...] = ()
    ip_filter: IpFilter | None = None
    askings: Askings = msgspec.field(default_factory=Askings)
    lookout: Lookout = msgspec.field(default_factory=Lookout)
    fixed: bool = False
    unfixed: frozenset[str] = frozenset()
    on_fault: Callable[[Exception, str], None] | None = None

    @property
    def now(self) -> Front:
        """Itself."""
        return self

    def scope(self, operation_id: str, declared: str) -> str:
        """The key scope that an operation needs."""
        return self.scopes.get(operation_id, declared)

    def speaks(self, path: str, headers: Mapping[str, str]) -> str:
        """The protocol of a client where the operation leaves it open: what its path says, else what its headers say."""
        protocol = territory(path, self.spoken)
        return dialect(headers) if protocol is None or protocol == NEGOTIATED else protocol

    def render(self, protocol: str, path: str, headers: Mapping[str, str]) -> Render:
        """How to tell a client of ``protocol`` of an error; where that is `negotiated`, of the one it `speaks`."""
        if protocol == NEGOTIATED:
            protocol = self.speaks(path, headers)
        return self.renders.get(protocol) or self.renders[FALLBACK_PROTOCOL]


def request_id(headers: Iterable[tuple[bytes, bytes]], new_id: Callable[[], str]) -> str:
    """The client's `x-request-id` if it is short and cannot hurt a log or a header; else a new one."""
    for name, value in headers:
        if name == b"x-request-id":
            return value.decode() if _FIT_REQUEST_ID.fullmatch(value) else new_id()
    return new_id()
