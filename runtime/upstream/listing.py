"""Asks a provider for the list of its models: the one question that every vendor answers for nothing.

So it is how a credential and an address are tried without spending anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.upstream.types import Destination, Limits, Upstream, UpstreamRequest

__all__ = ["LISTS", "ListingAnswer", "Server", "list_models"]

MAX_BYTES: Final = 8 << 20
LIMITS: Final = Limits(connect_ms=10_000, first_byte_ms=20_000, idle_ms=10_000, total_ms=30_000)

LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openai_chat": "/models",
        "openai_responses": "/models",
        "openai_embeddings": "/models",
        "anthropic_messages": "/v1/models?limit=1000",
        "gemini": "/v1beta/models?pageSize=1000",
        "gemini_embeddings": "/v1beta/models?pageSize=1000",
        "ollama_chat": "/api/tags",
        "ollama_embeddings": "/api/tags",
    }
)
"""Where servers that speak a protocol list their models, below the base URL that its clients are given."""


class ListingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """``models`` are the provider's own names; empty where it answered something else. ``status`` is HTTP's."""

    status: int
    models: tuple[str, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    id: str | None = None
    name: str | None = None
    model: str | None = None


class _List(msgspec.Struct, frozen=True):
    """OpenAI and Anthropic list `data`, Google and Ollama `models`."""

    data: tuple[_Entry, ...] | None = None
    models: tuple[_Entry, ...] | None = None


_ANSWER: Final[msgspec.json.Decoder[_List | list[_Entry]]] = msgspec.json.Decoder(_List | list[_Entry])


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask. ``headers`` hold the credential, ``path`` is where it is not the protocol's usual one; never logged.

    ``public``: its name must not lead to a network of one's own.
    """

    base_url: str
    protocol: str
    headers: Mapping[str, str] = {}
    path: str | None = None
    proxy: str = ""
    public: bool = False


async def list_models(upstream: Upstream, server: Server) -> ListingAnswer:
    """Ask ``server``. Raises UpstreamUnavailable, UpstreamTimeout or UpstreamProtocolError."""
    to = Destination(
        method="GET",
        url=server.base_url.rstrip("/") + (server.path or LISTS[server.protocol]),
        headers=tuple(server.headers.items()),
        pool="listing public" if server.public else "listing",
        proxy=server.proxy,
        public=server.public,
    )
    response = await upstream.send(UpstreamRequest(to, b"", LIMITS))
    body = await response.read(MAX_BYTES)
    return ListingAnswer(status=response.status, models=_names(body) if response.status == 200 else ())


def _names(body: bytes) -> tuple[str, ...]:
    try:
        found = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    entries = tuple(found) if isinstance(found, list) else found.data or found.models or ()
    names = (each.id or each.name or each.model or "" for each in entries)
    return tuple(dict.fromkeys(name.removeprefix("models/") for name in names if name))
