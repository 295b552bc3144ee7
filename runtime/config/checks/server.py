"""The server's own settings: an address that can be listened on, and never an open door to other machines."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.web.address import network

__all__ = ["check_server", "is_loopback"]

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?")

OWN_BITS_4: Final = 8
OWN_BITS_6: Final = 16
"""A block of fewer bits is larger than any that one network has: a /8 of IPv4 is, and a /19 of IPv6 is the largest given."""

UNIQUE_LOCAL: Final = ipaddress.IPv6Network("fc00::/7")
"""What private networks choose from (RFC 4193, section 3)."""


def check_server(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check host, authentication, proxies, CORS origins and the data directory."""
    server = scope.config.server
    span = scope.at.value("server", "host")
    if not _is_host(server.host):
        hint = "write a name or an address; the port has its own setting"
        scope.diagnostics.error("invalid-value", span, f"host: {server.host!r} is no host", hint)
    elif server.authentication == "none" and not is_loopback(server.host):
        message = f"the server would be open to everyone who reaches {server.host}"
        hint = "write `authentication: required`, or listen on 127.0.0.1"
        scope.diagnostics.error("open-server", scope.at.value("server", "authentication"), message, hint)
    if not scope.config.login.required and not is_loopback(server.host):
        message = f"everyone who reaches {server.host} could manage the gateway"
        hint = "write `required: true`, or listen on 127.0.0.1"
        scope.diagnostics.error("open-server", scope.at.value("login", "required"), message, hint)
    for index, proxy in enumerate(server.trusted_proxies):
        if not _is_network(proxy):
            at = scope.at.value("server", "trusted_proxies", index)
            hint = "write an address or a CIDR block without host bits, such as 10.0.0.0/8"
            scope.diagnostics.error("invalid-value", at, f"{proxy!r} is no network", hint)
        elif _is_anybodys(proxy):
            at = scope.at.value("server", "trusted_proxies", index)
            message = f"whoever calls from {proxy} could say that it calls from any address"
            scope.diagnostics.warn("trusts-anybody", at, message, "name the addresses of your proxies alone")
    if (complaint := _complaint_of_directory(server.data_dir)) is not None:
        code, message, hint = complaint
        scope.diagnostics.error(code, scope.at.value("server", "data_dir"), f"data_dir: {message}", hint)
    for index, origin in enumerate(server.cors_origins):
        if origin != "*" and not _is_origin(origin):
            at = scope.at.value("server", "cors_origins", index)
            hint = "write scheme, host and port only, such as https://app.example.com"
            scope.diagnostics.error("bad-url", at, f"{origin!r} is no web origin", hint)
        elif origin == "*" and (server.authentication == "none" or not scope.config.login.required):
            at = scope.at.value("server", "cors_origins", index)
            what = "call" if server.authentication == "none" else "manage"
            message = f"a page of any web site that is open on this machine could {what} the gateway: nobody is asked for a key"
            scope.diagnostics.warn("open-to-pages", at, message, "name the origins whose pages may")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _complaint_of_directory(path: str) -> tuple[str, str, str] | None:
    """What is wrong with ``path`` and what to write, or None."""
    if not path.strip():
        return "invalid-value", "it is empty", "write `data`"
    if not path.isprintable():
        return "invalid-value", "it holds a character that no directory should have", "write `data`"
    if "${" in path:
        return "reference-not-read", "references to variables are not read here", "write the path itself"
    if path.startswith("~"):
        return "invalid-value", "`~` does not stand for your home directory here", "write the whole path"
    return None


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None and not re.fullmatch(r"[0-9.]+", host)
    return True


def _is_network(written: str) -> bool:
    try:
        network(written)
    except ValueError:
        return False
    return True


def _is_anybodys(written: str) -> bool:
    """Whether so many addresses can be nobody's own; blocks that are kept for private networks can."""
    found = network(written)
    if found.version == 4:
        return found.prefixlen < OWN_BITS_4
    return found.prefixlen < OWN_BITS_6 and not found.subnet_of(UNIQUE_LOCAL)


def _is_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and origin == f"{parts.scheme}://{parts.netloc}"
