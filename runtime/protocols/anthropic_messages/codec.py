"""The codec of this protocol: where its pieces are put together. Each rule stands in the module that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.anthropic_messages import CountTokensResponse
from runtime.canonical import Request, Response, Usage
from runtime.errors import GatewayError, InvalidRequest, UpstreamProtocolError
from runtime.protocols import splice
from runtime.protocols.anthropic_messages.decode_request import decode_request
from runtime.protocols.anthropic_messages.decode_stream import Decoder
from runtime.protocols.anthropic_messages.encode_request import encode_count, encode_request, path_of
from runtime.protocols.anthropic_messages.encode_stream import Encoder
from runtime.protocols.anthropic_messages.errors import encode_error, error_of
from runtime.protocols.anthropic_messages.headers import request_headers
from runtime.protocols.anthropic_messages.response import decode_response, encode_response, has_ended, splice_response
from runtime.protocols.anthropic_messages.seal import own_only
from runtime.protocols.anthropic_messages.tap import Tap
from runtime.protocols.anthropic_messages.wire import PROTOCOL, fault
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

__all__ = ["AnthropicMessages"]

_COUNT: Final = msgspec.json.Decoder(CountTokensResponse)


class AnthropicMessages(Codec):
    protocol = PROTOCOL
    request_id_header = "request-id"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        try:
            return splice.peek(body, asked)
        except InvalidRequest as error:
            if error.param is None:
                raise
            raise fault(error.param, error.message) from None

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
        fields = envelope.fields
        messages = fields.get("messages")
        if messages is not None and (own := own_only(messages)) is not messages:
            fields = {**fields, "messages": own}
        return Outgoing(
            path=path_of(target.surface.path, target),
            headers=request_headers(target, headers, pinned=False),
            body=splice.rewrite(envelope, target, fields),
            stream=envelope.stream,
        )

    @override
    def splice_response(self, body: bytes, model: str) -> tuple[bytes, Usage | None]:
        return splice_response(body, model)

    @override
    def ended(self, body: bytes) -> bool:
        return has_ended(body)

    @override
    def stream_tap(self, answer: Answer) -> StreamTap:
        return Tap(answer.model)

    @override
    def encode_request(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return encode_request(request, target, headers)

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
        return encode_count(request, target, headers)

    @override
    def decode_count(self, body: bytes) -> int:
        try:
            return _COUNT.decode(body).input_tokens
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamProtocolError("The provider's token count is not one of its protocol.") from None
