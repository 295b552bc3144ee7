"""The wire protocols the gateway speaks. One line in a table per protocol; each is imported when it is first wanted.

`CODECS` are spoken on both sides, `DIALECTS` only with clients: no provider is called in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from runtime.protocols.base import ClientCodec, Codec

__all__ = ["CODECS", "DIALECTS", "client_codec", "codec"]


def codec(protocol: str) -> Codec:
    """The codec of ``protocol``, one of `CODECS`. Raises KeyError for another."""
    return CODECS[protocol]()


def client_codec(protocol: str) -> ClientCodec:
    """The client side of ``protocol``, one of `CODECS` or `DIALECTS`. Raises KeyError for another."""
    return (CODECS.get(protocol) or DIALECTS[protocol])()


def _anthropic_messages() -> Codec:
    from runtime.protocols.anthropic_messages import AnthropicMessages

    return AnthropicMessages()


def _openai_chat() -> Codec:
    from runtime.protocols.openai_chat import OpenAIChat

    return OpenAIChat()


CODECS: Mapping[str, Callable[[], Codec]] = MappingProxyType(
    {
        "anthropic_messages": _anthropic_messages,
        "openai_chat": _openai_chat,
    }
)

DIALECTS: Mapping[str, Callable[[], ClientCodec]] = MappingProxyType({})
