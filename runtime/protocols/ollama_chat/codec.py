"""The codec of Ollama's chat: the parts of this package under the names of `runtime.protocols.base`."""

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
from runtime.protocols.ollama_chat.answer import check_whole, read_response, read_usage, renamed
from runtime.protocols.ollama_chat.errors import read_error, write_error
from runtime.protocols.ollama_chat.lines import LineEncoder, chat_piece, write_answer
from runtime.protocols.ollama_chat.outgoing import pass_request, write_request
from runtime.protocols.ollama_chat.request import read_request
from runtime.protocols.ollama_chat.stream_decoder import OllamaDecoder
from runtime.protocols.ollama_chat.tap import OllamaTap
from runtime.protocols.ollama_chat.wire import PROTOCOL

__all__ = ["OllamaChat"]


class OllamaChat(Codec):
    """Without state: one object serves all."""

    protocol = PROTOCOL
    request_id_header = "x-request-id"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        return splice.peek(body, asked, streams=True)

    @override
    def decode_request(self, envelope: Envelope, headers: Mapping[str, str]) -> Request:
        return read_request(envelope)

    @override
    def encode_response(self, response: Response, answer: Answer) -> bytes:
        return write_answer(response, answer, chat_piece)

    @override
    def stream_encoder(self, answer: Answer) -> StreamEncoder:
        return LineEncoder(answer, chat_piece)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)

    @override
    def splice(self, envelope: Envelope, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return pass_request(envelope, target)

    @override
    def splice_response(self, body: bytes, model: str) -> tuple[bytes, Usage | None]:
        wire = check_whole(body)
        return renamed(body, model), read_usage(wire)

    @override
    def ended(self, body: bytes) -> bool:
        return check_whole(body).done is True

    @override
    def stream_tap(self, answer: Answer) -> StreamTap:
        return OllamaTap(answer.model)

    @override
    def encode_request(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing:
        return write_request(request, target)

    @override
    def decode_response(self, body: bytes, outgoing: Outgoing) -> Response:
        return read_response(body, outgoing)

    @override
    def stream_decoder(self, outgoing: Outgoing) -> StreamDecoder:
        return OllamaDecoder(outgoing)

    @override
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return read_error(status, headers, body)

    @override
    def encode_count(self, request: Request, target: Target, headers: Mapping[str, str]) -> Outgoing | None:
        return None  # Ollama has no call that counts

    @override
    def decode_count(self, body: bytes) -> int:
        raise UpstreamProtocolError("Ollama has no call that counts tokens.")
