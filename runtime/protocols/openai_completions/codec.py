"""The client side of OpenAI's old Completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from typing_extensions import override

from runtime.canonical import Request, Response
from runtime.errors import GatewayError
from runtime.protocols import splice
from runtime.protocols.base import Answer, Asked, ClientCodec, Envelope, ErrorReply, StreamEncoder
from runtime.protocols.openai_chat.errors import write_error
from runtime.protocols.openai_completions.answer import CompletionEncoder, write_response
from runtime.protocols.openai_completions.request import ECHO, PROTOCOL, read_request

__all__ = ["OpenAICompletions"]

_TRUE: Final = msgspec.Raw(b"true")


class OpenAICompletions(ClientCodec):
    """Without state: one object serves all."""

    protocol = PROTOCOL
    request_id_header = "x-request-id"

    @override
    def peek(self, body: bytes, asked: Asked = Asked()) -> Envelope:
        """That the prompt is to be echoed is a matter of the answer's form only."""
        envelope = splice.peek(body, asked)
        return msgspec.structs.replace(envelope, variant=ECHO) if envelope.fields.get("echo") == _TRUE else envelope

    @override
    def decode_request(self, envelope: Envelope, headers: Mapping[str, str]) -> Request:
        return read_request(envelope)

    @override
    def encode_response(self, response: Response, answer: Answer) -> bytes:
        return write_response(response, answer)

    @override
    def stream_encoder(self, answer: Answer) -> StreamEncoder:
        return CompletionEncoder(answer)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)
