"""Whole answers, both ways: read from a provider, told to a client, passed on."""

from __future__ import annotations

import msgspec
import pytest
from anthropic.types import Message as SdkMessage
from hypothesis import given

from runtime.canonical import (
    Audio,
    Base64Source,
    Choice,
    Citation,
    Finish,
    Native,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    Usage,
)  # fmt: skip
from runtime.errors import ContextTooLong, GatewayError, RateLimited, UpstreamOverloaded, UpstreamProtocolError
from tests.protocols.anthropic_messages.given import ANSWER, CODEC, OUTGOING
from tests.protocols.anthropic_messages.test_transcripts import SOUND, decode, stream
from tests.support.canonical import responses


def message(**fields: object) -> bytes:
    whole: dict[str, object] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": "Hi."}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 2}, **fields,
    }  # fmt: skip
    return msgspec.json.encode(whole)


def read(**fields: object) -> Response:
    return CODEC.decode_response(message(**fields), OUTGOING)


def told(*parts: Part, finish: str = "stop", **fields: object) -> dict[str, object]:
    choice = Choice(content=parts, finish=Finish(reason=finish))  # type: ignore[arg-type]
    body: dict[str, object] = msgspec.json.decode(
        CODEC.encode_response(Response(id="x", model="m", choices=(choice,), **fields), ANSWER)  # type: ignore[arg-type]
    )
    SdkMessage.model_validate(body)
    return body


@given(responses())
def test_any_answer_fits_the_vendors_own_type(response: Response) -> None:
    body = msgspec.json.decode(CODEC.encode_response(response, ANSWER))

    SdkMessage.model_validate(body)
    assert ("msg_r1", "public/name") == (body["id"], body["model"])


@given(responses())
def test_an_answer_comes_back_as_it_went_but_for_the_losses(response: Response) -> None:
    again = CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING)

    (choice,) = response.choices
    content = tuple(Text(text=part.text) if isinstance(part, Refusal) else part for part in choice.content)
    assert content == again.choices[0].content
    assert choice.finish == again.choices[0].finish
    assert response.usage == again.usage


ODD = {"unknown-events", "two-starts", "compaction", "thinking-in-text", "null-usage"}
"""Streams that the SDK itself cannot put together."""


@pytest.mark.parametrize("case", [case for case in SOUND if case not in ODD])
def test_a_whole_answer_is_read_as_its_stream_is(case: str) -> None:
    """Pitfall 113: one reading of usage and of blocks for both paths."""
    from anthropic.lib.streaming._messages import accumulate_event
    from anthropic.types import RawMessageStreamEvent
    from pydantic import TypeAdapter

    from runtime.canonical import collect

    snapshot = None
    buffers: dict[int, bytes] = {}
    adapter: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    for line in stream(case).replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data: {") and b'"type":"ping"' not in line and b'"type": "ping"' not in line:
            payload = msgspec.json.decode(line[6:])
            if payload.get("delta", {}).get("stop_reason") == "moon_phase":
                payload["delta"]["stop_reason"] = "end_turn"
            snapshot = accumulate_event(
                event=adapter.validate_python(payload), current_snapshot=snapshot, json_bufs=buffers
            )
    assert snapshot is not None
    whole = CODEC.decode_response(snapshot.model_dump_json(exclude_none=True).encode(), OUTGOING)
    streamed = collect(decode([stream(case)]).events)

    assert _comparable(streamed) == _comparable(whole)


def _comparable(response: Response) -> object:
    """Without what the SDK's own accumulation cannot keep: the layout of JSON, exact numbers, citations' null fields."""

    def part(given: Part) -> object:
        match given:
            case ToolCall():
                return (
                    given.id,
                    given.name,
                    msgspec.json.decode(given.arguments) if "1234567890123" not in given.arguments else None,
                )
            case Native():
                return (
                    given.block,
                    {k: v for k, v in msgspec.json.decode(given.json).items() if k in {"type", "id", "name", "input"}},
                )
            case Text():
                return (given.text, [(one.url, one.quote, one.start, one.end) for one in given.citations])
            case _:
                return given

    return [part(each) for each in response.choices[0].content], response.choices[0].finish, response.usage


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"), ("max_tokens", "length"), ("pause_turn", "pause"), ("refusal", "refusal"), ("compaction", "pause"),
        ("model_context_window_exceeded", "context_full"), ("tool_use", "stop"), ("new_one", "stop"), (None, "stop"),
    ],
)  # fmt: skip
def test_stop_reasons_are_read_and_unknown_ones_are_a_plain_end(reason: str | None, expected: str) -> None:
    assert expected == read(stop_reason=reason).choices[0].finish.reason


def test_pitfall_012_a_call_decides_what_the_stop_reason_is() -> None:
    call = [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]

    assert read(content=call, stop_reason="end_turn").choices[0].finish.reason == "tool_calls"
    assert read(content=call, stop_reason="max_tokens").choices[0].finish.reason == "length"
    assert told(ToolCall(id="a", name="f"))["stop_reason"] == "tool_use"
    assert told(ToolCall(id="a", name="f"), finish="length")["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", "end_turn"), ("stop_sequence", "stop_sequence"), ("length", "max_tokens"), ("pause", "pause_turn"),
        ("context_full", "model_context_window_exceeded"), ("refusal", "refusal"), ("content_filter", "refusal"),
    ],
)  # fmt: skip
def test_stop_reasons_are_told(finish: str, expected: str) -> None:
    body = told(Text(text="x"), finish=finish)

    assert expected == body["stop_reason"]
    assert (expected == "refusal") == ("stop_details" in body)


def test_the_stop_text_and_the_details_of_a_refusal_are_read() -> None:
    assert Finish(reason="stop_sequence", stop_sequence="END") == (
        read(stop_reason="stop_sequence", stop_sequence="END").choices[0].finish
    )
    details = {"type": "refusal", "category": "bio", "explanation": "Because."}
    assert Finish(reason="refusal", category="bio", explanation="Because.") == (
        read(stop_reason="refusal", stop_details=details).choices[0].finish
    )


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input=5, output=2)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9},
         Usage(input=5, output=2, cache_read=7, cache_write_5m=9)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 9,
          "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}},
         Usage(input=5, output=2, cache_write_5m=4, cache_write_1h=5)),
        ({"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 9,
          "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 5}},
         Usage(input=5, output=2, cache_write_5m=4, cache_write_1h=5)),
        ({"input_tokens": 5, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 11},
          "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}},
         Usage(input=5, output=20, reasoning=11, search_requests=3)),
        ({"input_tokens": None, "output_tokens": None, "cache_creation": None, "server_tool_use": None}, Usage()),
        (None, Usage()),
        ({"input_tokens": -1, "output_tokens": 2}, Usage(output=2)),
    ],
)  # fmt: skip
def test_pitfall_112_pitfall_114_usage_counts_each_token_once(wire: object, expected: Usage) -> None:
    assert expected == read(usage=wire).usage


def test_usage_is_told_in_full() -> None:
    usage = Usage(input=5, output=9, cache_read=1, cache_write_5m=2, cache_write_1h=3, reasoning=4, search_requests=6)

    assert {
        "input_tokens": 5, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}, "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
        "server_tool_use": {"web_search_requests": 6, "web_fetch_requests": 0}, "service_tier": "priority",
    } == told(Text(text="x"), usage=usage, service_tier="priority")["usage"]  # fmt: skip


def test_blocks_of_the_vendors_own_survive_and_others_are_left_out() -> None:
    block = '{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1.0}}'
    own, other = (
        Native(protocol="anthropic_messages", block="server_tool_use", json=block),
        Native(protocol="gemini", block="executableCode", json="{}"),
    )

    body = told(own, other, Text(text=""), Text(text="Found."))
    assert ["server_tool_use", "text"] == [found["type"] for found in body["content"]]  # type: ignore[attr-defined]
    assert own == CODEC.decode_response(msgspec.json.encode(body), OUTGOING).choices[0].content[0]


def test_own_fields_of_an_answer_survive_translation() -> None:
    container = {"id": "c", "expires_at": "2026-11-21T00:00:00Z"}
    response = read(container=container, context_management={"applied_edits": []})
    body = msgspec.json.decode(CODEC.encode_response(response, ANSWER))

    assert (container, {"applied_edits": []}) == (body["container"], body["context_management"])


def test_citations_are_placed_in_the_answers_text_and_told_in_the_vendors_shape() -> None:
    own = {
        "type": "char_location",
        "cited_text": "q",
        "document_index": 0,
        "document_title": "D",
        "start_char_index": 0,
        "end_char_index": 1,
    }
    found = read(
        content=[{"type": "text", "text": "Ab "}, {"type": "text", "text": "cd🌍", "citations": [own]}]
    ).choices[0]

    (cited,) = found.content[1].citations  # type: ignore[union-attr,misc]
    assert (None, "D", "q", 3, 6) == (cited.url, cited.title, cited.quote, cited.start, cited.end)
    assert [own] == told(*found.content)["content"][1]["citations"]  # type: ignore[index]
    foreign = told(Text(text="x", citations=(Citation(url="https://e.com", title="E"),)))
    assert "web_search_result_location" == foreign["content"][0]["citations"][0]["type"]  # type: ignore[index]


def test_thinking_without_a_seal_is_told_with_an_empty_signature_and_nothing_at_all_is_left_out() -> None:
    body = told(Reasoning(text="Hm."), Reasoning(), Reasoning(redacted=True), Text(text="x"))

    assert [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "x"}] == body["content"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", {}), ('{"a":1}', {"a": 1}), ("[1]", {"value": [1]}), ('{"a":', {"INVALID_JSON": '{"a":'})],
)
def test_pitfall_015_input_of_a_call_is_always_an_object(arguments: str, expected: object) -> None:
    assert expected == told(ToolCall(id="a", name="f", arguments=arguments))["content"][0]["input"]  # type: ignore[index]


def test_sound_has_no_place_in_an_answer() -> None:
    assert [] == told(Audio(source=Base64Source(media_type="audio/wav", data="aGk=")))["content"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html><title>502</title></html>", UpstreamProtocolError),
        (b"", UpstreamProtocolError),
        (b"[]", UpstreamProtocolError),
        (b'{"type":"message"}', UpstreamProtocolError),
        (b'{"choices":[{"message":{}}]}', UpstreamProtocolError),
        (message(content=[{"type": "tool_use", "name": "f"}]), UpstreamProtocolError),
        (message(content=[{"type": "text"}]), UpstreamProtocolError),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Busy."}}', UpstreamOverloaded),
        (b'{"error":{"type":"rate_limit_error","message":"Slow."}}', RateLimited),
        (b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 tokens > 2 maximum"}}',
         ContextTooLong),
    ],
)  # fmt: skip
def test_pitfall_019_what_is_no_answer_is_a_typed_error(body: bytes, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        CODEC.decode_response(body, OUTGOING)


@pytest.mark.parametrize(
    "body", [b"{", b"<p>", b"[]", b'{"type":"message"}', b'{"type":"error","error":{"type":"api_error","message":"x"}}']
)
def test_passing_on_refuses_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(GatewayError):
        CODEC.splice_response(body, "public/name")


def test_passing_on_changes_the_model_and_no_other_byte() -> None:
    body = b'{ "id":"msg_1", "type": "message","model": "claude-x","content":[{"type":"new","x":1.0}],"usage":{"input_tokens":3,"output_tokens":2}}\n'
    out, usage = CODEC.splice_response(body, "public/name")

    assert body.replace(b"claude-x", b"public/name") == out
    assert Usage(input=3, output=2) == usage


def test_a_providers_signature_is_its_own_whatever_it_looks_like() -> None:
    found = read(content=[{"type": "thinking", "thinking": "a", "signature": "gw1.gemini.YQ=="}]).choices[0].content[0]

    assert Reasoning(text="a", seal="gw1.gemini.YQ==", sealed_by="anthropic_messages") == found
