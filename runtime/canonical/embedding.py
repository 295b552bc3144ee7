"""Texts to vectors: a request and its answer, whoever asks and whoever answers."""

from __future__ import annotations

from runtime.canonical.base import Extensions, Value
from runtime.canonical.usage import Usage

__all__ = ["EmbeddingRequest", "EmbeddingResponse"]


class EmbeddingRequest(Value, frozen=True):
    """``inputs`` are the texts, at least one. ``dimensions`` is the wanted length of each vector, None the model's own.

    ``task`` is what the vectors are for, in Google's words (`RETRIEVAL_QUERY`, `RETRIEVAL_DOCUMENT`, …), ``titles`` those
    of the documents, as many as there are inputs or none. ``extensions`` maps a protocol to request fields only it has.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    task: str | None = None
    titles: tuple[str | None, ...] = ()
    user: str | None = None
    extensions: dict[str, Extensions] = {}
    unknown: tuple[str, ...] = ()


class EmbeddingResponse(Value, frozen=True):
    """``vectors`` stand in the order of the inputs; each is the JSON text of an array of numbers, digits as they came."""

    model: str
    vectors: tuple[str, ...]
    usage: Usage = Usage()
