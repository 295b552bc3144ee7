"""What Ollama clients are told: whole answers and lines of a stream, as the vendor's own types and encoder have them."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse

from runtime.canonical import (
    Base64Source,
    Choice,
    Citation,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Response,
    Started,
    Text,
    ToolCall,
    UrlSource,
    Usage,
    UsageReported,
    collect,
)  # fmt: skip
from runtime.errors import UpstreamFailed, UpstreamProtocolError
from runtime.protocols.base import Answer
from tests.protocols.anthropic_messages.given import told
from tests.protocols.ollama_chat.support import ANSWER, CODEC, OUTGOING, lines_of
from tests.support.canonical import events_of, responses
from tests.support.stream import decode_stream


def answer(*parts: Any, reason: Any = "stop", **fields: Any) -> Response:
    choice = Choice(content=parts, finish=Finish(reason=reason), logprobs=fields.pop("logprobs", None))
    return Response(id="r", model="up", choices=(choice,), **fields)


def whole(response: Response) -> dict[str, Any]:
    return msgspec.json.decode(CODEC.encode_response(response, ANSWER), type=dict[str, Any])


def stream(events: list[Event]) -> bytes:
    encoder = CODEC.stream_encoder(ANSWER)
    return b"".join(encoder.feed([event]) for event in events)


def test_a_whole_answer() -> None:
    call = ToolCall(id="c", name="f", arguments='{"a": 1.0}')
    given = answer(Reasoning(text="Hm."), Text(text="A"), Text(text="B"), call, reason="tool_calls", usage=Usage(input=3, cache_read=4, output=5))  # fmt: skip

    assert (
        b'{"model":"public/name","created_at":"2026-11-21T00:00:00.000000Z","message":{"role":"assistant","content":"AB",'
        b'"thinking":"Hm.","tool_calls":[{"id":"c","function":{"index":0,"name":"f","arguments":{"a": 1.0}}}]},'
        b'"done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":5}'
    ) == CODEC.encode_response(given, ANSWER)


def test_the_providers_time_is_told_where_it_gave_one() -> None:
    assert "2026-11-20T08:00:00.000000Z" == whole(answer(created=1_795_161_600))["created_at"]


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("context_full", "length"), ("tool_calls", "stop"),
     ("content_filter", "stop"), ("refusal", "stop"), ("pause", "stop")],
)  # fmt: skip
def test_reasons(reason: str, word: str) -> None:
    assert word == whole(answer(Text(text="a"), reason=reason))["done_reason"]


def test_a_refusal_is_text_and_a_picture_is_base64_and_the_rest_is_left_out() -> None:
    picture = Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))
    parts: tuple[Any, ...] = (
        Refusal(text="No."),
        picture,
        Image(source=UrlSource(url="u")),
        Native(protocol="gemini", block="b", json="{}"),
    )
    events: list[Event] = [Started(id="r", model="up"), *(PartStarted(index=index, part=part) for index, part in enumerate(parts)), Finished(finish=Finish(reason="refusal")), Ended()]  # fmt: skip

    assert {"role": "assistant", "content": "No.", "images": ["iVBORw0KGgo="]} == whole(answer(*parts))["message"]
    assert ["No.", "", ""] == [line["message"]["content"] for line in lines_of(stream(events))]
    assert ["iVBORw0KGgo="] == lines_of(stream(events))[1]["message"]["images"]


def test_of_several_choices_the_first_is_told() -> None:
    choices = tuple(Choice(content=(Text(text=text),), finish=Finish(reason="stop")) for text in "ab")
    given = Response(id="r", model="up", choices=choices)

    assert "a" == whole(given)["message"]["content"]
    assert "a" == "".join(line["message"]["content"] for line in lines_of(stream(events_of(given))))
    assert "" == whole(Response(id="r", model="up", choices=()))["message"]["content"]


def test_calls_that_interleave_go_out_whole_in_the_order_of_their_start() -> None:
    events: list[Event] = [
        Started(id="r", model="up", usage=Usage(input=3)),
        PartStarted(index=0, part=ToolCall(id="a", name="f")), PartStarted(index=1, part=ToolCall(id="b", name="g")),
        Delta(index=1, text='{"x"'), Delta(index=0, text="{}"), Delta(index=1, text=":1}"), PartEnded(index=1),
        PartStarted(index=2, part=Text(text="mean")), Delta(index=2, text="while"), PartEnded(index=2),
        PartEnded(index=0), Finished(finish=Finish(reason="tool_calls")), Ended(),
    ]  # fmt: skip
    lines = lines_of(stream(events))

    assert ["mean", "while", "", "", ""] == [line["message"]["content"] for line in lines]
    calls = [call for line in lines for call in line["message"].get("tool_calls", ())]
    assert [("a", 0, {}), ("b", 1, {"x": 1})] == [
        (call["id"], call["function"]["index"], call["function"]["arguments"]) for call in calls
    ]
    assert (3, 0) == (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"])


def test_a_free_text_call_is_an_object_with_one_text() -> None:
    call = ToolCall(id="a", name="f", arguments="a\nb", custom=True)

    assert {"input": "a\nb"} == whole(answer(call))["message"]["tool_calls"][0]["function"]["arguments"]


def test_log_probabilities_are_told_on_their_lines() -> None:
    token = '{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[]}'
    events: list[Event] = [
        Started(id="r", model="up"), PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a", logprobs=token),
        Delta(index=0, logprobs=token), Delta(index=0, citation=Citation(url="u")), PartEnded(index=0),
        Finished(finish=Finish(reason="stop")), UsageReported(usage=Usage(input=1, output=2)), Ended(),
    ]  # fmt: skip

    assert [-0.5, -0.5] == [line["logprobs"][0]["logprob"] for line in lines_of(stream(events))[:-1]]
    assert json.loads(f"[{token}]") == whole(answer(Text(text="a"), logprobs=f"[{token}]"))["logprobs"]
    assert 3 == len(lines_of(stream(events)))


def test_what_another_provider_wrote_on_many_lines_stays_one() -> None:
    token = '{\n "token": "a",\n "logprob": -0.5\n}'
    events: list[Event] = [Started(id="r", model="up"), PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a", logprobs=token), Finished(finish=Finish(reason="stop")), Ended()]  # fmt: skip

    assert [{"token": "a", "logprob": -0.5}] == lines_of(stream(events))[0]["logprobs"]
    assert b"\n" not in CODEC.encode_response(answer(Text(text="a"), logprobs=f"[{token}]"), ANSWER)


@pytest.mark.parametrize(
    ("created_at", "created"),
    [
        ("2026-11-20T08:00:00Z", 1_795_161_600), ("2026-11-20T09:00:00.123456789+01:00", 1_795_161_600),
        ("2026-11-20T08:00:00", 1_795_161_600), ("yesterday", 0), ("", 0), (None, 0), ("0001-01-01T00:00:00+01:00", 0),
    ],
)  # fmt: skip
def test_times_are_read_wherever_the_gateway_runs(created_at: str | None, created: int) -> None:
    body = msgspec.json.encode({"created_at": created_at, "message": {"content": "a"}, "done": True})

    assert created == max(0, CODEC.decode_response(body, OUTGOING).created)


@pytest.mark.parametrize("created", [-1, 10**18])
def test_a_time_beyond_the_calendar_breaks_nothing(created: int) -> None:
    assert "1970-01-01T00:00:00.000000Z" == whole(answer(created=created))["created_at"]


def test_an_error_is_a_line_and_nothing_may_keep_the_line_alive() -> None:
    encoder = CODEC.stream_encoder(ANSWER)

    assert b'{"error":"It \\u003cbroke\\u003e."}\n' == encoder.fail(UpstreamFailed("It <broke>."))
    assert ("application/x-ndjson", None) == (encoder.content_type, encoder.keep_alive)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"message":{"content":"a"},"done":false}', "not say that it is complete"),
        (b"{}", "holds no message"), (b"[]", "not in its protocol"), (b"<html><title>Oops</title></html>", "Oops"),
        (b'{"message":{"content":5},"done":true}', "not in its protocol"),
        (b'{"message":{"content":"a"},"logprobs":5,"done":true}', "log probabilities"), (b'{"error":""}', "says nothing"),
    ],
)  # fmt: skip
def test_what_is_no_answer_does_not_pass_for_one(body: bytes, expected: str) -> None:
    with pytest.raises(UpstreamProtocolError, match=expected):
        CODEC.decode_response(body, OUTGOING)


def test_an_error_behind_a_success_status_is_raised() -> None:
    with pytest.raises(UpstreamFailed, match="an error was encountered"):
        CODEC.decode_response(b'{"error":"an error was encountered while running the model"}', OUTGOING)


def said(choice: Choice) -> tuple[str, str, list[ToolCall]]:
    return (
        "".join(part.text for part in choice.content if isinstance(part, Text | Refusal)),
        "".join(part.text for part in choice.content if isinstance(part, Reasoning)),
        [part for part in choice.content if isinstance(part, ToolCall)],
    )


@given(responses(), st.randoms(use_true_random=False))
def test_streamed_and_whole_say_the_same(response: Response, draw: random.Random) -> None:
    """And the vendor's types take both."""
    data = stream(told(response, draw))
    lines_of(data)
    body = CODEC.encode_response(response, ANSWER)
    ChatResponse.model_validate_json(body)
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])
    streamed, at_once = collect(events), CODEC.decode_response(body, OUTGOING)

    assert error is None
    assert said(response.choices[0]) == said(streamed.choices[0]) == said(at_once.choices[0])
    assert streamed.choices[0].finish == at_once.choices[0].finish
    assert (response.usage.total_input, response.usage.output) == (streamed.usage.input, streamed.usage.output)
    assert streamed.usage == at_once.usage
    assert response.created == streamed.created == at_once.created


@given(responses())
def test_what_is_encoded_is_decoded_but_for_the_declared_losses(response: Response) -> None:
    choice = response.choices[0]
    parts = tuple(Text(text=part.text) if isinstance(part, Refusal) else part for part in choice.content)
    calls = any(isinstance(part, ToolCall) for part in parts)
    reason: Any = "length" if choice.finish.reason == "length" else "tool_calls" if calls else "stop"
    usage = Usage(input=response.usage.total_input, output=response.usage.output)
    kept = Choice(content=parts, finish=Finish(reason=reason))

    assert msgspec.structs.replace(response, id="", model="public/name", usage=usage, choices=(kept,)) == (
        CODEC.decode_response(CODEC.encode_response(response, ANSWER), OUTGOING)
    )


def test_the_same_answer_gives_the_same_bytes() -> None:
    given = answer(Text(text="a"))
    at = Answer(model="m", id="another", created=1_795_219_200, headers={})

    assert CODEC.encode_response(given, at) == CODEC.encode_response(given, at)
