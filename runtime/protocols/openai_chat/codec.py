"""The codec of OpenAI's Chat Completions: the parts of this package under the names of `runtime.protocols.base`."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

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
from runtime.protocols.openai_chat.answer import read_response
from runtime.protocols.openai_chat.errors import read_error, write_error
from runtime.protocols.openai_chat.outgoing import write_request
from runtime.protocols.openai_chat.passing import has_ended, pass_answer, pass_request
from runtime.protocols.openai_chat.reasoning import PROTOCOL
from runtime.protocols.openai_chat.request import read_request
from runtime.protocols.openai_chat.response import write_response
from runtime.protocols.openai_chat.stream_decoder import ChatDecoder
from runtime.protocols.openai_chat.stream_encoder import ChatEncoder
from runtime.protocols.openai_chat.tap import ChatTap

__all__ = ["OpenAIChat"]


class OpenAIChat(Codec):
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
        return ChatEncoder(answer)

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
        return ChatTap(answer.model, hides_usage=answer.hides_usage)

    @override
    def encode_request(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return write_request(request, target)

    @override
    def decode_response(self, body: bytes, outgoing: Outgoing) -> Response:
        return read_response(body, outgoing)

    @override
    def stream_decoder(self, outgoing: Outgoing) -> StreamDecoder:
        return ChatDecoder(outgoing)

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return read_error(status, headers, body)

    @override
    def encode_count(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing | None:
        return None  # Chat has no call that counts

    @override
    def decode_count(self, body: bytes) -> int:
        raise UpstreamProtocolError("Chat Completions has no call that counts tokens.")
