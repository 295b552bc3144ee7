"""Opaque thinking state through Chat clients: out in the answer, streamed or whole, and home with the next request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Choice,
    Event,
    Finish,
    Message,
    Part,
    Reasoning,
    Request,
    Response,
    Text,
    ToolCall,
    ToolResult,
    collect,
)
from runtime.protocols.seal import wrap
from tests.protocols.openai_chat.support import CODEC, OUTGOING, ask, body, encode, reply_to, target, user
from tests.support.canonical import events_of
from tests.support.stream import decode_stream, sse_data, transcript

SHOWN = Reasoning(text="hm", seal="s1", sealed_by="anthropic_messages")
HIDDEN = Reasoning(seal="s2", sealed_by="anthropic_messages")
REDACTED = Reasoning(seal="s3", sealed_by="anthropic_messages", redacted=True)
SIGNED = Reasoning(seal="call.c2ln", sealed_by="gemini")
CALL = ToolCall(id="a", name="f", arguments="{}")
GOOGLE = {"google": {"thought_signature": "c2ln"}}


def answer(*parts: Part) -> Response:
    calls = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(content=parts, finish=Finish(reason="tool_calls" if calls else "stop"))
    return Response(id="r", model="m", choices=(choice,))


def streamed(response: Response) -> dict[str, Any]:
    """A stream's message, put together as clients do: texts are joined, lists grow, a call's fields come once."""
    encoder = CODEC.stream_encoder(reply_to())
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for data in sse_data(encoder.feed(events_of(response)))[:-1]:
        for name, value in msgspec.json.decode(data)["choices"][0]["delta"].items():
            match name:
                case "content" | "reasoning_content":
                    message[name] = message.get(name, "") + value
                case "reasoning_details" | "images":
                    message.setdefault(name, []).extend(value)
                case "tool_calls":
                    for call in value:
                        if "id" in call:
                            message.setdefault(name, []).append({key: call[key] for key in call if key != "index"})
                        else:
                            message[name][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
                case _:
                    pass
    return message


def whole(response: Response) -> dict[str, Any]:
    message: dict[str, Any] = msgspec.json.decode(CODEC.encode_response(response, reply_to()))["choices"][0]["message"]
    return message


def home(message: dict[str, Any]) -> tuple[Part, ...]:
    """What the gateway reads when a client sends ``message`` back."""
    turns = [{"role": "user", "content": "hi"}, message]
    return (
        CODEC.decode_request(CODEC.peek(msgspec.json.encode({"model": "m", "messages": turns})), {}).messages[1].content
    )


@pytest.mark.parametrize("told", [streamed, whole])
@pytest.mark.parametrize(
    "parts",
    [
        (SHOWN, Text(text="a")),
        (HIDDEN, Text(text="a")),
        (REDACTED, Text(text="a")),
        (SHOWN, REDACTED, HIDDEN, Text(text="a"), CALL),
        (SIGNED, CALL),
        (HIDDEN, Text(text="a"), SIGNED, CALL, ToolCall(id="b", name="f", arguments="{}")),
    ],
)
def test_seals_of_another_protocol_come_home(told: Any, parts: tuple[Part, ...]) -> None:
    assert parts == home(told(answer(*parts)))


@pytest.mark.parametrize("told", [streamed, whole])
def test_a_call_s_signature_comes_home_from_a_client_that_keeps_extra_content_only(told: Any) -> None:
    message = told(answer(Text(text="a"), SIGNED, CALL))
    del message["reasoning_details"]

    assert (
        wrap("call.c2ln", "gemini", "openai_chat")
        == (message["tool_calls"][0]["extra_content"]["google"]["thought_signature"])
    )
    assert (Text(text="a"), SIGNED, CALL) == home(message)


@pytest.mark.parametrize("told", [streamed, whole])
def test_thinking_that_does_not_stand_directly_before_a_call_is_no_signature_of_it(told: Any) -> None:
    message = told(answer(SIGNED, Text(text="a"), CALL, ToolCall(id="b", name="f", arguments="{}")))

    assert all("extra_content" not in call for call in message["tool_calls"])


def google_answer() -> bytes:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": GOOGLE}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return msgspec.json.encode(
        {"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    )


def google_stream() -> bytes:
    call = {
        "index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": GOOGLE,
    }  # fmt: skip
    return transcript(
        {"id": "r", "choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": [call]}}]},
        {"id": "r", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        b"[DONE]",
    )


def test_a_raw_signature_of_a_chat_provider_is_its_own_seal_and_goes_back_there() -> None:
    events: list[Event] = decode_stream(CODEC.stream_decoder(OUTGOING), [google_stream()])[0]
    read = CODEC.decode_response(google_answer(), OUTGOING)
    signed, call = read.choices[0].content

    assert isinstance(signed, Reasoning)
    assert ("openai_chat", "") == (signed.sealed_by, signed.text)
    assert (signed, call) == collect(events).choices[0].content
    for message in (whole(read), streamed(read)):
        assert GOOGLE == message["tool_calls"][0]["extra_content"]
        assert "reasoning_details" not in message
        assert (signed, call) == home(message)
    done = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="ok"),)),))
    sent = body(ask(user("hi"), Message(role="assistant", content=(signed, call)), done))
    assert GOOGLE == sent["messages"][1]["tool_calls"][0]["extra_content"]


def replayed(*parts: Part) -> Request:
    return ask(user("hi"), Message(role="assistant", content=(*parts, Text(text="a"))), user("go on"))


@pytest.mark.parametrize("part", [SHOWN, HIDDEN, REDACTED, SIGNED])
@pytest.mark.parametrize("replay", [True, False])
def test_a_seal_is_dropped_never_forged_when_the_target_changed(part: Reasoning, replay: bool) -> None:
    sent = encode(replayed(part, CALL), target(replay_reasoning=replay)).body

    assert part.seal
    assert part.seal.encode() not in sent
    assert b"gw1." not in sent
    assert b"extra_content" not in sent


@pytest.mark.parametrize("seal", ["no JSON", "{}", "signature.", "[1", '"x"'])
def test_what_a_client_calls_a_seal_of_chat_s_and_is_none_does_no_harm(seal: str) -> None:
    forged = Reasoning(text="hm", seal=seal, sealed_by="openai_chat")

    assert b"reasoning_details" not in encode(replayed(forged), target(replay_reasoning=True)).body
    assert "reasoning_details" not in whole(answer(forged))
    assert "reasoning_details" not in streamed(answer(forged))


def passed(*turns: dict[str, Any]) -> bytes:
    envelope = CODEC.peek(msgspec.json.encode({"model": "m", "messages": turns}))
    return CODEC.splice(envelope, target(), {}).body


def test_a_foreign_envelope_does_not_pass_through() -> None:
    own = {"type": "reasoning.encrypted", "data": "own", "odd": [1.0]}
    first = {**whole(answer(SHOWN, SIGNED, CALL)), "odd": 1}
    first["reasoning_details"].insert(0, own)
    kept = {**first, "reasoning_details": [own], "tool_calls": [{**first["tool_calls"][0]}]}
    del kept["tool_calls"][0]["extra_content"]

    assert {"model": "up-1", "messages": [kept]} == msgspec.json.decode(passed(first))
    assert "reasoning_details" not in msgspec.json.decode(passed(whole(answer(SHOWN))))["messages"][0]


def test_a_provider_s_own_signature_passes_through_byte_for_byte() -> None:
    turn = msgspec.json.decode(google_answer())["choices"][0]["message"]

    assert {"model": "up-1", "messages": [turn]} == msgspec.json.decode(passed(turn))
    assert b'"gw1' not in passed(turn)


def test_what_only_looks_like_an_envelope_of_ours_comes_home_to_its_provider() -> None:
    """A provider may be another gateway like this one, whose seals begin as ours do."""
    looks = {"google": {"thought_signature": "gw1.gemini.x"}}
    read = CODEC.decode_response(google_answer().replace(b'"c2ln"', b'"gw1.gemini.x"'), OUTGOING)
    message = whole(read)
    turns = passed(message)

    assert read.choices[0].content == home(message)
    assert looks == msgspec.json.decode(turns)["messages"][0]["tool_calls"][0]["extra_content"]


def test_messages_that_cannot_be_read_are_left_to_the_provider() -> None:
    broken: Any = {"model": "m", "messages": ["gw1.x"]}

    assert b'["gw1.x"]' in CODEC.splice(CODEC.peek(msgspec.json.encode(broken)), target(), {}).body
