"""Faults that real gateways had, each as the test that would have caught it here. The numbers are those of our list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Choice,
    Event,
    Finish,
    Message,
    PartStarted,
    Reasoning,
    Request,
    Response,
    Text,
    ToolCall,
    Usage,
    collect,
)  # fmt: skip
from runtime.errors import UpstreamProtocolError
from tests.protocols.openai_chat.support import (
    CODEC,
    OUTGOING,
    ask,
    encode,
    reply_to,
)
from tests.support.canonical import events_of
from tests.support.stream import decode_stream, sse_data, transcript

WIRE = Path(__file__).parents[2] / "fixtures/wire/openai_chat"


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c1", "created": 1, "model": "up", "choices": [choice], **more}


def call(index: int, fragment: str, **first: Any) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": fragment}
    if "name" in first:
        function["name"] = first.pop("name")
    return chunk({"tool_calls": [{"index": index, "function": function, **first}]})


def events(*frames: Any) -> list[Event]:
    got, error = decode_stream(CODEC.stream_decoder(OUTGOING), [transcript(*frames)])
    if error is not None:
        raise error
    return got


def answer(*frames: Any) -> Response:
    return collect(events(*frames))


def recorded(case: str) -> Response:
    return collect(decode_stream(CODEC.stream_decoder(OUTGOING), [(WIRE / f"{case}.sse").read_bytes()])[0])


def chunks(*parts: Any, finish: Any = "stop", request: Request | None = None) -> list[dict[str, Any]]:
    response = Response(id="r", model="up", choices=(Choice(content=parts, finish=Finish(reason=finish)),))
    data = CODEC.stream_encoder(reply_to(request or ask())).feed(events_of(response))
    return [msgspec.json.decode(piece) for piece in sse_data(data)[:-1]]


F = ToolCall(id="a", name="f", arguments="{}")
STOP, DONE = chunk(finish="stop"), "[DONE]"


# -- streams


def test_pitfall_008_arguments_in_the_chunk_of_id_and_name_are_kept() -> None:
    part = answer(call(0, '{"a":1}', id="x", name="f"), STOP).choices[0].content[0]

    assert ToolCall(id="x", name="f", arguments='{"a":1}') == part


@pytest.mark.parametrize("cut", range(1, len('{"a":""}')))
def test_pitfall_009_empty_text_in_arguments_survives_any_cut(cut: int) -> None:
    text = '{"a":""}'
    part = answer(call(0, text[:cut], id="x", name="f"), call(0, ""), call(0, text[cut:]), STOP).choices[0].content[0]

    assert isinstance(part, ToolCall)
    assert text == part.arguments


def test_pitfall_012_calls_decide_the_finish_and_length_keeps_its_own() -> None:
    assert "tool_calls" == answer(call(0, "{}", id="x", name="f"), STOP).choices[0].finish.reason
    assert "length" == answer(call(0, "{", id="x", name="f"), chunk(finish="length")).choices[0].finish.reason


def test_pitfall_016_cut_stream_is_an_error() -> None:
    with pytest.raises(UpstreamProtocolError, match="before the answer was complete"):
        events(chunk({"content": "half"}))


def test_pitfall_018_no_border_of_blocks_is_written_as_text() -> None:
    said = [piece["choices"][0]["delta"].get("content") for piece in chunks(Reasoning(text="hm"), F)]

    assert ["", None, None] == list(said[:3])
    assert not any("think" in (text or "") for text in said)


def test_pitfall_020_parallel_calls_have_indexes_of_their_own() -> None:
    made = chunks(Text(text="x"), F, ToolCall(id="b", name="f", arguments="{}"), finish="tool_calls")
    calls = [delta["tool_calls"][0] for piece in made if (delta := piece["choices"][0]["delta"]).get("tool_calls")]

    assert [("a", 0), ("b", 1)] == [(piece["id"], piece["index"]) for piece in calls if "id" in piece]
    read = recorded("same-index-calls").choices[0].content
    assert ["call_a", "call_b"] == [part.id for part in read if isinstance(part, ToolCall)]


def test_pitfall_021_one_id_time_and_model_per_stream() -> None:
    heads = {(piece["id"], piece["created"], piece["model"]) for piece in chunks(Text(text="abcdefgh"), F)}

    assert 1 == len(heads)


def test_pitfall_022_id_type_and_name_come_once() -> None:
    made = chunks(ToolCall(id="a", name="f", arguments='{"long":"text"}'), finish="tool_calls")
    calls = [delta["tool_calls"][0] for piece in made if (delta := piece["choices"][0]["delta"]).get("tool_calls")]

    assert {"index", "id", "type", "function"} == set(calls[0])
    assert all({"index", "function"} == set(piece) and {"arguments"} == set(piece["function"]) for piece in calls[1:])
    assert '{"town":"Oslo"}' == recorded("name-repeated").choices[0].content[0].arguments  # type: ignore[union-attr]


def test_pitfall_023_a_call_is_held_back_until_its_name_is_known() -> None:
    first = next(
        event
        for event in events(call(0, '{"a', id="x"), call(0, '":1}'), call(0, "", name="f"), STOP)
        if isinstance(event, PartStarted)
    )

    assert ToolCall(id="x", name="f") == first.part


def test_pitfall_020_calls_that_share_an_index_and_have_no_ids_are_told_apart_by_what_they_say() -> None:
    whole = [
        {"index": 0, "id": "", "function": {"name": name, "arguments": text}}
        for name, text in (("f", "{}"), ("g", '{"b":1}'))
    ]
    together = answer(chunk({"tool_calls": whole}), chunk(finish="tool_calls"))
    apart = answer(*(chunk({"tool_calls": [one]}) for one in whole), chunk(finish="tool_calls"))
    calls = [part for part in together.choices[0].content if isinstance(part, ToolCall)]

    assert [("f", "{}"), ("g", '{"b":1}')] == [(one.name, one.arguments) for one in calls]
    assert 2 == len({one.id for one in calls})
    assert together == apart


def test_a_name_that_is_repeated_begins_no_call() -> None:
    pieces = ('{"a"', ":{}", "}", "", "\n")
    read = answer(*(call(0, piece, name="f") for piece in pieces), chunk(finish="tool_calls")).choices[0].content

    assert ['{"a":{}}\n'] == [part.arguments for part in read if isinstance(part, ToolCall)]


def test_pitfall_024_choices_keep_their_index() -> None:
    assert ["Yes.", "No."] == [choice.content[0].text for choice in recorded("two-choices").choices]  # type: ignore[union-attr]


@pytest.mark.parametrize("case", ["finish-early", "finish-on-last-text"])
def test_pitfall_025_and_032_and_034a_finish_comes_last_on_a_chunk_of_its_own(case: str) -> None:
    data = CODEC.stream_encoder(reply_to(ask())).feed(
        decode_stream(CODEC.stream_decoder(OUTGOING), [(WIRE / f"{case}.sse").read_bytes()])[0]
    )
    made = [msgspec.json.decode(piece)["choices"][0] for piece in sse_data(data)[:-1]]

    assert [None, None, None, "stop"] == [piece["finish_reason"] for piece in made]
    assert {} == made[-1]["delta"]


def test_pitfall_026_only_the_body_says_whether_it_is_a_stream() -> None:
    envelope = CODEC.peek(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')

    assert not CODEC.decode_request(envelope, {"accept": "text/event-stream"}).stream


def test_pitfall_028_content_is_not_touched() -> None:
    odd = "\u200b\x1b[0m<think>x</think>\u2028"

    assert odd == "".join(piece["choices"][0]["delta"].get("content", "") for piece in chunks(Text(text=odd)))
    assert (Text(text=odd),) == answer(chunk({"content": odd}), STOP).choices[0].content


def test_pitfall_030_and_113_stream_and_whole_answer_map_alike() -> None:
    message = {
        "reasoning_content": "hm",
        "content": "a",
        "tool_calls": [{"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    whole = CODEC.decode_response(
        msgspec.json.encode(
            {
                "id": "c1",
                "created": 1,
                "model": "up",
                "choices": [{"message": message, "finish_reason": "tool_calls"}],
                "usage": usage,
            }
        ),
        OUTGOING,
    )

    assert whole == answer(chunk(message), {**chunk(finish="tool_calls"), "usage": usage}, DONE)


def test_pitfall_031_first_delta_has_role_and_empty_content() -> None:
    assert {"role": "assistant", "content": "", "refusal": None} == chunks(Text(text="a"))[0]["choices"][0]["delta"]


def test_pitfall_033_thinking_and_text_of_one_chunk_are_two_parts() -> None:
    content = recorded("thinking-and-text-in-one").choices[0].content

    assert (Reasoning(text="Short."), Text(text="Good day.")) == content


@pytest.mark.parametrize("case", ["usage-on-finish", "usage-in-every-chunk"])
def test_pitfall_034_and_116_usage_is_read_from_any_chunk_and_the_last_counts(case: str) -> None:
    assert recorded(case).usage in {Usage(input=31, output=7), Usage(input=31, output=3)}


def test_pitfall_035_missing_done_after_a_finish_is_complete() -> None:
    assert (Text(text="Good day."),) == recorded("no-done").choices[0].content


def test_pitfall_093_calls_of_equal_names_stay_apart() -> None:
    ids = [part.id for part in recorded("missing-ids").choices[0].content if isinstance(part, ToolCall)]

    assert 2 == len(set(ids))


def test_pitfall_095_braces_in_texts_do_not_end_a_call() -> None:
    part = (
        answer(call(0, '{"a":"}', id="x", name="f"), call(1, "{}", id="y", name="g"), call(0, '{"}'), STOP)
        .choices[0]
        .content[0]
    )

    assert ToolCall(id="x", name="f", arguments='{"a":"}{"}') == part


def test_pitfall_096_two_objects_are_never_glued_into_one_call() -> None:
    with pytest.raises(UpstreamProtocolError, match="arguments were complete"):
        events(call(0, "{}", id="x", name="f"), call(1, "{}", id="y", name="g"), call(0, "{}"), STOP)


def test_pitfall_103_thinking_is_never_content() -> None:
    made = chunks(Reasoning(text="hm"), Text(text="a"))

    assert ["a"] == [text for piece in made[1:] if (text := piece["choices"][0]["delta"].get("content"))]
    assert (
        "thinking"
        not in encode(
            ask(Message(role="assistant", content=(Reasoning(text="thinking"), Text(text="a"))))
        ).body.decode()
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_pitfall_111_both_names_of_thinking_are_read(field: str) -> None:
    assert Reasoning(text="hm") == answer(chunk({field: "hm"}), STOP).choices[0].content[0]


def test_pitfall_117_null_usage_is_no_fault() -> None:
    assert Usage() == recorded("usage-null").usage


def test_pitfall_139_only_cr_and_lf_end_lines() -> None:
    assert (Text(text="one\u2028two\u0085three\u2029\x0bfour\x1c"),) == recorded("line-separators").choices[0].content
