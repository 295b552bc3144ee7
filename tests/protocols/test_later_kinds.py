"""Blocks and items of kinds that came after this was written: whatever their members are, the rest of the answer is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.canonical import Native, Text, collect
from runtime.errors import UpstreamProtocolError
from runtime.protocols import codec
from runtime.protocols.base import Answer, Outgoing
from tests.support.each import each
from tests.support.stream import decode_stream, transcript

ANSWER = Answer(model="public/name", id="r1", created=1, headers={})
OUTGOING = Outgoing("/", (), b"", stream=True)
LATER: list[dict[str, Any]] = [
    {"type": "brand_new", "text": {"a": 1}, "name": ["f"], "thinking": 5, "content": "x", "summary": 7, "status": True},
    {"type": "brand_new", "data": {"a": 1}, "signature": [], "title": {}, "output": "x", "arguments": []},
]
ANTHROPIC: dict[str, Any] = {"type": "message", "id": "m", "role": "assistant", "model": "up", "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip
RESPONSES: dict[str, Any] = {"id": "r", "object": "response", "status": "completed", "model": "up"}
SAID: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "ok"}],
}


def whole(protocol: str, *odd: dict[str, Any]) -> bytes:
    if protocol == "anthropic_messages":
        return json.dumps({**ANTHROPIC, "content": [*odd, {"type": "text", "text": "ok"}]}).encode()
    return json.dumps({**RESPONSES, "output": [*odd, SAID]}).encode()


def stream(protocol: str, *odd: dict[str, Any]) -> bytes:
    if protocol == "anthropic_messages":
        blocks = [*odd, {"type": "text", "text": "ok"}]
        told: list[dict[str, Any]] = []
        for index, block in enumerate(blocks):
            told += [{"type": "content_block_start", "index": index, "content_block": block}, {"type": "content_block_stop", "index": index}]  # fmt: skip
        begun = {"type": "message_start", "message": {**ANTHROPIC, "content": [], "stop_reason": None}}
        return transcript(
            begun, *told, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}
        )
    items = [*odd, SAID]
    done = [
        {"type": "response.output_item.done", "output_index": index, "item": item} for index, item in enumerate(items)
    ]
    return transcript(*done, {"type": "response.completed", "response": {**RESPONSES, "output": items}})


PROTOCOLS = ("anthropic_messages", "openai_responses")


@each([(protocol, odd) for protocol in PROTOCOLS for odd in LATER])
def test_a_later_kind_is_kept_as_it_came_and_the_rest_is_told(protocol: str, odd: dict[str, Any]) -> None:
    speaks = codec(protocol)
    events, error = decode_stream(speaks.stream_decoder(OUTGOING), [stream(protocol, odd)])
    assert error is None
    kept = Native(protocol=protocol, block="brand_new", json=json.dumps(odd))

    for answer in (collect(events), speaks.decode_response(whole(protocol, odd), OUTGOING)):
        native, text = answer.choices[0].content
        assert isinstance(native, Native)
        assert (kept.block, json.loads(kept.json)) == (native.block, json.loads(native.json))
        assert Text(text="ok") == text
    assert b"brand_new" in speaks.splice_response(whole(protocol, odd), "m")[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_known_kind_must_be_sound(protocol: str) -> None:
    kind = {"type": "text", "text": {"a": 1}} if protocol == "anthropic_messages" else {**SAID, "content": 5}

    with pytest.raises(UpstreamProtocolError):
        codec(protocol).decode_response(whole(protocol, kind), OUTGOING)
    assert decode_stream(codec(protocol).stream_decoder(OUTGOING), [stream(protocol, kind)])[1] is not None
