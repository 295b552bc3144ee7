"""Which session a request belongs to, as its client says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from runtime.canonical import Request
from runtime.errors import InvalidRequest

__all__ = ["MAX_ID", "SESSION_HEADERS", "named_session", "said_session"]

MAX_ID: Final = 256

SESSION_HEADERS: Final = (
    "x-omniroute-session-id", "x-gatewright-session-id", "x-omniroute-session", "x-gatewright-session", "x-session-id",
    "session-id", "x_session_id", "x-claude-code-session-id",
)  # fmt: skip
"""Lower-case; the first that is there counts."""

_NAMES: Final = frozenset(SESSION_HEADERS)


class _User(msgspec.Struct):
    """What Claude Code writes into `metadata.user_id`, as JSON text."""

    session_id: str


def named_session(headers: Mapping[str, str]) -> str | None:
    """The id that a header names. Raises InvalidRequest for one that cannot be an id."""
    if _NAMES.isdisjoint(headers):
        return None
    for name in SESSION_HEADERS:
        value = headers.get(name, "").strip()
        if value:
            return _sound(value, name)
    return None


def said_session(request: Request) -> str | None:
    """The id that the body of a request says: its own words first, then what vendors' clients write."""
    said = request.metadata.get("session_id")
    if said:
        return _sound(said, "metadata.session_id")
    found = [request.cache_key] if request.cache_key else []
    for text in (request.user, request.metadata.get("user_id")):
        if text and text.startswith("{"):
            try:
                found.insert(0, msgspec.json.decode(text, type=_User).session_id)
            except (msgspec.DecodeError, UnicodeEncodeError):
                continue
    return next((each for each in found if 0 < len(each) <= MAX_ID and each.isprintable()), None)


def _sound(value: str, where: str) -> str:
    if len(value) > MAX_ID:
        raise InvalidRequest(f"{where} has {len(value)} characters; a session id has {MAX_ID} at most", param=where)
    if not value.isprintable():
        raise InvalidRequest(f"{where} holds control characters, which no session id can", param=where)
    return value
