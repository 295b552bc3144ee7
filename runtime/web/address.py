"""Whose address a call comes from: the peer's, or the one that proxies we trust say they were called from.

Only proxies that the operator named are believed. Each of them writes whom it was called by at the end of
`X-Forwarded-For`, so the list is read from its end, up to the first address that is no such proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

__all__ = ["Network", "client_address", "forwarded", "is_loopback", "network", "origin_of", "within"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that say that somebody stands between."""

SITE_BITS: Final = 64
"""What one customer has of IPv6 at least; within it addresses are free to change."""


def network(written: str) -> Network:
    """An address or a CIDR block. Raises ValueError for anything else, host bits included."""
    return ipaddress.ip_network(written)


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> str:
    """Whoever made the call, as far as it can be trusted; ``peer`` is who is connected."""
    found = peer
    if not trusted or not within(peer, trusted):
        return found
    for entry in reversed(headers.get("x-forwarded-for", "").split(",")):
        address = _parsed(entry.strip())
        if address is None:
            break
        found = str(address)
        if not within(found, trusted):
            break
    return found


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether ``address`` lies in one of ``networks``; an IPv4 address that is written as an IPv6 one counts as itself."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in each for each in networks if each.version == parsed.version)


def origin_of(address: str) -> str:
    """Where many addresses count as one: the address itself, or the block of IPv6 that one customer has."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed) >> SITE_BITS << SITE_BITS, SITE_BITS)))


def is_loopback(address: str) -> bool:
    """Whether ``address`` is one of this machine alone."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it stands between."""
    return any(name in headers for name in FORWARDING)


def _parsed(written: str) -> _Address | None:
    """An address, with a port or brackets or without."""
    text = written.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
