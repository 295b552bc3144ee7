"""What an embedder offers: one protocol that turns texts into vectors to the canonical values and back, on both sides.

Pure, like the codecs of `runtime.protocols.base`, whose errors it raises. How a client is told of an error is the matter of
the chat codec of the same vendor: its dialect is named by ``dialect``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from runtime.canonical import EmbeddingRequest, EmbeddingResponse, Usage
from runtime.errors import GatewayError
from runtime.protocols.base import Asked, Envelope, Outgoing, Target

__all__ = ["Embedder"]


class Embedder(Protocol):
    """One protocol. Client side: `peek`, `decode_request`, `encode_response`. Upstream side: the rest."""

    protocol: str
    dialect: str

    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        """Read the model. Raises InvalidRequest for what is not JSON, not an object, or has no usable model."""
        ...

    def decode_request(self, envelope: Envelope) -> EmbeddingRequest:
        """Raises InvalidRequest naming the field."""
        ...

    def encode_response(self, response: EmbeddingResponse, envelope: Envelope) -> bytes:
        """The answer to the client's ``envelope``, in the encoding and form that it asks for."""
        ...

    def splice(self, envelope: Envelope, target: Target) -> Outgoing:
        """Pass a request of this protocol on: ``model`` replaced, parameter rules applied, all else byte for byte."""
        ...

    def splice_response(self, body: bytes, envelope: Envelope) -> tuple[bytes, Usage | None]:
        """Pass an answer back: ``model`` replaced, vectors in the encoding that was asked for, all else byte for byte.

        Raises UpstreamProtocolError when ``body`` is no answer, or has not a vector for each input.
        """
        ...

    def encode_request(self, request: EmbeddingRequest, target: Target) -> Outgoing:
        """Raises InvalidRequest for what cannot be said to this target and must not be left out."""
        ...

    def decode_response(self, body: bytes, request: EmbeddingRequest) -> EmbeddingResponse:
        """Raises UpstreamProtocolError for what is no answer, or has not a vector for each input."""
        ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError: ...
