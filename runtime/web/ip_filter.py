"""Which addresses may call at all, before anything else is looked at: lists of addresses and blocks, and bans for a time.

This machine itself is never shut out, so that a mistake can be mended: a call from loopback that no proxy handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, cast

from runtime.errors import PermissionDenied
from runtime.web.address import Network, client_address, forwarded, is_loopback, within
from runtime.web.front import Front, request_id
from runtime.web.negotiate import NEGOTIATED, territory
from runtime.web.problem import render_problem

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

    from runtime.web.wire import HttpScope

__all__ = ["IpFilter", "filtered"]

ADDRESSES: Final = 10_000
"""Of how many addresses it is remembered whether they may call."""


class IpFilter:
    """``mode`` says which list counts. What is denied is denied, allowed or not; ``bans`` end at a time, ``now`` is Unix seconds."""

    def __init__(
        self,
        mode: Literal["deny", "allow", "both"],
        allow: Sequence[Network],
        deny: Sequence[Network],
        bans: Sequence[tuple[Network, float]],
        now: Callable[[], float],
    ) -> None:
        self._allow = tuple(allow) if mode in {"allow", "both"} else ()
        self._deny = tuple(deny) if mode in {"deny", "both"} else ()
        self._bans = tuple(bans)
        self._now = now
        self._listed = lru_cache(maxsize=ADDRESSES)(self._judge)

    def admits(self, address: str) -> bool:
        """Whether ``address`` may call now."""
        if self._bans:
            now_s = self._now()
            if any(now_s < until_s and within(address, (banned,)) for banned, until_s in self._bans):
                return False
        return self._listed(address)

    def admits_call(self, peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> bool:
        """Whether a call may be answered that came over ``peer``."""
        if is_loopback(peer) and not forwarded(headers):
            return True
        return self.admits(client_address(peer, headers, trusted))

    def _judge(self, address: str) -> bool:
        if self._deny and within(address, self._deny):
            return False
        return not self._allow or within(address, self._allow)


def filtered(app: ASGIApp, ip_filter: IpFilter, front: Front) -> ASGIApp:
    """``app`` for those who may call; the others are told so in the dialect of the path, whatever they send."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if cast("str", scope["type"]) != "http":
            await app(scope, receive, send)
            return
        http = cast("HttpScope", scope)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in http["headers"]}
        peer = http["client"][0] if http["client"] else ""
        if ip_filter.admits_call(peer, headers, front.trusted_proxies):
            await app(scope, receive, send)
        else:
            await _refuse(http, headers, send, front)

    return serve


async def _refuse(http: HttpScope, headers: Mapping[str, str], send: Send, front: Front) -> None:
    path = http["path"]
    spoken = territory(path, front.spoken) is not None
    render = front.render(NEGOTIATED, path, headers) if spoken else render_problem
    told = render(
        PermissionDenied("this address may not call", code="address_refused"), request_id(http["headers"], front.new_id)
    )
    head = [(name.lower().encode(), value.encode()) for name, value in told.headers]
    head += [(b"content-length", b"%d" % len(told.body)), (b"connection", b"close"), *front.base_headers()]
    body = b"" if http["method"] == "HEAD" else told.body
    await send({"type": "http.response.start", "status": told.status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})
