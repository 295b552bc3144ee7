"""The key a client presents, wherever its SDK puts it. Never logged, never echoed; whether it is good, `KeyRing` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.errors import AuthenticationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.web.exchange import Exchange

__all__ = ["find_key", "presented_key"]

KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")


def presented_key(exchange: Exchange) -> str | None:
    """The key of a call, or None when it brings none. Raises AuthenticationFailed when it brings different ones."""
    return find_key(exchange.headers, exchange.query)


def find_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """Look at `Authorization: Bearer`, `x-api-key`, `api-key`, `x-goog-api-key` and `?key=`, in this order.

    ``headers`` have lower-case names. An empty value counts as none. Two places with the same key are one key; with
    different keys nobody could say which of them was meant: AuthenticationFailed.
    """
    found = _bearer(headers["authorization"]) if "authorization" in headers else ""
    for name in KEY_HEADERS:
        if name in headers:
            found = _same(found, headers[name].strip())
    if query:
        found = _same(found, query.get("key", "").strip())
    return found or None


def _same(found: str, more: str) -> str:
    """What two places say together, of which each may say nothing."""
    if found and more and found != more:
        raise AuthenticationFailed("the request brings several API keys that differ; send one")
    return found or more


def _bearer(value: str) -> str:
    scheme, _, key = value.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
