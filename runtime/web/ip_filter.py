"""Which addresses may call at all, before anything else is looked at: lists of addresses and blocks, and bans for a time.

This machine itself is never shut out, so that a mistake can be mended: a call from loopback that no proxy handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

from runtime.errors import PermissionDenied
from runtime.web.address import Network, client_address, forwarded, is_loopback, within

__all__ = ["IpFilter"]

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

    def demand(self, peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> None:
        """Raises PermissionDenied for a call over ``peer`` that is not to be answered; ``trusted`` are proxies."""
        if is_loopback(peer) and not forwarded(headers):
            return
        if not self.admits(client_address(peer, headers, trusted)):
            raise PermissionDenied("this address may not call", code="address_refused")

    def _judge(self, address: str) -> bool:
        if self._deny and within(address, self._deny):
            return False
        return not self._allow or within(address, self._allow)
