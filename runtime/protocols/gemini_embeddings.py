"""Gemini's embedContent and batchEmbedContents: contents in, vectors out.

Both spellings of field names are taken, as everywhere in this vendor's protocols. The URL says which of the two a client
asks for (`Asked.variant`: `one` or `batch`); a provider is always asked for a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.gemini_embeddings import (
    BatchEmbedContentsAnswer,
    BatchEmbedContentsRequest,
    ContentEmbedding,
    EmbedContent,
    EmbedContentAnswer,
    EmbedContentRequest,
    EmbedPart,
    EmbedUsage,
)
from runtime.canonical import EmbeddingRequest, EmbeddingResponse, Usage
from runtime.errors import GatewayError, InvalidRequest, UpstreamProtocolError
from runtime.protocols import splice
from runtime.protocols.absent import NULL, is_null
from runtime.protocols.base import Asked, Envelope, Outgoing, Target
from runtime.protocols.counts import count, read_counted
from runtime.protocols.embedding import Embedder
from runtime.protocols.gemini import Gemini
from runtime.protocols.vector import not_too_many, one_each, unpacked

__all__ = ["GeminiEmbeddings"]

_BATCH: Final = msgspec.json.Decoder(BatchEmbedContentsRequest)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EACH: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ANSWER: Final = msgspec.json.Decoder(BatchEmbedContentsAnswer)
_HEADERS: Final = (("content-type", "application/json"),)
_REQUEST_FIELDS: Final = frozenset(EmbedContentRequest.__struct_fields__)
_CONTENT_FIELDS: Final = frozenset(EmbedContent.__struct_fields__)
_MEDIA: Final = frozenset({"inlineData", "inline_data", "fileData", "file_data"})
_CAMEL: Final = {"task_type": "taskType", "output_dimensionality": "outputDimensionality"}


class GeminiEmbeddings(Embedder):
    """Without state: one object serves all."""

    protocol = "gemini_embeddings"
    dialect = "gemini"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        return msgspec.structs.replace(splice.peek(body, asked), stream=False)

    @override
    def decode_request(self, envelope: Envelope) -> EmbeddingRequest:
        requests = _requests(envelope)
        first = requests[0]
        lengths = {request.outputDimensionality for request in requests}
        tasks = {request.taskType for request in requests}
        if len(lengths) > 1 or len(tasks) > 1:
            raise InvalidRequest(
                "All requests of a batch must have the same taskType and outputDimensionality.", param="requests"
            )
        titles = tuple(request.title or None for request in requests)
        return EmbeddingRequest(
            model=envelope.model,
            inputs=tuple("\n".join(part.text for part in request.content.parts) for request in requests),
            dimensions=first.outputDimensionality or None,
            task=first.taskType or None,
            titles=titles if any(titles) else (),
            unknown=_unknown(envelope),
        )

    @override
    def encode_response(self, response: EmbeddingResponse, envelope: Envelope) -> bytes:
        vectors = [ContentEmbedding(values=msgspec.Raw(vector.encode())) for vector in response.vectors]
        usage = EmbedUsage(promptTokenCount=response.usage.total_input)
        if envelope.variant == "batch":
            return msgspec.json.encode(BatchEmbedContentsAnswer(embeddings=vectors, usageMetadata=usage))
        return msgspec.json.encode(EmbedContentAnswer(embedding=vectors[0], usageMetadata=usage))

    @override
    def splice(self, envelope: Envelope, target: Target) -> Outgoing:
        """The client's own requests, whatever they hold, as a batch of the provider's model."""
        each = _listed(envelope) if envelope.variant == "batch" else [dict(envelope.fields)]
        model = splice.raw(f"models/{target.model.id}")
        fields = {"requests": msgspec.Raw(msgspec.json.encode([{**one, "model": model} for one in each]))}
        return _outgoing(fields, target)

    @override
    def splice_response(self, body: bytes, envelope: Envelope) -> tuple[bytes, Usage | None]:
        given = _answer(body)
        batch = envelope.variant == "batch"
        one_each([_values(each) for each in given.embeddings], len(_listed(envelope)) if batch else 1)
        if batch:
            return body, _usage(given)
        one = EmbedContentAnswer(embedding=given.embeddings[0], usageMetadata=given.usageMetadata)
        return msgspec.json.encode(one), _usage(given)

    @override
    def encode_request(self, request: EmbeddingRequest, target: Target) -> Outgoing:
        not_too_many(request, target)
        titles = request.titles or (None,) * len(request.inputs)
        requests = [
            EmbedContentRequest(
                model=f"models/{target.model.id}",
                content=EmbedContent(parts=[EmbedPart(text=text)]),
                taskType=request.task or msgspec.UNSET,
                title=title or msgspec.UNSET,
                outputDimensionality=request.dimensions or msgspec.UNSET,
            )
            for text, title in zip(request.inputs, titles, strict=True)
        ]
        fields = _FIELDS.decode(msgspec.json.encode(BatchEmbedContentsRequest(requests=requests)))
        losses = (
            *(("user",) if request.user else ()),
            *(name for theirs in request.extensions.values() for name in theirs),
        )
        return msgspec.structs.replace(_outgoing(fields, target), losses=losses)

    @override
    def decode_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        given = _answer(body)
        values = [_values(embedding) for embedding in given.embeddings]
        one_each(values, len(request.inputs))
        vectors = tuple(unpacked(each) for each in values)
        return EmbeddingResponse(model=request.model, vectors=vectors, usage=_usage(given) or Usage())

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return Gemini().decode_error(status, headers, body)


def _requests(envelope: Envelope) -> list[EmbedContentRequest]:
    """The client's requests, with field names in one spelling. Raises InvalidRequest naming the field."""
    batch = envelope.variant == "batch"
    spelled = [{_CAMEL.get(name, name): value for name, value in one.items()} for one in _said(envelope)]
    try:
        return _BATCH.decode(msgspec.json.encode({"requests": spelled})).requests
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        place = path.rstrip("`") if batch else path.rstrip("`").partition(".")[2]
        raise InvalidRequest(f"{place}: {what}" if place else what, param=place or None) from None


def _unknown(envelope: Envelope) -> tuple[str, ...]:
    """What of a request that could be read was not. Raises InvalidRequest for what is shown beside words: it is a part of the meaning."""
    if envelope.variant != "batch":
        return tuple(_unread(_said(envelope)[0], ""))
    found = [name for name in envelope.fields if name not in {"requests", "model"}]
    for at, one in enumerate(_said(envelope)):
        found += _unread(one, f"requests[{at}].")
    return tuple(found)


def _said(envelope: Envelope) -> list[dict[str, msgspec.Raw]]:
    """The client's requests without what is null, and one part that stands without its list in one, as the vendor takes both."""
    each = _listed(envelope) if envelope.variant == "batch" else [dict(envelope.fields)]
    return [_without_nulls(one) for one in each]


def _without_nulls(one: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    said = {name: value for name, value in one.items() if not is_null(value)}
    if bytes(memoryview(said.get("content", NULL))[:1]) == b"{":
        content = {name: value for name, value in _FIELDS.decode(said["content"]).items() if not is_null(value)}
        parts = content.get("parts", NULL)
        if bytes(memoryview(parts)[:1]) == b"{":
            content["parts"] = msgspec.Raw(msgspec.json.encode([parts]))
        said["content"] = msgspec.Raw(msgspec.json.encode(content))
    return said


def _unread(one: dict[str, msgspec.Raw], place: str) -> Iterable[str]:
    for name in one:
        if _CAMEL.get(name, name) not in _REQUEST_FIELDS:
            yield place + name
    content = _FIELDS.decode(one["content"])
    for name in content:
        if name not in _CONTENT_FIELDS:
            yield f"{place}content.{name}"
    for at, part in enumerate(_EACH.decode(content["parts"])):
        for name in part:
            path = f"{place}content.parts[{at}].{name}"
            if name in _MEDIA:
                raise InvalidRequest(f"{path}: this model takes texts alone", param=path)
            if name != "text":
                yield path


def _listed(envelope: Envelope) -> list[dict[str, msgspec.Raw]]:
    if "requests" not in envelope.fields:
        raise InvalidRequest("requests: required", param="requests")
    try:
        return _EACH.decode(envelope.fields["requests"])
    except msgspec.DecodeError:
        raise InvalidRequest("requests: must be an array of objects", param="requests") from None


def _outgoing(fields: dict[str, msgspec.Raw], target: Target) -> Outgoing:
    path = target.surface.path.replace("{model}", target.model.id)
    body = msgspec.json.encode(splice.apply(target.rules, fields))
    return Outgoing(path, _HEADERS, body, stream=False)


def _answer(body: bytes) -> BatchEmbedContentsAnswer:
    try:
        return _ANSWER.decode(body)
    except msgspec.DecodeError as error:
        counted = read_counted(_ANSWER, body, ("usageMetadata",))
        if counted is not None:
            return counted
        raise UpstreamProtocolError(f"The provider's answer is not in its protocol: {error}.") from None


def _values(embedding: ContentEmbedding) -> msgspec.Raw:
    return embedding.values if isinstance(embedding.values, msgspec.Raw) and embedding.values else msgspec.Raw(b"[]")


def _usage(given: BatchEmbedContentsAnswer) -> Usage | None:
    usage = given.usageMetadata
    return Usage(input=count(usage.promptTokenCount)) if usage and usage.promptTokenCount else None
