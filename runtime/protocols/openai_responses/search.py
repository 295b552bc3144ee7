"""Web search as this protocol has it: a hosted tool, `web_search` or one of its dated and older names."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.canonical import WebSearch
from runtime.protocols.web_search import place_of

__all__ = ["SAYS", "read_search", "write_search"]

SAYS: Final = frozenset({"allowed_domains", "location", "context"})
_CONTEXTS: Final = frozenset({"low", "medium", "high"})


class _Filters(msgspec.Struct):
    allowed_domains: tuple[str, ...] | None = None


class _Search(msgspec.Struct):
    filters: _Filters | None = None
    user_location: dict[str, Any] | None = None
    search_context_size: str | None = None


_SEARCH: Final = msgspec.json.Decoder(_Search)


def read_search(kind: str, raw: msgspec.Raw) -> WebSearch | None:
    """What a tool of ``kind`` searches; None for a tool that does something else."""
    if kind != "web_search" and not kind.startswith(("web_search_2", "web_search_preview")):
        return None
    try:
        given = _SEARCH.decode(raw)
    except msgspec.ValidationError:
        return WebSearch()
    return WebSearch(
        allowed_domains=(given.filters.allowed_domains if given.filters else None) or (),
        location=place_of(given.user_location or {}),
        context=given.search_context_size if given.search_context_size in _CONTEXTS else None,
    )


def write_search(search: WebSearch) -> dict[str, object]:
    tool: dict[str, object] = {"type": "web_search"}
    if search.allowed_domains:
        tool["filters"] = {"allowed_domains": search.allowed_domains}
    if search.location:
        tool["user_location"] = {"type": "approximate", **search.location}
    if search.context is not None:
        tool["search_context_size"] = search.context
    return tool
