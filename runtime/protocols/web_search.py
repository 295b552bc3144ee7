"""A client's search of the web becomes the provider's own, where the provider's surface has one.

Each codec reads its dialect's form of it into `canonical.WebSearch` and writes that form; what a form has no word for is named
as lost. Where the surface has no search, the tool stays another vendor's, and the codec drops it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from runtime.canonical import Request, WebSearch
from runtime.protocols.base import Target

__all__ = ["Write", "lost", "place_of", "with_own_search"]

Write = Callable[[WebSearch], dict[str, object]]
"""The protocol's own tool, or field, as an object."""

_PLACES = ("city", "region", "country", "timezone")


def with_own_search(request: Request, target: Target, protocol: str, write: Write) -> Request:
    """``request`` with other dialects' searches written as ``protocol`` has them; the same object where there are none."""
    if not target.surface.web_search or not any(
        tool.search and tool.native_protocol != protocol for tool in request.tools
    ):
        return request
    tools = tuple(
        msgspec.structs.replace(
            tool, name="web_search", native=msgspec.json.encode(write(tool.search)).decode(), native_protocol=protocol
        )
        if tool.search is not None and tool.native_protocol != protocol
        else tool
        for tool in request.tools
    )
    return msgspec.structs.replace(request, tools=tools)


def lost(before: Request, after: Request, kept: frozenset[str]) -> list[str]:
    """What of the searches that became the provider's own cannot be said there: all but the fields in ``kept``."""
    if after is before:
        return []
    names = frozenset(WebSearch.__struct_fields__) - kept
    return [
        f"tools[{index}].{name}"
        for index, (tool, own) in enumerate(zip(before.tools, after.tools, strict=True))
        if tool is not own and tool.search is not None
        for name in sorted(names)
        if getattr(tool.search, name)
    ]


def place_of(given: Mapping[str, object]) -> dict[str, str]:
    """Where the user is, from an object that may say more."""
    return {name: value for name in _PLACES if isinstance(value := given.get(name), str) and value}
