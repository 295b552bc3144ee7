"""A coding agent's turn, as its requests look on the wire: understood, told to every other vendor, and answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.canonical import Native, Reasoning, Request, Text, ToolCall
from runtime.catalog import Limits, Model, Provider, Surface
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Outgoing, Target
from tests.protocols.openai_responses.support import CODEC, encode, reply_to, target, vendor_accepts
from tests.support.stream import sse_data

WIRE = Path(__file__).parents[2] / "fixtures/wire"


@pytest.fixture
def turn() -> bytes:
    return (WIRE / "openai_responses/codex-turn.request.json").read_bytes()


@pytest.fixture
def request_(turn: bytes) -> Request:
    return CODEC.decode_request(CODEC.peek(turn), {})


def aim(protocol: str) -> Target:
    surface = Surface(path="/v1/x")
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: surface})
    return Target(provider, Model(id="up-1", limits=Limits(max_output=8192)), surface)


def test_it_is_understood(request_: Request) -> None:
    roles = [message.role for message in request_.messages]
    assistant = request_.messages[3]
    calls = [part for part in assistant.content if isinstance(part, ToolCall)]

    assert roles == ["developer", "user", "user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert assistant.content[0] == Reasoning(
        text="List the files first.",
        seal='{"id":"rs_0199a2c4","encrypted_content":"gAAAAABo3p5kR0x2"}',
        sealed_by="openai_responses",
    )
    assert [(call.name, call.custom) for call in calls] == [("shell", False), ("apply_patch", True)]
    assert [tool.name for tool in request_.tools if tool.native is None] == [
        "shell", "update_plan", "view_image", "apply_patch", "multi_agent_v1__spawn_agent", "multi_agent_v1__wait",
    ]  # fmt: skip
    assert [tool.name for tool in request_.tools if tool.native is not None] == ["web_search", "tool_search"]
    assert request_.unknown == ()


@pytest.mark.parametrize("protocol", sorted(CODECS))
def test_pitfall_086_it_reaches_every_vendor_without_a_nameless_tool(request_: Request, protocol: str) -> None:
    sent = codec(protocol).encode_request(request_, aim(protocol), {})
    body = sent.body.decode()

    assert "apply_patch" in body
    assert "spawn_agent" in body
    if protocol != "openai_responses":
        assert "external_web_access" not in body
        assert "client_metadata" not in body
        assert "gAAAAABo3p5kR0x2" not in body
        assert "client_metadata" in sent.losses


def test_it_survives_translation_to_its_own_protocol(turn: bytes, request_: Request) -> None:
    """As it is sent when the gateway changed something in it."""
    sent = encode(request_, target(Model(id="up-1")))
    got: dict[str, Any] = msgspec.json.decode(sent.body)
    before: dict[str, Any] = msgspec.json.decode(turn)

    vendor_accepts(sent.body)
    assert got["tools"] == before["tools"]
    for name in ("reasoning", "include", "text", "store", "client_metadata", "prompt_cache_key", "tool_choice"):
        assert got[name] == before[name]
    kinds = [item["type"] for item in before["input"]]
    assert [item["type"] for item in got["input"]] == kinds
    assert got["input"][3] == {name: value for name, value in before["input"][3].items() if name != "content"}
    assert got["input"][4]["phase"] == "commentary"
    assert got["input"][9] | {"id": "fc_0199a2c4-0002"} == before["input"][9]
    assert got["input"][11] == before["input"][11]
    assert sent.losses == ()


def test_it_passes_to_its_own_vendor_byte_for_byte(turn: bytes) -> None:
    outgoing = CODEC.splice(CODEC.peek(turn), target(), {})

    assert turn.replace(b'"model": "gpt-5.6"', b'"model": "up-1"') == outgoing.body


def test_pitfall_085_a_free_text_call_that_came_as_a_function_is_given_as_free_text(request_: Request) -> None:
    """Upstreams without free-text tools call a function with one property."""
    chat = codec("openai_chat")
    answered = (
        b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":'
        b'{"name":"apply_patch","arguments":"{\\"input\\":\\"*** Beg"}}]}}]}\n\n'
        b'data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"in\\"}"}}]},'
        b'"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'
    )
    outgoing = chat.encode_request(request_, aim("openai_chat"), {})
    decoder, encoder = chat.stream_decoder(outgoing), CODEC.stream_encoder(reply_to(request_))
    data = encoder.feed(decoder.feed(answered))
    events = [msgspec.json.decode(frame) for frame in sse_data(data)]

    assert [event["type"] for event in events[2:6]] == [
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]
    assert events[5]["item"]["input"] == "*** Begin"


def test_pitfall_092_a_grouped_tool_s_call_names_its_group_again(request_: Request) -> None:
    chat = codec("openai_chat")
    answered = (
        b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1",'
        b'"type":"function","function":{"name":"multi_agent_v1__wait","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}'
    )
    response = chat.decode_response(answered, Outgoing("/", (), b"", stream=False))
    item = msgspec.json.decode(CODEC.encode_response(response, reply_to(request_)))["output"][0]

    assert (item["namespace"], item["name"]) == ("multi_agent_v1", "wait")


def test_the_phase_of_words_is_kept_and_told_again(request_: Request) -> None:
    said = request_.messages[3].content[1:3]

    assert said == (
        Native(protocol="openai_responses", block="phase", json='{"phase":"commentary"}'),
        Text(text="I look around."),
    )
