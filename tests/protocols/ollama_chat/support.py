"""What the tests of this codec share: targets, requests from dicts, and the vendor's own types as judges."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from ollama import ChatResponse

from runtime.canonical import Message, Request, Text
from runtime.catalog import Model, Provider, Quirks, Surface
from runtime.protocols.base import Answer, Outgoing, Target
from runtime.protocols.ollama_chat import OllamaChat
from tests.support.oracle import complaint

__all__ = [
    "ANSWER", "CODEC", "OUTGOING", "PNG", "ask", "body", "decode", "encode", "lines_of", "target", "user", "vendor_accepts",
]  # fmt: skip

CODEC = OllamaChat()
ANSWER = Answer(model="public/name", id="req1", created=1_795_219_200, headers={})
OUTGOING = Outgoing("/api/chat", (), b"", stream=True)
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def target(model: Model | None = None, **quirks: Any) -> Target:
    surface = Surface(path="/api/chat")
    provider = Provider(
        id="p", name="P", base_url="https://p.example", surfaces={"ollama_chat": surface}, quirks=Quirks(**quirks)
    )
    return Target(provider, model or Model(id="up-1"), surface)


def decode(**fields: Any) -> Request:
    """A client's body to its canonical request."""
    fields = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return CODEC.decode_request(CODEC.peek(msgspec.json.encode(fields)), {})


def ask(*messages: Message, **fields: Any) -> Request:
    return Request(model="m", messages=messages or (user("hi"),), **fields)


def user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


def encode(request: Request, to: Target | None = None) -> Outgoing:
    return CODEC.encode_request(request, to or target(), {})


def body(request: Request, to: Target | None = None) -> dict[str, Any]:
    """What the provider gets, once the vendor's schema has taken it."""
    sent = msgspec.json.decode(encode(request, to).body, type=dict[str, Any])
    vendor_accepts(sent)
    return sent


def vendor_accepts(sent: dict[str, Any]) -> None:
    assert complaint("ollama_chat", "create", sent) is None


def lines_of(stream: bytes) -> list[dict[str, Any]]:
    """The lines as the vendor's SDK splits them, each taken by its types."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in stream.decode().splitlines() if line]
    for line in lines:
        # Its type of pictures is that of requests; answers hold texts, as the vendor's OpenAPI document says.
        message = {name: value for name, value in line["message"].items() if name != "images"}
        ChatResponse.model_validate({**line, "message": message})
    return lines
