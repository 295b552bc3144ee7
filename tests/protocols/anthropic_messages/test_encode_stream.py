"""What clients of this protocol get: the vendor's grammar, the SDK's types, and all that canonical said."""

from __future__ import annotations

import random
import re
from typing import Any

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from generated.protocols.anthropic_messages import FACTS
from runtime.canonical import (
    Citation,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Response,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
    collect,
)  # fmt: skip
from runtime.errors import RateLimited, UpstreamOverloaded, UpstreamTimeout
from tests.protocols.anthropic_messages.given import ANSWER, CODEC, OUTGOING, told
from tests.protocols.anthropic_messages.test_transcripts import SOUND, decode, stream
from tests.support.canonical import responses
from tests.support.stream import chop, decode_stream

EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def encode(events: list[Event]) -> bytes:
    encoder = CODEC.stream_encoder(ANSWER)
    return b"".join(encoder.feed([event]) for event in events)


def names(data: bytes) -> str:
    return "".join(f"{name.decode()} " for name in re.findall(rb"^event: (.*)$", data, re.MULTILINE))


def payloads(data: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: ")]


def again(data: bytes) -> Response:
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])
    assert error is None
    return collect(events)


def answer(*parts: Event, finish: str = "stop", usage: Usage | None = None) -> list[Event]:
    return [
        Started(id="x", model="m"), *parts, Finished(finish=Finish(reason=finish)),  # type: ignore[arg-type]
        *([UsageReported(usage=usage)] if usage else []), Ended(),
    ]  # fmt: skip


def sound(data: bytes) -> None:
    """Fails unless the stream is what the vendor's own grammar and SDK allow."""
    assert re.fullmatch(FACTS.order, names(data))
    snapshot = None
    buffers: dict[int, bytes] = {}
    for payload in payloads(data):
        if payload["type"] == "ping":
            continue
        event = EVENTS.validate_python(payload)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    assert snapshot.stop_reason is not None
    starts = [payload["index"] for payload in payloads(data) if payload["type"] == "content_block_start"]
    assert starts == list(range(len(starts)))


@given(responses(), st.none() | st.randoms(use_true_random=False))
def test_any_answer_however_interleaved_becomes_a_stream_of_the_vendors_grammar(
    response: Response, draw: random.Random | None
) -> None:
    data = encode(told(response, draw))

    sound(data)
    expected = CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING)
    found = again(data)
    assert expected.choices == found.choices
    assert expected.usage == found.usage


@given(responses())
def test_a_streamed_answer_and_a_whole_one_say_the_same(response: Response) -> None:
    whole = CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING)

    assert whole.choices == again(encode(told(response))).choices


@pytest.mark.parametrize("case", SOUND)
def test_transcript_survives_the_way_through_canonical(case: str) -> None:
    before = decode([stream(case)]).events
    data = encode(before)

    sound_if_known(case, data)
    first, second = collect(before), again(data)
    assert [part for part in first.choices[0].content if part != Text(text="")] == list(second.choices[0].content)
    assert first.choices[0].finish == second.choices[0].finish
    assert first.usage == second.usage


def sound_if_known(case: str, data: bytes) -> None:
    assert re.fullmatch(FACTS.order, names(data))
    if case != "compaction":  # a beta's block, of which the SDK's plain types know nothing
        sound(data)


def test_feeding_one_event_or_all_at_once_gives_the_same_bytes() -> None:
    events = decode([stream("two-tools")]).events

    assert encode(events) == CODEC.stream_encoder(ANSWER).feed(events)


def test_keep_alive_is_a_ping_that_may_stand_anywhere() -> None:
    encoder = CODEC.stream_encoder(ANSWER)
    assert encoder.keep_alive is not None
    *events, last = decode([stream("thinking")]).events
    data = b"".join(encoder.feed([event]) + encoder.keep_alive for event in events) + encoder.feed([last])

    assert re.fullmatch(FACTS.order, names(data))
    assert len(events) == names(data).count("ping")
    assert encoder.content_type == "text/event-stream"


def test_pitfall_001_every_delta_stands_in_a_block_that_is_open() -> None:
    events = answer(
        PartStarted(index=0, part=ToolCall(id="a", name="f")), PartStarted(index=1, part=ToolCall(id="b", name="g")),
        Delta(index=1, text="{}"), Delta(index=0, text="{"), Delta(index=0, text="}"), PartEnded(index=1),
        PartEnded(index=0), finish="tool_calls",
    )  # fmt: skip

    sound(encode(events))


def test_pitfall_002_pitfall_004_text_and_thinking_get_blocks_of_their_own_and_one_is_open_at_a_time() -> None:
    events = answer(
        PartStarted(index=0, part=Text(text="")), Delta(index=0, text="A"), PartStarted(index=1, part=Reasoning()),
        Delta(index=1, text="hm"), PartEnded(index=0), PartEnded(index=1),
    )  # fmt: skip
    data = encode(events)

    sound(data)
    assert ["text", "thinking"] == [
        payload["content_block"]["type"] for payload in payloads(data) if payload["type"] == "content_block_start"
    ]


def test_pitfall_003_there_is_one_message_start() -> None:
    assert encode(decode([stream("two-starts")]).events).count(b"event: message_start") == 1


def test_pitfall_005_thinking_is_closed_before_a_call_that_follows_it() -> None:
    data = encode(decode([stream("thinking-hidden")]).events)

    assert names(data).startswith(
        "message_start content_block_start content_block_delta content_block_stop content_block_start "
    )


def test_pitfall_006_pitfall_007_parallel_calls_interleaved_upstream_become_blocks_one_after_the_other() -> None:
    events = answer(
        PartStarted(index=0, part=ToolCall(id="a", name="f")), Delta(index=0, text='{"x":'),
        PartStarted(index=1, part=ToolCall(id="b", name="g")), Delta(index=1, text='{"y":'), Delta(index=0, text="1}"),
        PartStarted(index=2, part=ToolCall(id="c", name="h")), PartEnded(index=2), Delta(index=1, text="2}"),
        PartEnded(index=1), PartEnded(index=0), finish="tool_calls",
    )  # fmt: skip
    data = encode(events)

    sound(data)
    assert (
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments='{"y":2}'),
        ToolCall(id="c", name="h", arguments="{}"),
    ) == again(data).choices[0].content


def test_pitfall_008_arguments_that_come_with_a_calls_start_are_not_lost() -> None:
    events = answer(
        PartStarted(index=0, part=ToolCall(id="a", name="f", arguments='{"x"')), Delta(index=0, text=":1}"),
        PartEnded(index=0), finish="tool_calls",
    )  # fmt: skip

    assert (ToolCall(id="a", name="f", arguments='{"x":1}'),) == again(encode(events)).choices[0].content


def test_pitfall_009_an_empty_string_in_arguments_survives_any_split() -> None:
    data = stream("odd-input")
    for reads in chop(data):
        events, error = decode_stream(CODEC.stream_decoder(OUTGOING), reads)

        assert error is None
        call = collect(events).choices[0].content[0]
        assert isinstance(call, ToolCall)
        assert '{"text":"","n":12345678901234567890123,"x":1.0,"q":"\\"}{"}' == call.arguments


def test_pitfall_010_input_that_came_whole_is_not_said_twice() -> None:
    call = collect(decode([stream("eager-input")]).events).choices[0].content[0]

    assert ToolCall(id="toolu_03", name="weather", arguments='{"town":"Oslo","days":2}') == call


def test_pitfall_011_the_end_is_said_once_and_only_after_ended() -> None:
    encoder = CODEC.stream_encoder(ANSWER)
    events = decode([stream("plain")]).events
    before = encoder.feed(events[:-1])

    assert b"message_delta" not in before
    assert names(encoder.feed(events[-1:])) == "message_delta message_stop "


def test_pitfall_012_calls_decide_the_stop_reason_and_length_is_kept() -> None:
    call = (PartStarted(index=0, part=ToolCall(id="a", name="f")), PartEnded(index=0))

    assert payloads(encode(answer(*call, finish="stop")))[-2]["delta"]["stop_reason"] == "tool_use"
    assert payloads(encode(answer(*call, finish="length")))[-2]["delta"]["stop_reason"] == "max_tokens"


def test_pitfall_013_message_start_carries_a_full_usage_of_zeros() -> None:
    start = payloads(encode(answer()))[0]

    assert {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 0,
        "service_tier": "standard",
    } == start["message"]["usage"]


def test_pitfall_014_input_tokens_known_late_stand_in_message_delta() -> None:
    delta = payloads(encode(answer(usage=Usage(input=9, cache_read=4, output=2))))[-2]

    assert {
        "input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 2,
    } == delta["usage"]  # fmt: skip


def test_pitfall_015_input_stands_on_calls_only_and_starts_empty() -> None:
    data = encode(decode([stream("two-tools")]).events)
    blocks = [payload["content_block"] for payload in payloads(data) if payload["type"] == "content_block_start"]

    assert [False, True, True] == ["input" in block for block in blocks]
    assert [{}, {}] == [block["input"] for block in blocks[1:]]


def test_pitfall_016_a_failure_is_an_error_event_and_nothing_of_success() -> None:
    encoder = CODEC.stream_encoder(ANSWER)
    data = encoder.feed(decode([stream("plain")]).events[:3]) + encoder.fail(UpstreamOverloaded("Too busy."))

    assert re.fullmatch(FACTS.order, names(data))
    assert {
        "type": "error", "error": {"type": "overloaded_error", "message": "Too busy."}, "request_id": "r1",
    } == payloads(data)[-1]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind"), [(RateLimited("Slow down."), "rate_limit_error"), (UpstreamTimeout("Late."), "timeout_error")]
)
def test_an_error_before_anything_else_is_a_stream_of_its_own(error: RateLimited, kind: str) -> None:
    data = CODEC.stream_encoder(ANSWER).fail(error)

    assert names(data) == "error "
    assert payloads(data)[0]["error"]["type"] == kind


def test_pitfall_018_thinking_is_never_told_by_marks_in_the_text() -> None:
    data = encode(decode([stream("interleaved-thinking")]).events)

    assert b"<think" not in data
    assert b"</think" not in data


def test_an_empty_text_part_makes_no_block() -> None:
    data = encode(answer(PartStarted(index=0, part=Text(text="")), PartEnded(index=0)))

    assert names(data) == "message_start message_delta message_stop "


def test_signature_comes_once_just_before_the_stop() -> None:
    events = answer(
        PartStarted(index=0, part=Reasoning(sealed_by="anthropic_messages")), Delta(index=0, seal="c2ln"),
        Delta(index=0, text="late words"), PartEnded(index=0),
    )  # fmt: skip
    data = encode(events)

    assert data.count(b"signature_delta") == 1
    assert data.index(b"late words") < data.index(b"signature_delta")
    assert (Reasoning(text="late words", seal="c2ln", sealed_by="anthropic_messages"),) == again(data).choices[
        0
    ].content


def test_redacted_thinking_is_whole_at_its_start() -> None:
    data = encode(decode([stream("thinking-redacted")]).events)

    assert {"type": "redacted_thinking", "data": "EmwKAhgBEgy3/redacted=="} == payloads(data)[1]["content_block"]


def test_a_refusal_is_text_with_its_details() -> None:
    events: list[Event] = [
        Started(id="x", model="m"), PartStarted(index=0, part=Refusal(text="")), Delta(index=0, text="No."), PartEnded(index=0),
        Finished(finish=Finish(reason="refusal", category="bio", explanation="Because.")), Ended(),
    ]  # fmt: skip
    data = encode(events)

    sound(data)
    assert {
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": "bio", "explanation": "Because."},
    } == payloads(data)[-2]["delta"]


def test_a_citation_from_elsewhere_becomes_a_page_that_was_found() -> None:
    cited = Citation(url="https://example.com/a", title="A", quote="words", start=0, end=4)
    events = answer(
        PartStarted(index=0, part=Text(text="")), Delta(index=0, text="Text"), Delta(index=0, citation=cited),
        PartEnded(index=0),
    )  # fmt: skip
    data = encode(events)

    sound(data)
    assert b'"citations_delta"' in data
    found = again(data).choices[0].content[0]
    assert isinstance(found, Text)
    assert [("https://example.com/a", "A", "words")] == [(one.url, one.title, one.quote) for one in found.citations]


def test_a_free_text_call_is_streamed_as_one_text_property() -> None:
    patch = 'a "b"\n\\ é🌍'
    events = answer(
        PartStarted(index=0, part=ToolCall(id="a", name="apply_patch", custom=True)), Delta(index=0, text=patch[:4]),
        Delta(index=0, text=patch[4:]), PartEnded(index=0), finish="tool_calls",
    )  # fmt: skip
    call = again(encode(events)).choices[0].content[0]

    assert isinstance(call, ToolCall)
    assert {"input": patch} == msgspec.json.decode(call.arguments)


def test_blocks_of_another_protocols_server_tools_are_left_out_and_leave_no_gap() -> None:
    events = answer(
        PartStarted(index=0, part=Native(protocol="openai_responses", block="web_search_call", json="{}")),
        PartEnded(index=0), PartStarted(index=1, part=Text(text="Found.")), PartEnded(index=1),
    )  # fmt: skip
    data = encode(events)

    sound(data)
    assert (Text(text="Found."),) == again(data).choices[0].content


def test_other_choices_have_no_place_in_this_protocol() -> None:
    events: list[Event] = [
        Started(id="x", model="m"), PartStarted(index=0, part=Text(text="one")),
        PartStarted(index=0, part=Text(text="two"), choice=1), PartEnded(index=0, choice=1), PartEnded(index=0),
        Finished(finish=Finish(reason="length"), choice=1), Finished(finish=Finish(reason="stop")), Ended(),
    ]  # fmt: skip
    found = again(encode(events))

    assert (Text(text="one"),) == found.choices[0].content
    assert found.choices[0].finish.reason == "stop"


def test_half_a_surrogate_pair_does_not_break_the_stream() -> None:
    data = encode(answer(PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a\ud83c"), PartEnded(index=0)))

    assert (Text(text="a\ufffd"),) == again(data).choices[0].content
