"""Single fields of one dialect's requests, and what becomes of them at the providers of the others."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from runtime.protocols import codec
from runtime.protocols.base import Asked, Outgoing
from tests.protocols.test_pairs import target_of
from tests.support.each import each

JPEG = "/9j/4AAQSkZJRg=="
HI = [{"role": "user", "content": "hi"}]
OPENAI = ("openai_chat", "openai_responses")
AGENT = f'{{"device_id":"{"a" * 64}","account_uuid":"","session_id":"0e2d9b1c-6f0a-4a55-9d0e-5b8c1f1b7a11"}}'


def crossed(client: str, upstream: str, **fields: Any) -> tuple[dict[str, Any], Outgoing]:
    """The body that a provider gets for a client's, and all else that is told of it."""
    body = msgspec.json.encode({"model": "m", **fields})
    if client == "gemini":
        body = msgspec.json.encode(fields)
    speaks = codec(client)
    request = speaks.decode_request(speaks.peek(body, Asked("m", stream=False)), {})
    outgoing = codec(upstream).encode_request(request, target_of(upstream), {})
    return msgspec.json.decode(outgoing.body, type=dict[str, Any]), outgoing


@pytest.mark.parametrize("upstream", OPENAI)
def test_the_end_users_name_is_as_short_as_vendors_take_it_and_always_the_same(upstream: str) -> None:
    def user(name: str) -> Any:
        sent, outgoing = crossed("anthropic_messages", upstream, messages=HI, max_tokens=9, metadata={"user_id": name})
        assert "user" not in outgoing.losses
        return sent["user"]

    assert "u" * 64 == user("u" * 64)
    assert hashlib.sha256(b"u" * 65).hexdigest() == user("u" * 65)
    assert 64 == len(user(AGENT))
    assert user(AGENT) == user(AGENT) != user(AGENT.replace("0e2d", "0e2e"))
    assert "aaaa" not in user(AGENT)


@pytest.mark.parametrize("protocol", OPENAI)
def test_the_end_users_name_passes_as_it_is(protocol: str) -> None:
    fields = {"input": "hi"} if protocol == "openai_responses" else {"messages": HI}
    speaks = codec(protocol)
    envelope = speaks.peek(msgspec.json.encode({"model": "m", "user": AGENT, **fields}))

    assert AGENT == msgspec.json.decode(speaks.splice(envelope, target_of(protocol), {}).body)["user"]


def chat_image(media_type: str, data: str) -> dict[str, Any]:
    shown = {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
    return {"messages": [{"role": "user", "content": [shown]}]}


def gemini_image(media_type: str, data: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": media_type, "data": data}}]}]}


@each([
    ("openai_chat", chat_image("image/jpg", JPEG)),
    ("openai_chat", chat_image("image/jpg", "aGk=")),
    ("openai_chat", chat_image("image/pjpeg", "aGk=")),
    ("openai_chat", chat_image("image/png", JPEG)),
    ("gemini", gemini_image("image/jpg", JPEG)),
    ("gemini", gemini_image("image/JPEG", JPEG)),
    ("gemini", gemini_image("image/JPEG", "aGk=")),
])  # fmt: skip
def test_an_image_is_called_what_it_is_whatever_the_client_calls_it(client: str, fields: dict[str, Any]) -> None:
    sent, _ = crossed(client, "anthropic_messages", **fields)

    assert "image/jpeg" == sent["messages"][0]["content"][0]["source"]["media_type"]
