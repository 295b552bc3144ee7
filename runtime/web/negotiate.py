"""Which dialect a client speaks, where one path serves several. Only what every SDK sends by itself is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["NEGOTIATED", "PROBLEM", "dialect", "territory"]

NEGOTIATED: Final = "negotiated"
"""Stands in a schema's `x-raw` in place of a protocol."""

PROBLEM: Final = "problem"
"""So does this, where errors are RFC 9457 problems: for operations that are no vendor's and need the call as it came."""


def dialect(headers: Mapping[str, str]) -> str:
    """The protocol a client speaks, by its headers (lower-case names); OpenAI's where nothing tells."""
    if "anthropic-version" in headers:
        return "anthropic_messages"
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return "gemini"
    return "openai_chat"


def territory(path: str, spoken: Iterable[tuple[str, str]]) -> str | None:
    """The protocol of the first prefix that ``path`` is below, which may be `negotiated`; None below none of them."""
    for prefix, protocol in spoken:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return protocol
    return None
