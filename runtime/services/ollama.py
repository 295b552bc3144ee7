"""Ollama's API: two ways to call a model, and what its clients ask before they do."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from generated.types.ollama import OllamaShow, OllamaTagList, OllamaVersion
from runtime.catalog import Endpoint
from runtime.errors import InvalidRequest, PermissionDenied
from runtime.gateway import Call
from runtime.protocols.base import Envelope
from runtime.routing import RouteTable
from runtime.services.catalogue import Catalogue
from runtime.services.inference import Inference
from runtime.services.listing import DIALECTS
from runtime.web.exchange import Exchange

__all__ = ["Ollama"]

VERSION: Final = "0.12.6"
"""Whose operations are served; editors refuse a server whose version is too low for what they need."""

MAX_SHOW_BYTES: Final = 64 << 10
SHOW_LIMIT_S: Final = 10.0
NOTHING: Final = (b"", b"null", b'""', b"[]")
LATEST: Final = ":latest"

_SHOW: Final = msgspec.json.Decoder(OllamaShow)
_FIELD: Final = re.compile(r"^(?P<what>.*?) - at `\$\.(?P<field>[^`]+)`$")


class Ollama:
    """Implements `generated.api.ollama.OllamaService`. ``now`` gives Unix seconds."""

    PROTOCOL: Final = "ollama_chat"

    def __init__(
        self, inference: Inference, catalogue: Catalogue, routes: RouteTable, now: Callable[[], float]
    ) -> None:
        self._catalogue = catalogue
        self._routes = routes
        self._now = now
        nothing_said = partial(self._loaded, "messages", {"message": {"role": "assistant", "content": ""}})
        nothing_asked = partial(self._loaded, "prompt", {"response": ""})
        self._chat = inference.chat(self.PROTOCOL, adapt=self._plain, at_hand=nothing_said)
        self._generate = inference.chat("ollama_generate", adapt=self._plain, at_hand=nothing_asked)
        self._embed = inference.embed("ollama_embeddings", adapt=self._plain)

    def ollama_chat(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._chat(exchange)

    def ollama_generate(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._generate(exchange)

    def ollama_embed(self, exchange: Exchange) -> Coroutine[object, object, None]:
        return self._embed(exchange)

    async def list_tags(self, exchange: Exchange) -> None:
        speak = DIALECTS[self.PROTOCOL]
        page = speak.page(self._catalogue.listed(await self._catalogue.admit(exchange)), exchange.query)
        await self._catalogue.answer(exchange, speak.render_list(page))

    async def list_loaded(self, exchange: Exchange) -> None:
        await self._catalogue.admit(exchange)
        await self._catalogue.answer(exchange, OllamaTagList(models=[]))

    async def show_model(self, exchange: Exchange) -> None:
        key = await self._catalogue.admit(exchange)
        name = _shown(await exchange.read_body(MAX_SHOW_BYTES, SHOW_LIMIT_S))
        found = self._catalogue.one(key, self._public(name))
        await self._catalogue.answer(exchange, DIALECTS[self.PROTOCOL].render_one(found))

    async def get_ollama_version(self, exchange: Exchange) -> None:
        await self._catalogue.answer(exchange, OllamaVersion(version=VERSION))

    # -- what its clients mean

    def _plain(self, envelope: Envelope) -> Envelope:
        name = self._public(envelope.model)
        return envelope if name == envelope.model else msgspec.structs.replace(envelope, model=name)

    def _public(self, name: str) -> str:
        """``name`` without the tag that Ollama's clients add where a name has none."""
        if name.endswith(LATEST) and not self._routes.lists(name):
            return name.removesuffix(LATEST)
        return name

    def _loaded(self, asks: str, empty: Mapping[str, object], call: Call) -> bytes | None:
        """The answer to a request whose field ``asks`` is empty: it wants the model in memory, or out of it."""
        fields = call.envelope.fields
        if bytes(fields.get(asks, b"")).strip() not in NOTHING:
            return None
        name, record = call.envelope.model, call.record
        if not call.key.may_use(name):
            raise PermissionDenied(f"this key may not use the model {name!r}", param="model")
        self._routes.candidates(name, call.codec.protocol, Endpoint.CHAT)
        record.operation, record.model = "load", name
        goes = bytes(fields.get("keep_alive", b"")).strip(b' "') in (b"0", b"0s")
        created = datetime.fromtimestamp(self._now(), UTC).isoformat().replace("+00:00", "Z")
        told = {"model": call.shown or name, "created_at": created, **empty, "done": True}
        return msgspec.json.encode({**told, "done_reason": "unload" if goes else "load"})


def _shown(body: bytes) -> str:
    """Which model a request wants to see. Raises InvalidRequest."""
    try:
        wanted = _SHOW.decode(body)
    except msgspec.ValidationError as error:
        found = _FIELD.match(str(error))
        if found is None:
            raise InvalidRequest("The request body must be a JSON object.") from None
        raise InvalidRequest(f"{found['field']}: {found['what']}", param=found["field"]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    name = wanted.model or wanted.name
    if not name:
        raise InvalidRequest("model is required", param="model")
    return name
