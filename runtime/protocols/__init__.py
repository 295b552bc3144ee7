"""The wire protocols the gateway speaks. One line in a table per protocol; each is imported when it is first wanted.

`CODECS` are spoken on both sides, `DIALECTS` only with clients: no provider is called in them. `EMBEDDERS` turn texts into
vectors, on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from runtime.protocols.base import ClientCodec, Codec
from runtime.protocols.embedding import Embedder

__all__ = ["CODECS", "DIALECTS", "EMBEDDERS", "client_codec", "codec", "embedder"]


def codec(protocol: str) -> Codec:
    """The codec of ``protocol``, one of `CODECS`. Raises KeyError for another."""
    return CODECS[protocol]()


def client_codec(protocol: str) -> ClientCodec:
    """The client side of ``protocol``, one of `CODECS` or `DIALECTS`. Raises KeyError for another."""
    return (CODECS.get(protocol) or DIALECTS[protocol])()


def embedder(protocol: str) -> Embedder:
    """The embedder of ``protocol``, one of `EMBEDDERS`. Raises KeyError for another."""
    return EMBEDDERS[protocol]()


def _anthropic_messages() -> Codec:
    from runtime.protocols.anthropic_messages import AnthropicMessages

    return AnthropicMessages()


def _gemini() -> Codec:
    from runtime.protocols.gemini import Gemini

    return Gemini()


def _ollama_chat() -> Codec:
    from runtime.protocols.ollama_chat import OllamaChat

    return OllamaChat()


def _openai_chat() -> Codec:
    from runtime.protocols.openai_chat import OpenAIChat

    return OpenAIChat()


def _openai_responses() -> Codec:
    from runtime.protocols.openai_responses import OpenAIResponses

    return OpenAIResponses()


CODECS: Mapping[str, Callable[[], Codec]] = MappingProxyType(
    {
        "anthropic_messages": _anthropic_messages,
        "gemini": _gemini,
        "ollama_chat": _ollama_chat,
        "openai_chat": _openai_chat,
        "openai_responses": _openai_responses,
    }
)


def _ollama_generate() -> ClientCodec:
    from runtime.protocols.ollama_generate import OllamaGenerate

    return OllamaGenerate()


def _openai_completions() -> ClientCodec:
    from runtime.protocols.openai_completions import OpenAICompletions

    return OpenAICompletions()


DIALECTS: Mapping[str, Callable[[], ClientCodec]] = MappingProxyType(
    {
        "ollama_generate": _ollama_generate,
        "openai_completions": _openai_completions,
    }
)


def _gemini_embeddings() -> Embedder:
    from runtime.protocols.gemini_embeddings import GeminiEmbeddings

    return GeminiEmbeddings()


def _ollama_embeddings() -> Embedder:
    from runtime.protocols.ollama_embeddings import OllamaEmbeddings

    return OllamaEmbeddings()


def _openai_embeddings() -> Embedder:
    from runtime.protocols.openai_embeddings import OpenAIEmbeddings

    return OpenAIEmbeddings()


EMBEDDERS: Mapping[str, Callable[[], Embedder]] = MappingProxyType(
    {
        "gemini_embeddings": _gemini_embeddings,
        "ollama_embeddings": _ollama_embeddings,
        "openai_embeddings": _openai_embeddings,
    }
)
