"""Web search as Chat has it: `web_search_options` beside the tools, for models that search.

Canonically it is a tool of this protocol's own; its JSON text is the field's value.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.canonical import Tool, WebSearch
from runtime.protocols.absent import NULL
from runtime.protocols.openai_chat.reasoning import PROTOCOL
from runtime.protocols.web_search import place_of

__all__ = ["SAYS", "options_of", "read_search", "write_search"]

SAYS: Final = frozenset({"location", "context"})


class _Location(msgspec.Struct):
    approximate: dict[str, Any] | None = None


class _Options(msgspec.Struct):
    user_location: _Location | None = None
    search_context_size: str | None = None


_OPTIONS: Final = msgspec.json.Decoder(_Options)


def read_search(raw: msgspec.Raw | msgspec.UnsetType) -> list[Tool]:
    """The tool that a client's field stands for, or none."""
    if not isinstance(raw, msgspec.Raw) or raw == NULL:
        return []
    try:
        given = _OPTIONS.decode(raw)
    except msgspec.ValidationError:
        given = _Options()
    location = given.user_location.approximate if given.user_location else None
    search = WebSearch(location=place_of(location or {}), context=given.search_context_size)
    return [Tool(name="web_search", native=bytes(raw).decode(), native_protocol=PROTOCOL, search=search)]


def write_search(search: WebSearch) -> dict[str, object]:
    options: dict[str, object] = {}
    if search.location:
        options["user_location"] = {"type": "approximate", "approximate": search.location}
    if search.context is not None:
        options["search_context_size"] = search.context
    return options


def options_of(tools: tuple[Tool, ...]) -> msgspec.Raw | None:
    """The field's value; None where nothing searches."""
    own = next(
        (tool.native for tool in tools if tool.search and tool.native and tool.native_protocol == PROTOCOL), None
    )
    return None if own is None else msgspec.Raw(own.encode())
