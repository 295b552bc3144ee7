"""What the tests of this codec share: targets with quirks, requests from dicts, and the vendor's own types as judges."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from runtime.canonical import Message, Request, Text
from runtime.catalog import Model, Provider, Quirks, Surface
from runtime.protocols.base import Answer, Outgoing, Target
from runtime.protocols.openai_chat import OpenAIChat

__all__ = [
    "ANSWER",
    "CODEC",
    "OUTGOING",
    "ask",
    "body",
    "decode",
    "encode",
    "reply_to",
    "target",
    "user",
    "vendor_accepts",
]

CODEC = OpenAIChat()
ANSWER = Answer(model="public/name", id="req1", created=1_795_219_200, headers={})
OUTGOING = Outgoing("/v1/chat/completions", (), b"", stream=True)


def target(model: Model | None = None, **quirks: Any) -> Target:
    surface = Surface(path="/v1/chat/completions")
    provider = Provider(
        id="p",
        name="P",
        base_url="https://p.example",
        surfaces={"openai_chat": surface},
        quirks=Quirks(**{"custom_tools": True, **quirks}),
    )
    return Target(provider, model or Model(id="up-1"), surface)


def decode(**fields: Any) -> Request:
    """A client's body to its canonical request."""
    fields = {"model": "gpt-x", "messages": [{"role": "user", "content": "hi"}], **fields}
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
def _params(stream: bool) -> TypeAdapter[Any]:
    return TypeAdapter(CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming)


def vendor_accepts(data: bytes) -> None:
    """Raises when the vendor's SDK types do not take a request body."""
    fields = msgspec.json.decode(data, type=dict[str, Any])
    for turn in fields["messages"]:  # the SDK types name the vendor's form only; quirks have tests of their own
        assert isinstance(turn.get("tool_calls", [None]), list)
        assert turn.get("tool_calls", [None])
    _params(bool(fields.get("stream"))).validate_python(fields)
