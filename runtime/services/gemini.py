"""Gemini's API: the model and what to do with it stand in the path, as `models/<model>:<action>`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from runtime.errors import InvalidRequest, NotFound, brief
from runtime.gateway import Count
from runtime.protocols.base import Asked, Envelope
from runtime.services.catalogue import Catalogue
from runtime.services.inference import Inference
from runtime.services.listing import DIALECTS
from runtime.source import closest
from runtime.web.exchange import Exchange

__all__ = ["Gemini"]

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COLLECTION: Final = re.compile(
    r"(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?(?:models|tunedModels|endpoints)/"
)
_WRAPPERS: Final = ("generateContentRequest", "generate_content_request")


class Gemini:
    """Implements `generated.api.resources.ResourcesService`."""

    PROTOCOL: Final = "gemini"
    EMBEDDINGS: Final = "gemini_embeddings"

    def __init__(self, inference: Inference, catalogue: Catalogue) -> None:
        self._inference = inference
        self._catalogue = catalogue
        self._actions: Mapping[str, Callable[[Exchange, str], Awaitable[None]]] = {
            "generateContent": self._generate,
            "streamGenerateContent": self._stream,
            "countTokens": self._count,
            "embedContent": self._embed,
            "batchEmbedContents": self._embed_batch,
        }

    async def get_resource(self, exchange: Exchange) -> None:
        key = await self._catalogue.admit(exchange)
        resource = exchange.path_params["resource"]
        collection = _COLLECTION.match(resource)
        if collection is None:
            raise _no_endpoint(exchange)
        found = self._catalogue.one(key, resource[collection.end() :])
        await self._catalogue.answer(exchange, DIALECTS[self.PROTOCOL].render_one(found))

    async def call_resource(self, exchange: Exchange) -> None:
        resource = exchange.path_params["resource"]
        if ":" not in resource and _COLLECTION.match(resource) is None:
            raise _no_endpoint(exchange)
        await self.call(exchange, resource)

    async def call(self, exchange: Exchange, resource: str) -> None:
        """Do what ``resource`` says: `<model>:<action>`, the model with or without its collection. Raises NotFound."""
        model, colon, action = resource.rstrip("/").rpartition(":")
        serve = self._actions.get(action) if colon else None
        if serve is None:
            raise _no_action(exchange.path, action if colon else "", self._actions)
        collection = _COLLECTION.match(model)
        await serve(exchange, model[collection.end() :] if collection else model)

    # -- actions

    async def _generate(self, exchange: Exchange, model: str) -> None:
        await self._inference.chat(self.PROTOCOL, Asked(model, stream=False))(exchange)

    async def _stream(self, exchange: Exchange, model: str) -> None:
        variant = "sse" if exchange.query.get("alt") == "sse" else "array"
        await self._inference.chat(self.PROTOCOL, Asked(model, stream=True, variant=variant))(exchange)

    async def _count(self, exchange: Exchange, model: str) -> None:
        asked = Asked(model, stream=False)
        await self._inference.count_tokens(self.PROTOCOL, asked, adapt=_unwrapped, told=_total_tokens)(exchange)

    async def _embed(self, exchange: Exchange, model: str) -> None:
        await self._inference.embed(self.EMBEDDINGS, Asked(model, stream=False, variant="one"))(exchange)

    async def _embed_batch(self, exchange: Exchange, model: str) -> None:
        await self._inference.embed(self.EMBEDDINGS, Asked(model, stream=False, variant="batch"))(exchange)


def _unwrapped(envelope: Envelope) -> Envelope:
    """The request to count, which may stand inside another field."""
    name = next((name for name in _WRAPPERS if name in envelope.fields), None)
    if name is None:
        return envelope
    inner = bytes(envelope.fields[name])
    try:
        fields = _FIELDS.decode(inner)
    except msgspec.DecodeError:
        raise InvalidRequest(f"{name} must be an object", param=name) from None
    return msgspec.structs.replace(envelope, fields=fields, body=inner)


def _total_tokens(count: Count) -> Mapping[str, object]:
    return {"totalTokens": count.tokens}


def _no_endpoint(exchange: Exchange) -> NotFound:
    return NotFound(f"no endpoint {exchange.method} {exchange.path}; see /openapi.json")


def _no_action(path: str, action: str, known: Mapping[str, object]) -> NotFound:
    offered = ", ".join(known)
    if not action:
        return NotFound(f"{brief(path)} names no action; write it behind the model and a colon, one of: {offered}")
    near = closest(action, known)
    hint = f"did you mean {near!r}?" if near else f"one of: {offered}"
    return NotFound(f"there is no action {action!r}; {hint}")
