"""Faults that other gateways had with Ollama, each shown not to be one here."""

from __future__ import annotations

import json

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    Message,
    PartEnded,
    PartStarted,
    Reasoning,
    Request,
    Response,
    Sampling,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)  # fmt: skip
from runtime.errors import UpstreamProtocolError
from runtime.protocols import codec
from runtime.protocols.base import Asked
from tests.protocols.ollama_chat.support import ANSWER, CODEC, OUTGOING, PNG, ask, body, decode, lines_of, user

CHAT = codec("openai_chat")


def from_chat(**fields: object) -> Request:
    given = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return CHAT.decode_request(CHAT.peek(msgspec.json.encode(given)), {})


def stream(*events: Event) -> bytes:
    return CODEC.stream_encoder(ANSWER).feed(events)


def calls_of(body_: bytes) -> list[ToolCall]:
    response = CODEC.decode_response(body_, OUTGOING)
    return [part for part in response.choices[0].content if isinstance(part, ToolCall)]


def test_pitfall_009_empty_texts_in_arguments_are_data() -> None:
    (call,) = calls_of(b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":""}}}]},"done":true}')

    assert '{"a":""}' == call.arguments


def test_pitfall_016_a_cut_stream_is_no_success() -> None:
    decoder = CODEC.stream_decoder(OUTGOING)
    decoder.feed(b'{"model":"m","message":{"content":"Hel"},"done":false}\n')

    with pytest.raises(UpstreamProtocolError, match="before the answer was complete"):
        decoder.close()


def test_pitfall_026_only_the_body_decides_whether_to_stream() -> None:
    assert CODEC.peek(b'{"model":"m"}').stream
    assert not CODEC.peek(b'{"model":"m","stream":false}', Asked()).stream


def test_pitfall_033_a_line_with_thinking_and_words_becomes_two_parts() -> None:
    events = CODEC.stream_decoder(OUTGOING).feed(b'{"message":{"thinking":"a","content":"b"},"done":true}\n')

    assert [Reasoning(), Text(text="")] == [event.part for event in events if isinstance(event, PartStarted)]


def test_pitfall_055_a_result_without_a_call_becomes_the_users_words() -> None:
    orphan = Message(role="tool", content=(ToolResult(call_id="x", content=(Text(text="42"),)),))

    assert [{"role": "user", "content": "Result of the tool call x: 42"}] == body(ask(orphan))["messages"]


def test_pitfall_056_a_call_without_a_result_gets_one() -> None:
    called = Message(role="assistant", content=(ToolCall(id="c", name="f", arguments="{}"),))

    assert ["user", "assistant", "tool", "user"] == [
        turn["role"] for turn in body(ask(user("x"), called, user("y")))["messages"]
    ]


def test_pitfall_065_empty_lists_are_not_sent() -> None:
    sent = body(decode(tools=[], messages=[{"role": "user", "content": "x", "images": [], "tool_calls": []}]))

    assert {"model": "up-1", "messages": [{"role": "user", "content": "x"}], "stream": True} == sent


def test_pitfall_066_zero_false_and_nothing_are_values() -> None:
    zeros = Sampling(
        temperature=0.0, top_p=0.0, top_k=0, min_p=0.0, seed=0, presence_penalty=0.0, frequency_penalty=0.0
    )
    sent = body(ask(max_output_tokens=0, sampling=zeros))

    assert {
        "num_predict",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "presence_penalty",
        "frequency_penalty",
    } == (set(sent["options"]))
    assert not any(sent["options"].values())
    assert sent["stream"] is False
    assert zeros == decode(options=sent["options"]).sampling


def test_pitfall_070_content_is_always_a_text() -> None:
    request = from_chat(
        messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    )

    assert "a\nb" == body(request)["messages"][0]["content"]


def test_pitfall_072_all_pictures_are_sent_in_order() -> None:
    pictures = [Image(source=Base64Source(media_type="image/png", data=data)) for data in ("AAAA", "BBBB", "CCCC")]

    assert ["AAAA", "BBBB", "CCCC"] == body(ask(Message(role="user", content=tuple(pictures))))["messages"][0]["images"]


def test_pitfall_073_pictures_in_tool_results_are_not_lost() -> None:
    """In from a client, and out to a provider."""
    turns = [
        {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]},
        {"role": "tool", "tool_name": "look", "content": "See.", "images": [PNG]},
    ]
    sent = body(decode(messages=turns))["messages"]

    assert [("assistant", None), ("tool", None), ("user", [PNG])] == [
        (turn["role"], turn.get("images")) for turn in sent
    ]


def test_pitfall_093_calls_of_one_name_without_ids_keep_their_results() -> None:
    """A whole round: the provider's answer, the client's next turn, the provider's next request."""
    answered = (
        b'{"created_at":"2026-11-20T08:00:00.1Z","message":{"tool_calls":[{"function":{"name":"f","arguments":{"n":1}}},'
        b'{"function":{"name":"f","arguments":{"n":2}}}]},"done":true}'
    )
    first, second = calls_of(answered)
    results = Message(
        role="tool",
        content=(
            ToolResult(call_id=second.id, content=(Text(text="two"),)),
            ToolResult(call_id=first.id, content=(Text(text="one"),)),
        ),
    )
    sent = body(ask(user("x"), Message(role="assistant", content=(first, second)), results))["messages"]

    assert first.id != second.id
    assert (first, second) == tuple(calls_of(answered))
    assert [call["id"] for call in sent[1]["tool_calls"]] == [first.id, second.id]
    assert {first.id: "one", second.id: "two"} == {turn["tool_call_id"]: turn["content"] for turn in sent[2:]}
    without_ids = [{name: value for name, value in turn.items() if name != "tool_call_id"} for turn in sent[2:][::-1]]
    calls = {"role": "assistant", "tool_calls": [{"function": call["function"]} for call in sent[1]["tool_calls"]]}
    again = decode(messages=[calls, *without_ids]).messages
    assert ["call_0_0", "call_0_1"] == [part.call_id for part in again[1].content if isinstance(part, ToolResult)]


def test_pitfall_093_calls_of_two_answers_get_different_ids() -> None:
    line = b'{"created_at":"2026-11-20T08:00:0%b.1Z","message":{"tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":true}'

    assert calls_of(line % b"1")[0].id != calls_of(line % b"2")[0].id


def test_pitfall_094_parallel_calls_get_indexes_of_their_own() -> None:
    events: list[Event] = [Started(id="r", model="m")]
    for index in range(3):
        events += [PartStarted(index=index, part=ToolCall(id=f"c{index}", name="f")), PartEnded(index=index)]
    lines = lines_of(stream(*events, Finished(finish=Finish(reason="tool_calls")), Ended()))

    assert [0, 1, 2] == [line["message"]["tool_calls"][0]["function"]["index"] for line in lines[:-1]]


@pytest.mark.parametrize("index", [None, 0])
def test_pitfall_094_a_missing_or_repeated_index_makes_no_difference(index: int | None) -> None:
    calls = [{"function": {"index": index, "name": "f", "arguments": {"n": number}}} for number in range(2)]
    given = msgspec.json.encode({"message": {"tool_calls": calls}, "done": True})

    assert ['{"n":0}', '{"n":1}'] == [call.arguments for call in calls_of(given)]


def test_pitfall_095_braces_in_texts_end_nothing() -> None:
    text = '} {"done":true} "error" \\" {'
    call = {"id": "c", "function": {"name": "write", "arguments": {"text": text}}}
    line = msgspec.json.encode({"message": {"role": "assistant", "tool_calls": [call]}, "done": False}) + b"\n"
    events = CODEC.stream_decoder(OUTGOING).feed(line)
    tap = CODEC.stream_tap(ANSWER)

    assert {"text": text} == json.loads("".join(event.text for event in events if isinstance(event, Delta)))
    assert line == tap.feed(line)
    assert not tap.complete


def test_pitfall_096_two_objects_in_one_call_do_not_break_the_line() -> None:
    call = ToolCall(id="c", name="f", arguments='{"a":1}{"b":2}')
    lines = lines_of(
        stream(Started(id="r", model="m"), PartStarted(index=0, part=call), PartEnded(index=0), Finished(finish=Finish(reason="tool_calls")), Ended())
    )  # fmt: skip

    assert {"INVALID_JSON": '{"a":1}{"b":2}'} == lines[0]["message"]["tool_calls"][0]["function"]["arguments"]


def test_pitfall_113_one_count_for_streams_and_whole_answers() -> None:
    line = b'{"message":{"content":"a"},"done":true,"prompt_eval_count":3,"eval_count":4}'
    events = CODEC.stream_decoder(OUTGOING).feed(line + b"\n")

    assert Usage(input=3, output=4) == CODEC.decode_response(line, OUTGOING).usage
    assert Usage(input=3, output=4) in [getattr(event, "usage", None) for event in events]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_pitfall_120_both_names_of_the_limit_become_num_predict(field: str) -> None:
    assert {"num_predict": 77} == body(from_chat(**{field: 77}))["options"]


def test_pitfall_139_no_character_of_a_text_ends_a_line() -> None:
    odd = "".join(map(chr, [*range(32), 0x7F, 0x85, 0x2028, 0x2029])) + '<b>&"\\'
    call = ToolCall(id="c", name="f", arguments=json.dumps({"t": odd}, ensure_ascii=False, indent=1))
    choice = Choice(content=(Reasoning(text=odd), Text(text=odd), call), finish=Finish(reason="tool_calls"))
    data = stream(
        Started(id="r", model="m"), PartStarted(index=0, part=Text(text=odd)), PartEnded(index=0),
        PartStarted(index=1, part=call), PartEnded(index=1), Finished(finish=choice.finish), Ended(),
    )  # fmt: skip
    whole = CODEC.encode_response(Response(id="r", model="m", choices=(choice,)), ANSWER)

    assert 3 == len(data.decode().splitlines()) == data.count(b"\n")
    assert odd == lines_of(data)[0]["message"]["content"]
    assert {"t": odd} == lines_of(data)[1]["message"]["tool_calls"][0]["function"]["arguments"]
    assert (odd, odd) == (json.loads(whole)["message"]["content"], json.loads(whole)["message"]["thinking"])
    assert not {"<", ">", "&", "\x85", "\u2028", "\u2029"} & set(data.decode() + whole.decode())
    assert [odd] == [
        event.text for event in CODEC.stream_decoder(OUTGOING).feed(data) if isinstance(event, Delta)
    ][:1]  # fmt: skip
