"""The codec of this protocol: where its pieces are put together. Each rule stands in the module that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.gemini import CountTokensResponse
from runtime.canonical import Request, Response, Usage
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols import splice
from runtime.protocols.base import (
    Answer,
    Asked,
    Codec,
    Envelope,
    ErrorReply,
    Outgoing,
    StreamDecoder,
    StreamEncoder,
    StreamTap,
    Target,
)
from runtime.protocols.gemini.decode_request import decode_request
from runtime.protocols.gemini.decode_stream import Decoder
from runtime.protocols.gemini.encode_request import encode_count, encode_request
from runtime.protocols.gemini.encode_stream import Encoder
from runtime.protocols.gemini.errors import encode_error, error_of
from runtime.protocols.gemini.passing import pass_request
from runtime.protocols.gemini.response import decode_response, encode_response, has_ended, splice_response
from runtime.protocols.gemini.tap import Tap
from runtime.protocols.gemini.wire import PROTOCOL, pure

__all__ = ["Gemini"]

_COUNT: Final = msgspec.json.Decoder(CountTokensResponse, strict=False)


class Gemini(Codec):
    """Without state: one object serves all."""

    protocol = PROTOCOL
    request_id_header = "x-request-id"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        model = None if asked.model is None else pure(asked.model)
        envelope = splice.peek(body, Asked(model, asked.stream, asked.variant))
        return msgspec.structs.replace(envelope, model=pure(envelope.model))

    @override
    def decode_request(self, envelope: Envelope, headers: Mapping[str, str]) -> Request:
        return decode_request(envelope)

    @override
    def encode_response(self, response: Response, answer: Answer) -> bytes:
        return encode_response(response, answer)

    @override
    def stream_encoder(self, answer: Answer) -> StreamEncoder:
        return Encoder(answer)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return encode_error(error, request_id)

    @override
    def splice(self, envelope: Envelope, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return pass_request(envelope, target)

    @override
    def splice_response(self, body: bytes, model: str) -> tuple[bytes, Usage | None]:
        return splice_response(body, model)

    @override
    def ended(self, body: bytes) -> bool:
        return has_ended(body)

    @override
    def stream_tap(self, answer: Answer) -> StreamTap:
        return Tap(answer)

    @override
    def encode_request(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return encode_request(request, target)

    @override
    def decode_response(self, body: bytes, outgoing: Outgoing) -> Response:
        return decode_response(body, outgoing)

    @override
    def stream_decoder(self, outgoing: Outgoing) -> StreamDecoder:
        return Decoder(outgoing)

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return error_of(status, headers, body)

    @override
    def encode_count(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing | None:
        return encode_count(request, target)

    @override
    def decode_count(self, body: bytes) -> int:
        try:
            tokens = _COUNT.decode(body).totalTokens
        except (msgspec.DecodeError, RecursionError):
            tokens = msgspec.UNSET
        if isinstance(tokens, msgspec.UnsetType):
            raise UpstreamProtocolError("The provider's token count is not one of its protocol.")
        return tokens
