"""The cookie that a login gives to a browser: read from requests, set and cleared in answers (RFC 6265)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COOKIE", "cleared_cookie", "find_cookie", "login_cookie"]

COOKIE: Final = "auth_token"
MAX_TOKEN: Final = 200


def find_cookie(headers: Mapping[str, str]) -> str | None:
    """The token, or None without one, and with several that differ: nobody could say which of them is meant."""
    found: set[str] = set()
    for line in headers.get("cookie", "").split(","):  # lines of several headers are joined so
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE and value:
                found.add(value.strip('"'))
    token = found.pop() if len(found) == 1 else None
    return token if token is not None and len(token) <= MAX_TOKEN else None


def login_cookie(token: str, max_age_s: int, *, secure: bool) -> str:
    """The value of `Set-Cookie`. No script reads it, no other site's page sends it."""
    return f"{COOKIE}={token}; Max-Age={max_age_s}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"


def cleared_cookie(*, secure: bool) -> str:
    """The value of `Set-Cookie` that takes it away."""
    return login_cookie("", 0, secure=secure)
