"""Chat and Anthropic Messages through one another: what one vendor says reaches the other vendor's clients whole."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from generated.protocols.anthropic_messages import FACTS
from runtime.canonical import Choice, Event, Reasoning, Request, Response, Text, ToolCall, collect
from runtime.catalog import Limits, Model, Provider, ReasoningFacts, Surface
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Answer, Codec, Outgoing, Target
from tests.protocols.anthropic_messages.given import told
from tests.support.canonical import requests, responses
from tests.support.stream import decode_stream, sse_data

WIRE = Path(__file__).parents[1] / "fixtures/wire"
CHAT, ANTHROPIC = codec("openai_chat"), codec("anthropic_messages")
ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={})
OUTGOING = Outgoing("/", (), b"", stream=True)

PARAMS: dict[str, tuple[TypeAdapter[Any], TypeAdapter[Any]]] = {
    "anthropic_messages": (TypeAdapter(MessageCreateParamsStreaming), TypeAdapter(MessageCreateParamsNonStreaming)),
    "openai_chat": (TypeAdapter(CompletionCreateParamsStreaming), TypeAdapter(CompletionCreateParamsNonStreaming)),
}
CHUNKS: dict[str, TypeAdapter[Any]] = {
    "anthropic_messages": TypeAdapter(RawMessageStreamEvent), "openai_chat": TypeAdapter(ChatCompletionChunk),
}  # fmt: skip
ANSWERS: dict[str, TypeAdapter[Any]] = {
    "anthropic_messages": TypeAdapter(AnthropicMessage), "openai_chat": TypeAdapter(ChatCompletion),
}  # fmt: skip

protocols = st.sampled_from(sorted(CODECS))


def transcripts(protocol: str) -> list[str]:
    """Those that are sound."""
    found = sorted(path.stem for path in (WIRE / protocol).glob("*.sse"))
    return [case for case in found if not read(protocol, case)[1]]


def read(protocol: str, case: str) -> tuple[list[Event], Exception | None]:
    data = (WIRE / protocol / f"{case}.sse").read_bytes()
    return decode_stream(codec(protocol).stream_decoder(OUTGOING), [data])


def through(client: Codec, events: list[Event]) -> bytes:
    encoder = client.stream_encoder(ANSWER)
    return b"".join(encoder.feed([event]) for event in events)


def again(client: Codec, data: bytes) -> Response:
    events, error = decode_stream(client.stream_decoder(OUTGOING), [data])
    assert error is None
    return collect(events)


def said(choice: Choice) -> tuple[str, str, list[object]]:
    """What every protocol can say of an answer: its words, its thinking, its calls, and whether it is whole."""
    texts = "".join(part.text for part in choice.content if part.__struct_config__.tag in {"text", "refusal"})  # type: ignore[union-attr]
    thinking = "".join(part.text for part in choice.content if isinstance(part, Reasoning))
    calls: list[object] = [
        (part.id, part.name, msgspec.json.decode(part.arguments or "{}"))
        for part in choice.content
        if isinstance(part, ToolCall) and not part.custom
    ]
    return texts, thinking, calls


def target(protocol: str, reasoning: ReasoningFacts | None = None) -> Target:
    surface = Surface(path="/v1/x", count_tokens="/v1/y")
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: surface})
    return Target(provider, Model(id="up-1", limits=Limits(max_output=8192), reasoning=reasoning), surface)


@pytest.mark.parametrize("case", transcripts("openai_chat"))
def test_a_chat_providers_stream_reaches_anthropic_clients_whole(case: str) -> None:
    events, _ = read("openai_chat", case)
    data = through(ANTHROPIC, events)

    names = "".join(f"{name.decode()} " for name in re.findall(rb"^event: (.*)$", data, re.MULTILINE))
    assert re.fullmatch(FACTS.order, names)
    for payload in sse_data(data):
        CHUNKS["anthropic_messages"].validate_json(payload)
    before, after = collect(events), again(ANTHROPIC, data)
    if all(is_json(part.arguments) for part in before.choices[0].content if isinstance(part, ToolCall)):
        assert said(before.choices[0]) == said(after.choices[0])
    assert before.usage.total == after.usage.total


@pytest.mark.parametrize("case", transcripts("anthropic_messages"))
def test_an_anthropic_providers_stream_reaches_chat_clients_whole(case: str) -> None:
    events, _ = read("anthropic_messages", case)
    data = through(CHAT, events)

    for payload in sse_data(data):
        assert payload == b"[DONE]" or CHUNKS["openai_chat"].validate_json(payload)
    assert said(collect(events).choices[0]) == said(again(CHAT, data).choices[0])


def is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return False
    return True


@given(responses(), protocols, protocols, st.randoms(use_true_random=False))
def test_any_answer_crosses_any_pair_in_streams_and_whole(
    response: Response, upstream: str, client: str, draw: random.Random
) -> None:
    """Canonical to the provider's wire, read as from a provider, told to the client, read as a client would."""
    wire = codec(upstream).encode_response(response, ANSWER)
    whole = codec(upstream).decode_response(wire, OUTGOING)
    told_whole = codec(client).encode_response(whole, ANSWER)
    stream = through(codec(upstream), told(response, draw))
    events, error = decode_stream(codec(upstream).stream_decoder(OUTGOING), [stream])
    told_stream = through(codec(client), events)

    assert error is None
    ANSWERS[client].validate_json(told_whole)
    first = codec(client).decode_response(told_whole, OUTGOING).choices[0]
    second = again(codec(client), told_stream).choices[0]
    assert said(response.choices[0]) == said(first) == said(second)


@given(requests(), protocols, protocols)
def test_any_request_crosses_any_pair_and_fits_the_vendors_types(request: Request, client: str, upstream: str) -> None:
    body = codec(client).encode_request(request, target(client), {}).body
    decoded = codec(client).decode_request(codec(client).peek(body), {})
    sent: dict[str, object] = msgspec.json.decode(codec(upstream).encode_request(decoded, target(upstream), {}).body)

    if upstream == "anthropic_messages":
        for name in ("temperature", "top_p", "top_k"):  # the SDK follows a version that has none
            sent.pop(name, None)
    PARAMS[upstream][0 if request.stream else 1].validate_python(sent)


@pytest.fixture
def agent() -> bytes:
    """A coding agent's turn, as its requests look on the wire."""
    return (WIRE / "anthropic_messages/agent-turn.request.json").read_bytes()


def test_pitfall_080_a_coding_agents_request_reaches_a_chat_provider(agent: bytes) -> None:
    request = ANTHROPIC.decode_request(ANTHROPIC.peek(agent), {})
    outgoing = CHAT.encode_request(request, target("openai_chat"), {})
    sent = msgspec.json.decode(outgoing.body)

    PARAMS["openai_chat"][0].validate_python(sent)
    assert b"x-anthropic-billing-header" not in outgoing.body
    assert b"context_management" not in outgoing.body
    assert b"EqQBCkYIBhgCKkD" not in outgoing.body
    assert ["system", "user", "system", "assistant", "tool", "tool"] == [turn["role"] for turn in sent["messages"]] or (
        ["system", "user", "developer", "assistant", "tool", "tool"] == [turn["role"] for turn in sent["messages"]]
    )
    assert 12 == len(sent["tools"])
    assert all(len(tool["function"]["name"]) <= 64 for tool in sent["tools"])
    assert ("mcp__tracker__create_ticket_in_the_project_that_the_current_directory_belongs_to") in (
        outgoing.tool_names.values()
    )


def test_a_coding_agents_request_passes_to_its_own_vendor_byte_for_byte(agent: bytes) -> None:
    outgoing = ANTHROPIC.splice(ANTHROPIC.peek(agent), target("anthropic_messages"), {})

    assert agent.replace(b'"model": "claude-opus-5-5"', b'"model": "up-1"') == outgoing.body


def test_a_coding_agents_request_survives_translation_to_its_own_protocol(agent: bytes) -> None:
    """As it is sent when the gateway changed something in it."""
    request = ANTHROPIC.decode_request(ANTHROPIC.peek(agent), {})
    facts = ReasoningFacts(style="adaptive", efforts=("low", "medium", "high", "xhigh", "max"))
    sent = msgspec.json.decode(ANTHROPIC.encode_request(request, target("anthropic_messages", facts), {}).body)

    before = msgspec.json.decode(agent)
    before |= {"model": "up-1", "max_tokens": 8192, "system": before["system"][1:]}
    del before["messages"][1]["output_config"]
    before["messages"][3]["content"][1]["content"] = "1 notes.txt"
    assert before == sent


def test_pitfall_098_a_chat_clients_conversation_with_calls_goes_to_an_anthropic_provider() -> None:
    body = {
        "model": "m", "stream": False, "max_completion_tokens": 50, "reasoning_effort": "high",
        "messages": [
            {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "w", "arguments": '{"t":"Brno"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "w", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "call_2", "content": "B"}, {"role": "tool", "tool_call_id": "call_1", "content": "A"},
            {"role": "user", "content": "Thanks."},
        ],
        "tools": [{"type": "function", "function": {"name": "w"}}], "tool_choice": "required", "parallel_tool_calls": False,
    }  # fmt: skip
    request = CHAT.decode_request(CHAT.peek(msgspec.json.encode(body)), {})
    sent = msgspec.json.decode(ANTHROPIC.encode_request(request, target("anthropic_messages"), {}).body)

    assert {
        "model": "up-1",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be brief."}],
        "tools": [{"name": "w", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "w", "input": {"t": "Brno"}},
                    {"type": "tool_use", "id": "call_2", "name": "w", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "A"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "B"},
                    {"type": "text", "text": "Thanks."},
                ],
            },
        ],
    } == sent


def test_errors_of_one_vendor_reach_the_others_clients_in_their_own_envelope() -> None:
    busy = ANTHROPIC.decode_error(529, {}, b'{"type":"error","error":{"type":"overloaded_error","message":"Busy."}}')
    slow = CHAT.decode_error(
        429, {"retry-after": "3"}, b'{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}'
    )

    assert 503 == CHAT.encode_error(busy, "r1").status
    assert (429, "rate_limit_error") == (
        ANTHROPIC.encode_error(slow, "r1").status,
        msgspec.json.decode(ANTHROPIC.encode_error(slow, "r1").body)["error"]["type"],
    )
    assert ("retry-after", "3") in ANTHROPIC.encode_error(slow, "r1").headers


def test_texts_of_one_answer_stay_in_their_order() -> None:
    events, _ = read("anthropic_messages", "web-search")
    after = again(CHAT, through(CHAT, events))

    assert "I found it: high water is at noon." == "".join(
        part.text for part in after.choices[0].content if isinstance(part, Text)
    )
