"""OpenAI's embeddings: texts in, vectors as numbers or base64 out.

The vendor's SDKs ask for base64 whether or not a server knows it. So a provider is asked for numbers on translation, and
an answer is given in the encoding that the client asked for, whatever the provider wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_embeddings import (
    EmbeddingEntry,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    EmbeddingsUsage,
    ReceivedEmbeddings,
)
from runtime.canonical import EmbeddingRequest, EmbeddingResponse, Usage
from runtime.errors import GatewayError, InvalidRequest, UpstreamProtocolError
from runtime.protocols import splice
from runtime.protocols.base import Asked, Envelope, Outgoing, Target
from runtime.protocols.counts import count, read_counted
from runtime.protocols.embedding import Embedder
from runtime.protocols.openai_chat import OpenAIChat
from runtime.protocols.vector import inputs_in, not_too_many, one_each, packed, places, unpacked

__all__ = ["OpenAIEmbeddings"]

_REQUEST: Final = msgspec.json.Decoder(EmbeddingsRequest)
_ANSWER: Final = msgspec.json.Decoder(ReceivedEmbeddings)
_INPUTS: Final = msgspec.json.Decoder(str | list[str])
_RAW_ANSWER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_ENTRIES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_HEADERS: Final = (("content-type", "application/json"),)
_MAX_INPUTS: Final = 2048


class OpenAIEmbeddings(Embedder):
    """Without state: one object serves all."""

    protocol = "openai_embeddings"
    dialect = "openai_chat"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        envelope = splice.peek(body, asked)
        if "input" not in envelope.fields:
            raise InvalidRequest("The field 'input' is required.", param="input", code="missing_required_parameter")
        return msgspec.structs.replace(envelope, stream=False)

    @override
    def decode_request(self, envelope: Envelope) -> EmbeddingRequest:
        given = _read(envelope)
        try:
            inputs = _INPUTS.decode(given.input)
        except msgspec.DecodeError:
            raise InvalidRequest(
                "This model takes texts: a text or a list of texts, but no token ids.",
                param="input",
                code="invalid_type",
            ) from None
        texts = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        if not texts or not all(texts):
            raise InvalidRequest("The field 'input' must not be empty.", param="input", code="invalid_value")
        if len(texts) > _MAX_INPUTS:
            message = f"The field 'input' must have at most {_MAX_INPUTS} texts, not {len(texts)}."
            raise InvalidRequest(message, param="input", code="invalid_value")
        known = EmbeddingsRequest.__struct_fields__
        return EmbeddingRequest(
            model=envelope.model,
            inputs=texts,
            dimensions=given.dimensions or None,
            user=given.user or None,
            unknown=tuple(name for name in envelope.fields if name not in known),
        )

    @override
    def encode_response(self, response: EmbeddingResponse, envelope: Envelope) -> bytes:
        tokens = response.usage.total_input
        wanted = _encoding(envelope)
        return msgspec.json.encode(
            EmbeddingsAnswer(
                object="list",
                data=[
                    EmbeddingEntry(object="embedding", index=index, embedding=_written(vector, wanted))
                    for index, vector in enumerate(response.vectors)
                ],
                model=envelope.model,
                usage=EmbeddingsUsage(prompt_tokens=tokens, total_tokens=tokens),
            )
        )

    @override
    def splice(self, envelope: Envelope, target: Target) -> Outgoing:
        return Outgoing(target.surface.path, _HEADERS, splice.rewrite(envelope, target), stream=False)

    @override
    def splice_response(self, body: bytes, envelope: Envelope) -> tuple[bytes, Usage | None]:
        given = _answer(body)
        usage = _usage(given)
        _check(given, inputs_in(envelope.fields["input"]))
        wanted = _encoding(envelope)
        if all((bytes(memoryview(entry.embedding)[:1]) == b'"') == (wanted == "base64") for entry in given.data):
            return splice.replace(body, ("model",), splice.raw(envelope.model)), usage
        fields = _RAW_ANSWER.decode(body)
        entries = [
            {**entry, "embedding": _written(unpacked(entry["embedding"]), wanted)}
            for entry in _RAW_ENTRIES.decode(fields["data"])
        ]
        after = {**fields, "data": msgspec.Raw(msgspec.json.encode(entries))}
        if "model" in after:
            after["model"] = splice.raw(envelope.model)
        return splice.join(body, fields, after), usage

    @override
    def encode_request(self, request: EmbeddingRequest, target: Target) -> Outgoing:
        not_too_many(request, target)
        fields: dict[str, msgspec.Raw] = {
            "model": splice.raw(target.model.id),
            "input": msgspec.Raw(msgspec.json.encode(request.inputs)),
            "encoding_format": splice.raw("float"),
        }
        if request.dimensions is not None:
            fields["dimensions"] = splice.raw(request.dimensions)
        if request.user is not None:
            fields["user"] = splice.raw(request.user)
        body = msgspec.json.encode(splice.apply(target.rules, fields))
        lost = ("task" if request.task else "", "title" if any(request.titles) else "")
        losses = (*filter(None, lost), *(name for theirs in request.extensions.values() for name in theirs))
        return Outgoing(target.surface.path, _HEADERS, body, stream=False, losses=losses)

    @override
    def decode_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        given = _answer(body)
        each = zip(_check(given, len(request.inputs)), given.data, strict=True)
        placed = {place: unpacked(entry.embedding) for place, entry in each}
        vectors = tuple(placed[at] for at in range(len(request.inputs)))
        return EmbeddingResponse(model=request.model, vectors=vectors, usage=_usage(given) or Usage())

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return OpenAIChat().decode_error(status, headers, body)


def _read(envelope: Envelope) -> EmbeddingsRequest:
    body = splice.join(b"", {}, {**envelope.fields, "model": splice.raw(envelope.model)})
    try:
        return _REQUEST.decode(body)
    except msgspec.ValidationError as error:
        raise _fault(str(error)) from None


def _fault(text: str) -> InvalidRequest:
    what, _, path = text.partition(" - at `$.")
    return InvalidRequest(f"{what}.", param=path.rstrip("`") or None, code="invalid_type")


def _encoding(envelope: Envelope) -> str:
    return "base64" if bytes(envelope.fields.get("encoding_format", b"")) == b'"base64"' else "float"


def _written(vector: str, encoding: str) -> msgspec.Raw:
    return splice.raw(packed(vector)) if encoding == "base64" else msgspec.Raw(vector.encode())


def _answer(body: bytes) -> ReceivedEmbeddings:
    try:
        given = _ANSWER.decode(body)
    except msgspec.DecodeError as error:
        counted = read_counted(_ANSWER, body, ("usage",))
        if counted is None:
            failure = OpenAIChat().decode_error(200, {}, body) if b'"error"' in body[:4096] else None
            raise failure or UpstreamProtocolError(f"The provider's answer is not in its protocol: {error}.") from None
        given = counted
    if not given.data:
        raise UpstreamProtocolError("The provider sent no vectors.")
    return given


def _check(given: ReceivedEmbeddings, inputs: int | None) -> list[int]:
    """Which input each vector belongs to. Raises UpstreamProtocolError unless there is one for each."""
    one_each([entry.embedding for entry in given.data], inputs)
    return places([None if entry.index is msgspec.UNSET else entry.index for entry in given.data])


def _usage(given: ReceivedEmbeddings) -> Usage | None:
    usage = given.usage
    if usage is None or isinstance(usage, msgspec.UnsetType):
        return None
    return Usage(input=count(usage.prompt_tokens) or count(usage.total_tokens))
