"""Where a request goes and how it is written: the address of a URL, and the head of an HTTP/1.1 request."""

from __future__ import annotations

import base64
from typing import Final, TypeAlias
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

__all__ = ["Address", "Headers", "Origin", "address_of", "lasting_head", "request_head"]

Headers: TypeAlias = tuple[tuple[str, str], ...]
Origin: TypeAlias = tuple[str, int, bool]
"""Host, port, and whether TLS is spoken."""

PORTS: Final = {"http": 80, "https": 443}
PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"
QUERY_SAFE: Final = "/%:@!$&'()*+,;=-._~?[]"
DEFAULTS: Final = {"user-agent": "gatewright", "accept-encoding": "identity"}
"""Sent unless the request has its own. Compression would cost us more than it saves, and holds back streamed events."""

BODILESS: Final = frozenset({"GET", "HEAD"})
OURS: Final = frozenset({"content-length", "transfer-encoding", "connection"})
"""How a body is framed and how long its connection lives is not the request's to say."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """``named`` is how the `host` header says it, ``target`` what the request line asks for, ``user`` what stood before `@`."""

    tls: bool
    host: str
    port: int
    named: str
    target: str
    user: str = ""

    @property
    def origin(self) -> Origin:
        """What connections are kept by."""
        return (self.host, self.port, self.tls)


def address_of(url: str) -> Address:
    """Raises ValueError for what is no HTTP URL."""
    split = urlsplit(url)
    if split.scheme not in PORTS or not split.hostname:
        raise ValueError("not an HTTP URL")
    host = split.hostname if split.hostname.isascii() else split.hostname.encode("idna").decode()
    if any(character <= " " or character == "\x7f" for character in host):
        raise ValueError("not a host name")
    default = PORTS[split.scheme]
    port = split.port if split.port is not None else default
    shown = f"[{host}]" if ":" in host else host
    target = quote(split.path or "/", safe=PATH_SAFE)
    if split.query:
        target += f"?{quote(split.query, safe=QUERY_SAFE)}"
    return Address(
        tls=split.scheme == "https",
        host=host,
        port=port,
        named=shown if port == default else f"{shown}:{port}",
        target=target,
        user=_user(split),
    )


def lasting_head(method: str, headers: Headers, address: Address) -> bytes:
    """The request line and all headers but those of a body, which are the same for many requests.

    Raises ValueError for a name or value that would be read as more than one line.
    """
    given = {name.lower(): value for name, value in headers}
    lines = [f"{method} {address.target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"host: {address.named}")
    for name, value in given.items():
        if name not in OURS:
            lines.append(f"{name}: {value}")
    for name, value in DEFAULTS.items():
        if name not in given:
            lines.append(f"{name}: {value}")
    if address.user and "authorization" not in given:
        lines.append(f"authorization: Basic {address.user}")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise ValueError("a line break in a header")
    return f"{text}\r\n".encode()


def request_head(lasting: bytes, method: str, body: bytes) -> bytes:
    """The whole head of a request with ``body``."""
    if body or method not in BODILESS:
        return b"%bcontent-length: %d\r\n\r\n" % (lasting, len(body))
    return lasting + b"\r\n"


def _user(split: SplitResult) -> str:
    if split.username is None:
        return ""
    return base64.b64encode(f"{unquote(split.username)}:{unquote(split.password or '')}".encode()).decode()
