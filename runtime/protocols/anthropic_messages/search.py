"""Web search as this protocol has it: a server tool named `web_search`, its kind dated."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.canonical import WebSearch
from runtime.protocols.web_search import place_of

__all__ = ["SAYS", "read_search", "write_search"]

SAYS: Final = frozenset({"allowed_domains", "blocked_domains", "location", "max_uses"})
_KIND: Final = "web_search_20250305"
"""The oldest kind, which every model that searches takes."""


class _Search(msgspec.Struct):
    max_uses: int | None = None
    allowed_domains: tuple[str, ...] | None = None
    blocked_domains: tuple[str, ...] | None = None
    user_location: dict[str, Any] | None = None


_SEARCH: Final = msgspec.json.Decoder(_Search)


def read_search(kind: str, raw: msgspec.Raw) -> WebSearch | None:
    """What a tool of ``kind`` searches; None for a tool that does something else."""
    if not kind.startswith("web_search_"):
        return None
    try:
        given = _SEARCH.decode(raw)
    except msgspec.ValidationError:
        return WebSearch()
    return WebSearch(
        allowed_domains=given.allowed_domains or (),
        blocked_domains=given.blocked_domains or (),
        location=place_of(given.user_location or {}),
        max_uses=given.max_uses,
    )


def write_search(search: WebSearch) -> dict[str, object]:
    tool: dict[str, object] = {"type": _KIND, "name": "web_search"}
    if search.max_uses is not None:
        tool["max_uses"] = search.max_uses
    if search.allowed_domains:
        tool["allowed_domains"] = search.allowed_domains
    elif search.blocked_domains:  # the vendor takes one of the two
        tool["blocked_domains"] = search.blocked_domains
    if search.location:
        tool["user_location"] = {"type": "approximate", **search.location}
    return tool
