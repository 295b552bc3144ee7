"""Ollama's embed: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.ollama_embeddings import EmbedAnswer, EmbedRequest
from runtime.canonical import EmbeddingRequest, EmbeddingResponse, Extensions, Usage
from runtime.errors import GatewayError, InvalidRequest, UpstreamProtocolError
from runtime.protocols import splice
from runtime.protocols.absent import NULL, is_null
from runtime.protocols.base import Asked, Envelope, Outgoing, Target
from runtime.protocols.counts import count, read_counted
from runtime.protocols.embedding import Embedder
from runtime.protocols.ollama_chat import OllamaChat
from runtime.protocols.vector import inputs_in, not_too_many, one_each, unpacked

__all__ = ["OllamaEmbeddings"]

_REQUEST: Final = msgspec.json.Decoder(EmbedRequest)
_ANSWER: Final = msgspec.json.Decoder(EmbedAnswer)
_COUNTED: Final = (("prompt_eval_count",), ("total_duration",), ("load_duration",))
_HEADERS: Final = (("content-type", "application/json"),)
_OWN: Final = ("truncate", "options", "keep_alive")


class OllamaEmbeddings(Embedder):
    """Without state: one object serves all."""

    protocol = "ollama_embeddings"
    dialect = "ollama_chat"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        envelope = splice.peek(body, asked)
        if "input" not in envelope.fields:
            raise InvalidRequest("input is required", param="input")
        return msgspec.structs.replace(envelope, stream=False)

    @override
    def decode_request(self, envelope: Envelope) -> EmbeddingRequest:
        try:
            given = _REQUEST.decode(splice.join(b"", {}, {**envelope.fields, "model": splice.raw(envelope.model)}))
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `$.")
            param = path.rstrip("`")
            raise InvalidRequest(f"{param}: {what}" if param else what, param=param or None) from None
        texts = (given.input,) if isinstance(given.input, str) else tuple(given.input)
        if not texts or not all(texts):
            raise InvalidRequest("input must not be empty", param="input")
        known = EmbedRequest.__struct_fields__
        own: Extensions = {name: value for name in _OWN if not is_null(value := envelope.fields.get(name, NULL))}
        return EmbeddingRequest(
            model=envelope.model,
            inputs=texts,
            dimensions=given.dimensions or None,
            extensions={self.protocol: own} if own else {},
            unknown=tuple(name for name in envelope.fields if name not in known),
        )

    @override
    def encode_response(self, response: EmbeddingResponse, envelope: Envelope) -> bytes:
        vectors = [msgspec.Raw(vector.encode()) for vector in response.vectors]
        tokens = response.usage.total_input
        return msgspec.json.encode(EmbedAnswer(model=envelope.model, embeddings=vectors, prompt_eval_count=tokens))

    @override
    def splice(self, envelope: Envelope, target: Target) -> Outgoing:
        return Outgoing(target.surface.path, _HEADERS, splice.rewrite(envelope, target), stream=False)

    @override
    def splice_response(self, body: bytes, envelope: Envelope) -> tuple[bytes, Usage | None]:
        given = _answer(body)
        one_each(given.embeddings, inputs_in(envelope.fields["input"]))
        return splice.replace(body, ("model",), splice.raw(envelope.model)), _usage(given)

    @override
    def encode_request(self, request: EmbeddingRequest, target: Target) -> Outgoing:
        not_too_many(request, target)
        fields: dict[str, msgspec.Raw] = {
            "model": splice.raw(target.model.id),
            "input": msgspec.Raw(msgspec.json.encode(request.inputs)),
        }
        if request.dimensions is not None:
            fields["dimensions"] = splice.raw(request.dimensions)
        body = msgspec.json.encode(splice.apply(target.rules, fields))
        said = {"task": request.task, "title": any(request.titles), "user": request.user}
        losses = (
            *(name for name, value in said.items() if value),
            *(name for theirs in request.extensions.values() for name in theirs),
        )
        return Outgoing(target.surface.path, _HEADERS, body, stream=False, losses=losses)

    @override
    def decode_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        given = _answer(body)
        one_each(given.embeddings, len(request.inputs))
        vectors = tuple(unpacked(vector) for vector in given.embeddings)
        return EmbeddingResponse(model=request.model, vectors=vectors, usage=_usage(given) or Usage())

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return OllamaChat().decode_error(status, headers, body)


def _answer(body: bytes) -> EmbedAnswer:
    try:
        return _ANSWER.decode(body)
    except msgspec.DecodeError as error:
        counted = read_counted(_ANSWER, body, *_COUNTED)
        if counted is not None:
            return counted
        raise UpstreamProtocolError(f"The provider's answer is not in its protocol: {error}.") from None


def _usage(given: EmbedAnswer) -> Usage | None:
    return Usage(input=count(given.prompt_eval_count)) if given.prompt_eval_count else None
