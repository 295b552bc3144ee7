"""Whether an answer depends on what is kept elsewhere, or on what a provider finds or runs: such a one is given once.

Reads a client's JSON as it is, of whatever dialect, and vendors' own fields too, which pass through to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

__all__ = ["depends_elsewhere"]

KEPT: Final = frozenset({
    "background", "cachedContent", "cached_content", "container", "context", "conversation", "mcp_servers",
    "previous_response_id",
})  # fmt: skip
"""Fields that tie a request to what is kept elsewhere."""

FINDING: Final = frozenset({
    "compound_custom", "connectors", "enable_enhancement", "enable_search", "plugins", "search_parameters",
    "search_settings", "venice_parameters", "web_search", "web_search_options",
})  # fmt: skip
"""Fields by which OpenAI, OpenRouter, xAI, Alibaba, Cohere, Groq, Tencent, Baidu and Venice search, fetch or run something."""

NOTHING: Final[tuple[object, ...]] = (None, False, "", [])
"""What says the same as no field at all. An empty object is something: it takes every default."""

ADDRESSES: Final = frozenset({"image_url", "video_url", "audio_url", "file_url"})
FILES: Final = frozenset({"file_id", "fileUri", "file_uri"})
SOURCES: Final = ("url", "file")
"""Of Anthropic's images and documents."""


def depends_elsewhere(body: Mapping[str, object]) -> bool:
    """Whether ``body`` has such a field, or shows a model what lies at an address or among a provider's files."""
    said = (body[name] for name in KEPT | FINDING if name in body)
    if any(value not in NOTHING for value in said):
        return True
    waiting: list[object] = [body.get(name) for name in ("messages", "input", "contents")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            part = cast("dict[str, object]", value)
            if any(_is_elsewhere(name, each) for name, each in part.items()):
                return True
            waiting += part.values()
        elif isinstance(value, list):
            waiting += cast("list[object]", value)
    return False


def _is_elsewhere(name: str, value: object) -> bool:
    if name in FILES:
        return bool(value)
    if name in ADDRESSES:
        address = cast("dict[str, object]", value).get("url") if isinstance(value, dict) else value
        return isinstance(address, str) and "://" in address[:64]
    return name == "source" and isinstance(value, dict) and cast("dict[str, object]", value).get("type") in SOURCES
