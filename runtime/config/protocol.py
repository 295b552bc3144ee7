"""The protocols this release speaks to providers, and where servers usually speak them. Their grammar is not here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from runtime.catalog import Endpoint, Surface

__all__ = ["USUAL", "protocols_for"]

USUAL: Final[Mapping[str, Surface]] = MappingProxyType(
    {
        "openai_chat": Surface(path="/chat/completions"),
        "openai_responses": Surface(path="/responses"),
        "anthropic_messages": Surface(
            path="/v1/messages", count_tokens="/v1/messages/count_tokens", version="2023-06-01"
        ),
        "gemini": Surface(path="/v1beta/models/{model}:{action}", count_tokens="/v1beta/models/{model}:countTokens"),
        "ollama_chat": Surface(path="/api/chat"),
        "openai_embeddings": Surface(path="/embeddings"),
        "gemini_embeddings": Surface(path="/v1beta/models/{model}:batchEmbedContents"),
        "ollama_embeddings": Surface(path="/api/embed"),
    }
)
"""A protocol's surface below the base URL that its own clients are given: with the version for OpenAI's, without for others."""

_EMBEDDINGS: Final = frozenset({"openai_embeddings", "gemini_embeddings", "ollama_embeddings"})


def protocols_for(endpoint: Endpoint, protocols: Iterable[str]) -> list[str]:
    """Those of ``protocols`` that this release speaks and in which models of ``endpoint`` are called, in their order."""
    return [
        protocol
        for protocol in protocols
        if protocol in USUAL and (protocol in _EMBEDDINGS) == (endpoint is Endpoint.EMBEDDINGS)
    ]
