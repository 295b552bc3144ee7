"""Opaque reasoning state over two turns: out through any client's dialect and home again, byte for byte, to its owner only.

The client is a careful one: it sends back the turn it was given, with every field that its dialect's own SDK keeps.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import product
from typing import Any

import msgspec
import pytest

from runtime.canonical import Request
from runtime.catalog import Limits, Model, Provider, Surface
from runtime.config.protocol import USUAL
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Answer, Asked, Outgoing, Target
from tests.support.dialect import DIALECT
from tests.support.each import each
from tests.support.stream import decode_stream, sse_data
from tests.support.vendor import WIRE

OUTGOING = Outgoing("/", (), b"", stream=True)
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}

SEALS = {
    "anthropic_messages": "c2lnbmF0dXJlLTE=",
    "openai_responses": "ZW5jcnlwdGVkLTE=",
    "gemini": "dGhvdWdodC0x",
}
"""Who seals, and the seal in its transcripts `thinking-tool`."""

CARRIERS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")
"""Dialects with a field that keeps such state. Ollama's has none."""


def target(protocol: str, model: str) -> Target:
    surface: Surface = USUAL[protocol]
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: surface})
    return Target(provider, Model(id=model, limits=Limits(max_output=8192)), surface)


# -- the client's next turn: what it was given, its tools' results, and a question


def _chat_turn(turn: list[Any]) -> dict[str, Any]:
    [message] = turn
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"} for call in message.get("tool_calls", [])
    ]
    return {"messages": [{"role": "user", "content": "hi"}, message, *results, {"role": "user", "content": "and?"}]}


def _messages_turn(blocks: list[Any]) -> dict[str, Any]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "12 degrees"}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    said = {"type": "text", "text": "and?"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [*results, said]},
    ]
    return {"max_tokens": 4096, "messages": turns}


def _responses_turn(items: list[Any]) -> dict[str, Any]:
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "12 degrees"}
        for item in items
        if item["type"] == "function_call"
    ]
    return {"input": [{"role": "user", "content": "hi"}, *items, *results, {"role": "user", "content": "and?"}]}


def _gemini_turn(parts: list[Any]) -> dict[str, Any]:
    results = [
        {"functionResponse": {"name": call["name"], "response": {"output": "12 degrees"}} | ({"id": call["id"]} if "id" in call else {})}
        for part in parts
        if (call := part.get("functionCall"))
    ]  # fmt: skip
    contents = [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": parts},
        {"role": "user", "parts": results or [{"text": "and?"}]},
    ]
    return {"contents": contents}


NEXT: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
    "openai_chat": _chat_turn,
    "openai_responses": _responses_turn,
    "anthropic_messages": _messages_turn,
    "gemini": _gemini_turn,
}


# -- what a client keeps of an answer


def kept(client: str, body: bytes) -> list[Any]:
    """Of a complete answer."""
    answer = msgspec.json.decode(body)
    match client:
        case "openai_chat":
            return [answer["choices"][0]["message"]]
        case "openai_responses":
            return answer["output"]
        case "anthropic_messages":
            return answer["content"]
        case _:
            return answer["candidates"][0]["content"]["parts"]


def kept_of_stream(client: str, data: bytes) -> list[Any]:
    """Of a stream, put together as its dialect says."""
    events = [msgspec.json.decode(each) for each in sse_data(data.replace(b"\r\n", b"\n")) if each != b"[DONE]"]
    match client:
        case "openai_chat":
            return [_joined_chat(events)]
        case "openai_responses":
            return events[-1]["response"]["output"]
        case "anthropic_messages":
            return _joined_blocks(events)
        case _:
            return [
                part
                for event in events
                for candidate in event.get("candidates", [])
                for part in candidate.get("content", {}).get("parts", [])
                if part != {"text": ""}
            ]


def _joined_chat(chunks: list[Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            for name in ("reasoning_content",):
                if delta.get(name):
                    message[name] = message.get(name, "") + delta[name]
            if delta.get("reasoning_details"):
                message.setdefault("reasoning_details", []).extend(delta["reasoning_details"])
            for call in delta.get("tool_calls") or []:
                known = calls.setdefault(call["index"], {"function": {"arguments": ""}})
                known |= {name: value for name, value in call.items() if name not in {"index", "function"}}
                function = call.get("function", {})
                known["function"]["arguments"] += function.get("arguments") or ""
                if function.get("name"):
                    known["function"]["name"] = function["name"]
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def _joined_blocks(events: list[Any]) -> list[Any]:
    blocks: list[Any] = []
    arguments: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] = block.get("signature", "") + delta["signature"]
                case "input_json_delta":
                    arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
    for index, text in arguments.items():
        blocks[index]["input"] = msgspec.json.decode(text or "{}")
    return blocks


# -- the two turns


def first_turn(owner: str, client: str, case: str, *, stream: bool) -> list[Any]:
    """What ``client`` keeps of the answer ``case`` of a provider that speaks ``owner``."""
    asked: Request | None = None
    if client == "gemini":  # thinking is shown to those who ask for it
        asks = {**DIALECT[client].asks, "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
        asked = decoded(client, asks)
    answer = Answer(model="m", id="r1", created=1_795_219_200, headers={}, request=asked, variant="sse")
    path = WIRE / owner / f"{case}{DIALECT[owner].suffix if stream else '.json'}"
    if not stream:
        response = codec(owner).decode_response(path.read_bytes(), msgspec.structs.replace(OUTGOING, stream=False))
        return kept(client, codec(client).encode_response(response, answer))
    events, error = decode_stream(codec(owner).stream_decoder(OUTGOING), [path.read_bytes()])
    assert error is None
    encoder = codec(client).stream_encoder(answer)
    return kept_of_stream(client, b"".join(encoder.feed([event]) for event in events))


def decoded(client: str, fields: dict[str, Any]) -> Request:
    body = fields if DIALECT[client].in_url else {"model": "m", **fields}
    asked = Asked(model="m", stream=False) if DIALECT[client].in_url else Asked()
    return codec(client).decode_request(codec(client).peek(msgspec.json.encode(body), asked), {})


def second_turn(client: str, turn: list[Any], to: str) -> bytes:
    """The body of the next request, as a provider that speaks ``to`` gets it."""
    request = decoded(client, NEXT[client](turn))
    return codec(to).encode_request(request, target(to, "gemini-3-pro" if to == "gemini" else "up-1"), {}).body


SEALERS = [owner for owner in SEALS if owner in CODECS]
CLIENTS = [client for client in CARRIERS if client in CODECS]


@each([*product(SEALERS, CLIENTS, ("thinking-tool", "thinking-text"), (False, True))])
def test_pitfall_097_a_seal_comes_home_through_any_client(owner: str, client: str, case: str, stream: bool) -> None:
    turn = first_turn(owner, client, case, stream=stream)
    body = second_turn(client, turn, owner)

    assert SEALS[owner].encode() in body
    assert b"gw1." not in body


@each([*product(SEALERS, CLIENTS, ("thinking-tool", "thinking-text"), (False, True))])
def test_pitfall_100_the_thinking_of_a_seal_comes_home_with_it_unchanged(
    owner: str, client: str, case: str, stream: bool
) -> None:
    """Anthropic's signatures cover the text; nobody may change a letter of it or move it."""
    body = msgspec.json.decode(second_turn(client, first_turn(owner, client, case, stream=stream), owner))
    if owner == "anthropic_messages":
        block = body["messages"][1]["content"][0]
        assert {"type": "thinking", "thinking": "They ask for a capital.", "signature": SEALS[owner]} == block
    elif owner == "openai_responses":
        [item] = [item for item in body["input"] if item.get("type") == "reasoning"]
        assert SEALS[owner] == item["encrypted_content"]
        assert [{"type": "summary_text", "text": "They ask for a capital."}] == item["summary"]
        assert item.get("id", "rs_Gw").startswith("rs_Gw")
    else:
        parts = [part for content in body["contents"] if content["role"] == "model" for part in content["parts"]]
        signed = [part for part in parts if "thoughtSignature" in part]
        assert [SEALS[owner]] == [part["thoughtSignature"] for part in signed]
        assert ("functionCall" in signed[0]) == (case == "thinking-tool")


@each([*product(SEALERS, CLIENTS, CODECS, (False, True))])
def test_pitfall_099_a_seal_is_dropped_never_forged_when_the_target_changed(
    owner: str, client: str, other: str, stream: bool
) -> None:
    if other == owner:
        return
    turn = first_turn(owner, client, "thinking-tool", stream=stream)
    body = second_turn(client, turn, other)

    assert SEALS[owner].encode() not in body
    assert b"gw1." not in body
    assert b'"signature"' not in body
    assert b'"encrypted_content":"' not in body.replace(b" ", b"")
    if other == "gemini":
        assert {b"skip_thought_signature_validator"} >= {
            part["thoughtSignature"].encode()
            for content in msgspec.json.decode(body)["contents"]
            for part in content["parts"]
            if "thoughtSignature" in part
        }


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("owner", SEALERS)
def test_foreign_seals_are_taken_out_of_what_passes_through(owner: str, client: str) -> None:
    """A conversation that began at another vendor goes on at the client's own."""
    if client == owner:
        return
    turn = first_turn(owner, client, "thinking-tool", stream=False)
    fields = NEXT[client](turn)
    body = msgspec.json.encode(fields if DIALECT[client].in_url else {"model": "m", **fields})
    asked = Asked(model="m", stream=False) if DIALECT[client].in_url else Asked()
    passed = codec(client).splice(codec(client).peek(body, asked), target(client, "up-1"), {}).body

    assert SEALS[owner].encode() not in passed
    assert b"gw1." not in passed


@pytest.mark.parametrize("client", CLIENTS)
def test_redacted_thinking_comes_home_as_redacted(client: str) -> None:
    block = {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "up-1", "stop_reason": "end_turn", "stop_sequence": None,
        "content": [block, {"type": "text", "text": "Hello."}], "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    response = codec("anthropic_messages").decode_response(msgspec.json.encode(body), OUTGOING)
    answer = Answer(model="m", id="r1", created=1, headers={})
    turn = kept(client, codec(client).encode_response(response, answer))
    sent = msgspec.json.decode(second_turn(client, turn, "anthropic_messages"))

    assert block == sent["messages"][1]["content"][0]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_seal_without_text_comes_home_without_text(client: str) -> None:
    """Thinking whose display was omitted has a signature and no words; it must not become redacted or vanish."""
    block = {"type": "thinking", "thinking": "", "signature": "c2VhbA=="}
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "up-1", "stop_reason": "end_turn", "stop_sequence": None,
        "content": [block, {"type": "text", "text": "Hello."}], "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    response = codec("anthropic_messages").decode_response(msgspec.json.encode(body), OUTGOING)
    turn = kept(client, codec(client).encode_response(response, Answer(model="m", id="r1", created=1, headers={})))
    sent = msgspec.json.decode(second_turn(client, turn, "anthropic_messages"))

    assert block == sent["messages"][1]["content"][0]


@pytest.mark.parametrize("text", ["gw1.", "gw1.x", "gw1.anthropic_messages.!!", "gw1..YQ==", "gw1.gemini"])
@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "openai_chat"])
def test_a_broken_envelope_is_nobodys(client: str, text: str) -> None:
    """What somebody made of our mark reaches no provider, neither translated nor passed through."""
    if client == "gemini":
        text = base64.b64encode(text.encode()).decode()
    turn = {
        "openai_responses": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "a", "annotations": []}],
            },
        ],
        "anthropic_messages": [{"type": "thinking", "thinking": "t", "signature": text}, {"type": "text", "text": "a"}],
        "gemini": [{"text": "a", "thoughtSignature": text}],
    }[client]
    fields = NEXT[client](turn)
    body = msgspec.json.encode(fields if DIALECT[client].in_url else {"model": "m", **fields})
    asked = Asked(model="m", stream=False) if DIALECT[client].in_url else Asked()
    passed = codec(client).splice(codec(client).peek(body, asked), target(client, "up-1"), {}).body

    for sent in (passed, *(second_turn(client, turn, protocol) for protocol in CODECS)):
        assert text.encode() not in sent
