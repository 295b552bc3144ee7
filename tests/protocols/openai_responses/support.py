"""What the tests of this codec share: targets, requests from dicts, and the vendor's own types as judges."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from openai.types.responses import Response as VendorResponse
from openai.types.responses import ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

from runtime.canonical import Message, Request, Text
from runtime.catalog import Model, Provider, Quirks, Surface
from runtime.protocols.base import Answer, Outgoing, Target
from runtime.protocols.openai_responses import OpenAIResponses

__all__ = [
    "ANSWER", "CODEC", "OUTGOING", "ask", "body", "decode", "encode", "reply_to", "target", "user", "vendor_accepts",
    "vendor_answers", "vendor_streams",
]  # fmt: skip

CODEC = OpenAIResponses()
ANSWER = Answer(model="public/name", id="req1", created=1_795_219_200, headers={})
OUTGOING = Outgoing("/v1/responses", (), b"", stream=True)


def target(model: Model | None = None, **quirks: Any) -> Target:
    surface = Surface(path="/responses", count_tokens="/responses/input_tokens")
    provider = Provider(
        id="p", name="P", base_url="https://p.example", surfaces={"openai_responses": surface}, quirks=Quirks(**quirks)
    )
    return Target(provider, model or Model(id="up-1"), surface)


def decode(**fields: Any) -> Request:
    """A client's body to its canonical request."""
    fields = {"model": "gpt-x", "input": "hi", **fields}
    return CODEC.decode_request(CODEC.peek(msgspec.json.encode(fields)), {})


def ask(*messages: Message, **fields: Any) -> Request:
    return Request(model="gpt-x", messages=messages or (user("hi"),), **fields)


def user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


def encode(request: Request, to: Target | None = None) -> Outgoing:
    return CODEC.encode_request(request, to or target(), {})


def body(request: Request, to: Target | None = None) -> dict[str, Any]:
    return msgspec.json.decode(encode(request, to).body, type=dict[str, Any])


def reply_to(request: Request | None = None) -> Answer:
    return Answer("public/name", "req1", 1_795_305_600, {}, request)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def vendor_accepts(data: bytes) -> None:
    """Raises when the vendor's SDK types do not take a request body."""
    fields = msgspec.json.decode(data, type=dict[str, Any])
    kind = ResponseCreateParamsStreaming if fields.get("stream") else ResponseCreateParamsNonStreaming
    _adapter(kind).validate_python(fields)


def vendor_answers(data: bytes) -> None:
    """Raises when the vendor's SDK types do not take an answer."""
    _adapter(VendorResponse).validate_json(data)


def vendor_streams(data: bytes) -> None:
    """Raises when the vendor's SDK types do not take an event's data."""
    _adapter(ResponseStreamEvent).validate_json(data)
