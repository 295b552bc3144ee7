"""The codec of OpenAI's Responses: the parts of this package under the names of `runtime.protocols.base`."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from runtime.canonical import Request, Response, Usage
from runtime.errors import GatewayError
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
from runtime.protocols.openai_responses.answer import has_ended, pass_answer, read_count, read_response
from runtime.protocols.openai_responses.errors import read_error, write_error
from runtime.protocols.openai_responses.outgoing import write_count, write_request
from runtime.protocols.openai_responses.passing import pass_request
from runtime.protocols.openai_responses.request import read_request
from runtime.protocols.openai_responses.stream_decoder import ResponsesDecoder
from runtime.protocols.openai_responses.stream_encoder import ResponsesEncoder, write_response
from runtime.protocols.openai_responses.tap import ResponsesTap
from runtime.protocols.openai_responses.wire import PROTOCOL

__all__ = ["OpenAIResponses"]


class OpenAIResponses(Codec):
    """Without state: one object serves all."""

    protocol = PROTOCOL
    request_id_header = "x-request-id"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        return splice.peek(body, asked)

    @override
    def decode_request(self, envelope: Envelope, headers: Mapping[str, str]) -> Request:
        return read_request(envelope)

    @override
    def encode_response(self, response: Response, answer: Answer) -> bytes:
        return write_response(response, answer)

    @override
    def stream_encoder(self, answer: Answer) -> StreamEncoder:
        return ResponsesEncoder(answer)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)

    @override
    def splice(self, envelope: Envelope, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return pass_request(envelope, target)

    @override
    def splice_response(self, body: bytes, model: str) -> tuple[bytes, Usage | None]:
        return pass_answer(body, model)

    @override
    def ended(self, body: bytes) -> bool:
        return has_ended(body)

    @override
    def stream_tap(self, answer: Answer) -> StreamTap:
        return ResponsesTap(answer)

    @override
    def encode_request(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return write_request(request, target)

    @override
    def decode_response(self, body: bytes, outgoing: Outgoing) -> Response:
        return read_response(body, outgoing)

    @override
    def stream_decoder(self, outgoing: Outgoing) -> StreamDecoder:
        return ResponsesDecoder(outgoing)

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return read_error(status, headers, body)

    @override
    def encode_count(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing | None:
        return write_count(request, target)

    @override
    def decode_count(self, body: bytes) -> int:
        return read_count(body)
