"""Protocols through one another: what one vendor says reaches the other vendors' clients whole, and the reverse."""

from __future__ import annotations

import random
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses import Response as ResponsesAnswer
from openai.types.responses import ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import AfterValidator, BeforeValidator, TypeAdapter

from runtime.canonical import (
    Base64Source,
    Choice,
    Document,
    Event,
    Image,
    Message,
    Reasoning,
    ReasoningConfig,
    Request,
    Response,
    Text,
    ToolCall,
    collect,
)
from runtime.catalog import Limits, Model, Provider, ReasoningFacts, Surface
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Answer, Asked, Codec, Outgoing, Target
from tests.protocols.anthropic_messages.given import told
from tests.protocols.gemini.given import Body as GeminiBody
from tests.support.canonical import requests, responses
from tests.support.each import each
from tests.support.oracle import complaint
from tests.support.stream import decode_stream, sse_data

WIRE = Path(__file__).parents[1] / "fixtures/wire"
CHAT, ANTHROPIC = codec("openai_chat"), codec("anthropic_messages")
SHOWN = ReasoningConfig(display="summarized")
ASKED = Request(model="public/name", messages=(), stream=True, include_usage=True, reasoning=SHOWN)
ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={}, request=ASKED)
OUTGOING = Outgoing("/", (), b"", stream=True)


def ollama_request(body: dict[str, Any]) -> dict[str, Any]:
    """The vendor's schema: its SDK's types know less than its server takes."""
    assert complaint("ollama_chat", "create", body) is None
    return body


def without_pictures(line: dict[str, Any]) -> dict[str, Any]:
    """The SDK's type of pictures is that of requests; answers hold texts, as the vendor's OpenAPI document says."""
    return {**line, "message": {name: value for name, value in line["message"].items() if name != "images"}}


OLLAMA_REQUEST = Annotated[dict[str, Any], AfterValidator(ollama_request)]
OLLAMA_ANSWER = Annotated[ChatResponse, BeforeValidator(without_pictures)]

# One line per protocol: what its vendor's own types take, streamed and not.
PARAMS: dict[str, tuple[Any, Any]] = {
    "anthropic_messages": (MessageCreateParamsStreaming, MessageCreateParamsNonStreaming),
    "gemini": (GeminiBody, GeminiBody),
    "openai_chat": (CompletionCreateParamsStreaming, CompletionCreateParamsNonStreaming),
    "ollama_chat": (OLLAMA_REQUEST, OLLAMA_REQUEST),
    "openai_responses": (ResponseCreateParamsStreaming, ResponseCreateParamsNonStreaming),
}
CHUNKS: dict[str, Any] = {
    "anthropic_messages": RawMessageStreamEvent,
    "gemini": GenerateContentResponse,
    "openai_chat": ChatCompletionChunk,
    "openai_responses": ResponseStreamEvent,
    "ollama_chat": OLLAMA_ANSWER,
}
ANSWERS: dict[str, Any] = {
    "anthropic_messages": AnthropicMessage,
    "gemini": GenerateContentResponse,
    "openai_chat": ChatCompletion,
    "openai_responses": ResponsesAnswer,
    "ollama_chat": OLLAMA_ANSWER,
}


@cache
def reader(type_: Any) -> TypeAdapter[Any]:
    """Made when it is needed: it takes a good while, and every worker collects this file."""
    return TypeAdapter(type_)


# Transcripts whose words the stable types of their own vendor's SDK do not have.
BEYOND_TYPES = {"anthropic_messages": {"compaction.sse"}, "openai_chat": {"codex-tools.sse", "custom-call.sse"}}

protocols = st.sampled_from(sorted(CODECS))


def transcripts(protocol: str) -> list[str]:
    """Names of the files of those that are sound."""
    found = sorted(path.name for kind in ("sse", "ndjson") for path in (WIRE / protocol).glob(f"*.{kind}"))
    return [case for case in found if not read(protocol, case)[1]]


def crossings() -> list[tuple[str, str, str]]:
    """Every sound transcript of every protocol, with every protocol whose clients may be told it."""
    return [
        (upstream, case, client)
        for upstream in sorted(CODECS)
        for case in transcripts(upstream)
        for client in sorted(CODECS)
    ]


@cache
def read(protocol: str, case: str) -> tuple[list[Event], Exception | None]:
    data = (WIRE / protocol / case).read_bytes()
    return decode_stream(codec(protocol).stream_decoder(OUTGOING), [data])


def through(client: Codec, events: list[Event]) -> bytes:
    encoder = client.stream_encoder(ANSWER)
    return b"".join(encoder.feed([event]) for event in events)


def payloads(client: Codec, data: bytes) -> list[bytes]:
    """What stands in the frames of a stream of ours, whatever its framing."""
    if "ndjson" in client.stream_encoder(ANSWER).content_type:
        return data.splitlines()
    return sse_data(data)


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
    return target_of(protocol, Model(id="up-1", limits=Limits(max_output=8192), reasoning=reasoning))


def target_of(protocol: str, model: Model | None = None) -> Target:
    surface = Surface(path="/v1/x", count_tokens="/v1/y")
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: surface})
    return Target(provider, model or Model(id="up-1"), surface)


@each(crossings())
def test_a_providers_stream_reaches_every_dialects_clients_whole(upstream: str, case: str, client: str) -> None:
    events, _ = read(upstream, case)
    data = through(codec(client), events)

    order = import_module(f"generated.protocols.{client}").FACTS.order
    names = "".join(f"{name.decode()} " for name in re.findall(rb"^event: (.*)$", data, re.MULTILINE))
    assert not names or re.fullmatch(order, names)  # some dialects name no events on the wire
    typed = case not in BEYOND_TYPES.get(client, ())
    for payload in payloads(codec(client), data) if typed else ():
        assert payload == b"[DONE]" or reader(CHUNKS[client]).validate_json(payload)
    before, after = collect(events), again(codec(client), data)
    if all(is_json(part.arguments) for part in before.choices[0].content if isinstance(part, ToolCall)):
        assert said(before.choices[0]) == said(after.choices[0])
    assert before.usage.total == after.usage.total


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
    reader(ANSWERS[client]).validate_json(told_whole)
    first = codec(client).decode_response(told_whole, OUTGOING).choices[0]
    second = again(codec(client), told_stream).choices[0]
    assert said(response.choices[0]) == said(first) == said(second)


def sayable(request: Request, spoken: set[str]) -> Request:
    """``request`` without parts that one of the protocols refuses by name, because it cannot be told them."""
    if "ollama_chat" not in spoken:
        return request
    turns = (
        msgspec.structs.replace(
            turn,
            content=tuple(
                part
                for part in turn.content
                if not isinstance(part, Document)
                and not (isinstance(part, Image) and not isinstance(part.source, Base64Source))
            ),
        )
        for turn in request.messages
    )
    said = tuple(turn for turn in turns if turn.content)
    return msgspec.structs.replace(request, messages=said or (Message(role="user", content=(Text(text="hi"),)),))


@given(requests(), protocols, protocols)
def test_any_request_crosses_any_pair_and_fits_the_vendors_types(request: Request, client: str, upstream: str) -> None:
    request = sayable(request, {client, upstream})
    body = codec(client).encode_request(request, target(client), {}).body
    asked = Asked("gpt-x", request.stream)  # as the URL says it in some dialects
    decoded = codec(client).decode_request(codec(client).peek(body, asked), {})
    sent: dict[str, object] = msgspec.json.decode(codec(upstream).encode_request(decoded, target(upstream), {}).body)

    if upstream == "anthropic_messages":
        for name in ("temperature", "top_p", "top_k"):  # the SDK follows a version that has none
            sent.pop(name, None)
    reader(PARAMS[upstream][0 if request.stream else 1]).validate_python(sent)


@pytest.fixture
def agent() -> bytes:
    """A coding agent's turn, as its requests look on the wire."""
    return (WIRE / "anthropic_messages/agent-turn.request.json").read_bytes()


def test_pitfall_080_a_coding_agents_request_reaches_a_chat_provider(agent: bytes) -> None:
    request = ANTHROPIC.decode_request(ANTHROPIC.peek(agent), {})
    outgoing = CHAT.encode_request(request, target("openai_chat"), {})
    sent = msgspec.json.decode(outgoing.body)

    reader(PARAMS["openai_chat"][0]).validate_python(sent)
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
    events, _ = read("anthropic_messages", "web-search.sse")
    after = again(CHAT, through(CHAT, events))

    assert "I found it: high water is at noon." == "".join(
        part.text for part in after.choices[0].content if isinstance(part, Text)
    )
