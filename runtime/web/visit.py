"""What a call says of itself besides its body: how it came, from where, and from which page. For operations that are managed by people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from runtime.errors import PermissionDenied, UnsupportedMedia
from runtime.web.address import Network, client_address, forwarded, is_loopback

if TYPE_CHECKING:
    from runtime.web.exchange import Exchange

__all__ = ["Visit", "foreign", "host_of", "origin_host", "visit_of"]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SIMPLE: Final = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
"""What a page of anybody may send to anywhere without asking (Fetch standard, CORS-safelisted)."""

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """``peer`` is who is connected, ``address`` whoever called, behind proxies that are trusted. Header names are lower-case."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    peer: str = ""
    address: str = ""
    request_id: str = ""

    @property
    def changes(self) -> bool:
        """Whether its method may change something."""
        return self.method not in SAFE

    @property
    def local(self) -> bool:
        """Whether it was made on this machine, by a program or a page of this machine.

        A page of another site whose name was bent to this machine's address says that name as the host.
        """
        return is_loopback(self.peer) and not forwarded(self.headers) and host_of(self.headers) in LOCAL_NAMES

    @property
    def secure(self) -> bool:
        """Whether the browser that made it, or the proxy before us, spoke HTTPS."""
        origin, proto = (self.headers.get(name, "") for name in ("origin", "x-forwarded-proto"))
        return origin.startswith("https://") or proto.split(",")[0].strip() == "https"

    def foreign(self, *, unsaid: bool) -> bool:
        """Whether a page of another site made it; ``unsaid`` is the answer where nothing tells."""
        return foreign(self.headers, unsaid=unsaid)

    def demand_own_page(self) -> None:
        """For what may change something and is trusted for a cookie. Raises PermissionDenied, or UnsupportedMedia."""
        if not self.changes:
            return
        if self.foreign(unsaid=True):
            raise PermissionDenied(
                "by cookie, changes are taken from the gateway's own pages only; send `Origin`, or use a key",
                code="cross_origin",
            )
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        has_body = self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers
        if media_type in SIMPLE or (has_body and not media_type):
            raise UnsupportedMedia("by cookie, changes are taken as `application/json` only")


def foreign(headers: Mapping[str, str], *, unsaid: bool) -> bool:
    """Whether a page of another site made a call; ``unsaid`` is the answer where nothing tells.

    Browsers say it, and no page can make them say otherwise. Where they say only the page's origin, it has to be the
    host that is called.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site != "same-origin"
    if origin is not None:
        return _split(origin).netloc.lower() != headers.get("host", "").lower()
    return unsaid


def host_of(headers: Mapping[str, str]) -> str:
    """The host that is called, without its port."""
    return _split(f"//{headers.get('host', '')}").hostname or ""


def origin_host(origin: str) -> str:
    """The host of a page's ``origin``."""
    return _split(origin).hostname or ""


def visit_of(exchange: Exchange, trusted: tuple[Network, ...] = ()) -> Visit:
    """How the call of ``exchange`` came; ``trusted`` are the proxies that are believed."""
    peer = exchange.client_host
    return Visit(
        method=exchange.method,
        headers=exchange.headers,
        query=exchange.query,
        peer=peer,
        address=client_address(peer, exchange.headers, trusted),
        request_id=exchange.request_id,
    )


def _split(url: str) -> SplitResult:
    """The parts of ``url``; none of them where it is not one, such as `http://[`."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
