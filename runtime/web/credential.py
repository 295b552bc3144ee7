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
    found = [_bearer(headers.get("authorization", ""))]
    found += [headers.get(name, "").strip() for name in KEY_HEADERS]
    found.append(query.get("key", "").strip())
    keys = [key for key in found if key]
    if not keys:
        return None
    if any(key != keys[0] for key in keys[1:]):
        raise AuthenticationFailed("the request brings several API keys that differ; send one")
    return keys[0]


def _bearer(value: str) -> str:
    scheme, _, key = value.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
