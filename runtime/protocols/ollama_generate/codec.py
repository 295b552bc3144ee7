"""The client side of Ollama's generate: what it says otherwise than its chat, which does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from typing_extensions import override

from runtime.canonical import Request, Response
from runtime.errors import GatewayError
from runtime.protocols import splice
from runtime.protocols.base import Answer, Asked, ClientCodec, Envelope, ErrorReply, StreamEncoder
from runtime.protocols.ollama_chat.errors import write_error
from runtime.protocols.ollama_chat.lines import LineEncoder, Said, write_answer
from runtime.protocols.ollama_generate.request import PROTOCOL, read_request

__all__ = ["OllamaGenerate"]

_json: Final = msgspec.json.Encoder().encode


class OllamaGenerate(ClientCodec):
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
        return write_answer(response, answer, _piece)

    @override
    def stream_encoder(self, answer: Answer) -> StreamEncoder:
        return LineEncoder(answer, _piece)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)


def _piece(said: Said) -> bytes:
    """The members of `/api/generate`. It asked for no tools, and gets no calls; its pictures are one."""
    members = [b'"response":%b' % _json(said.text)]
    if said.thinking:
        members.append(b',"thinking":%b' % _json(said.thinking))
    if said.images:
        members.append(b',"image":%b' % _json(said.images[0]))
    return b"".join(members)
