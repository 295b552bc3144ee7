"""Where an address leads: to the internet, to a network of one's own, or to what no request of ours may reach.

One answer for all spellings: resolvers take `2852039166`, `0xa9.254.0251.254` and `127.1` for addresses, and an IPv6 address may be
an IPv4 one in disguise.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

__all__ = ["IpAddress", "Standing", "read_address", "standing", "standing_of"]

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

Standing: TypeAlias = Literal["public", "own", "never"]
"""`never` is what a network tells its own machines (link-local, metadata of clouds), and what is no machine's address."""

_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Of clouds that do not have it on a link-local address."""

_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_THIS: Final = ipaddress.IPv4Network("0.0.0.0/8")
_PART: Final = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)"
_NUMBERS: Final = re.compile(rf"{_PART}(?:\.{_PART}){{0,3}}")
_EMBEDDING: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48"),
    )
)
"""Mapped, translated, compatible, and NAT64's two: the last 32 bits are an IPv4 address."""

_ISATAP: Final = frozenset({0x5EFE, 0x02005EFE})


def read_address(host: str) -> IpAddress | None:
    """The address that ``host`` spells, as a resolver reads it; None for a name."""
    text = unicodedata.normalize("NFKC", host).replace("。", ".").strip("[]").rstrip(".")
    if ":" in text:
        text = text.partition("%")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    if not _NUMBERS.fullmatch(text):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def standing(address: IpAddress) -> Standing:
    """Where ``address`` leads; of one that holds others, the worst of theirs."""
    held = list(_held(address)) if isinstance(address, ipaddress.IPv6Address) else []
    if held:
        found = [standing(each) for each in held]
        return "never" if "never" in found else "own" if "own" in found else "public"
    if address.is_link_local or address.is_unspecified or address.is_multicast or address in _METADATA:
        return "never"
    if isinstance(address, ipaddress.IPv4Address) and (address in _THIS or address.is_reserved):
        return "never"
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return "public" if address.is_global and not site else "own"


def standing_of(host: str) -> Standing | None:
    """Where ``host`` leads; None for a name that has to be looked up."""
    address = read_address(host)
    if address is not None:
        return standing(address)
    return "never" if host.rstrip(".").lower() in _METADATA_NAMES else None


def _held(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that are reached by way of ``address``."""
    low = int(address) & 0xFFFFFFFF
    if address.is_loopback or address.is_unspecified:
        return
    if any(address in network for network in _EMBEDDING):
        yield ipaddress.IPv4Address(low)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(low)
