"""The protocols this release speaks to providers, and where servers usually speak them. Their grammar is not here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.catalog import Surface

__all__ = ["USUAL"]

USUAL: Final[Mapping[str, Surface]] = MappingProxyType(
    {
        "openai_chat": Surface(path="/chat/completions"),
        "anthropic_messages": Surface(
            path="/v1/messages", count_tokens="/v1/messages/count_tokens", version="2023-06-01"
        ),
    }
)
"""A protocol's surface below the base URL that its own clients are given: with the version for Chat, without for Messages."""
