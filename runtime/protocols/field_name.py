"""What a field of a request is called: to a client that is told of a fault in it, and among what a translation loses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["beyond", "field_name"]

_HEAD: Final = re.compile(r"[^.\[]*")
_NAMES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "anthropic_messages": {"response_format": "output_config.format.schema"},
        "openai_responses": {"messages": "input", "response_format": "text.format.schema"},
        "openai_completions": {"messages": "prompt"},
        "gemini": {
            "messages": "contents",
            "response_format": "generationConfig.responseJsonSchema",
            "n": "generationConfig.candidateCount",
        },
        "ollama_chat": {"response_format": "format"},
        "ollama_generate": {"messages": "prompt", "response_format": "format"},
    }
)
_CHAT: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"^(tools\[\d+\])\.parameters"), r"\1.function.parameters"),
    (re.compile(r"^response_format\.schema"), "response_format.json_schema.schema"),
)
_CANONICAL: Final = frozenset({"top_k", "min_p", "metadata"})
"""Chat's own fields that have canonical words, too: what becomes of them is told under those."""


def field_name(protocol: str, path: str | None) -> str | None:
    """The field at ``path`` of the canonical request, as clients of ``protocol`` know it.

    Deeper than the name of the field only where both are built alike: what stands where in it differs by dialect.
    """
    if path is None:
        return None
    if protocol in {"openai_chat", "ollama_chat"}:
        for known, said in _CHAT[: 2 if protocol == "openai_chat" else 1]:
            path = known.sub(said, path)
    head = _HEAD.match(path)
    name = head[0] if head else path
    if protocol == "openai_chat" or (protocol == "ollama_chat" and name in {"messages", "tools"}):
        return path
    known_names = _NAMES.get(protocol, {})
    return known_names.get(name, name)


def beyond(extensions: Mapping[str, Mapping[str, object]], protocol: str) -> list[str]:
    """Fields of other protocols' requests that nobody but they knows: what is lost of a request to ``protocol``."""
    if not extensions:
        return []
    return [
        name for owner, theirs in extensions.items() if owner != protocol for name in theirs if name not in _CANONICAL
    ]
