"""The stream a Chat client gets: what the vendor's SDK types take, in the vendor's order."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from generated.protocols.openai_chat import FACTS
from runtime.canonical import (
    Choice,
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
    Request,
    Response,
    Started,
    Text,
    ToolCall,
    Usage,
    collect,
)  # fmt: skip
from runtime.errors import UpstreamOverloaded
from tests.protocols.openai_chat.support import CODEC, OUTGOING, ask, decode, reply_to
from tests.support.canonical import events_of, responses
from tests.support.stream import decode_stream, sse_data


def encode(events: list[Event], request: Request | None = None) -> bytes:
    return CODEC.stream_encoder(reply_to(request or ask(include_usage=True))).feed(events)


def chunks(events: list[Event], request: Request | None = None) -> list[dict[str, Any]]:
    """The chunks, which the vendor's own types have taken."""
    *data, done = sse_data(encode(events, request))
    for chunk in data:
        ChatCompletionChunk.model_validate_json(chunk)
    assert done == b"[DONE]"
    return [msgspec.json.decode(chunk) for chunk in data]


def deltas(events: list[Event], request: Request | None = None) -> list[Any]:
    return [
        choice["delta"]
        for chunk in chunks(events, request)
        for choice in chunk["choices"]
        if not choice["finish_reason"]
    ]


def one(*parts: Any, finish: Any = "stop", usage: Usage | None = None) -> list[Event]:
    choice = Choice(content=parts, finish=Finish(reason=finish))
    return events_of(Response(id="r", model="up", choices=(choice,), usage=usage or Usage(input=3, output=2)))


def words(data: list[bytes]) -> str:
    """A stream in the words of the protocol's grammar."""
    out: list[str] = []
    for chunk in data:
        wire = msgspec.json.decode(chunk)
        if "error" in wire:
            out.append("error")
        elif not wire["choices"]:
            out.append("usage")
        else:
            choice = wire["choices"][0]
            out.append("finish" if choice["finish_reason"] else "role" if "role" in choice["delta"] else "delta")
    return "".join(f"{word} " for word in out)


def test_plain_stream_to_the_byte() -> None:
    head = b'data: {"id":"chatcmpl-req1","object":"chat.completion.chunk","created":1795305600,"model":"public/name","choices":['
    events = one(Text(text="Hi!"), usage=Usage(input=3, output=2, cache_read=1))

    assert (
        head + b'{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
        + head + b'{"index":0,"delta":{"content":"Hi!"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
        + head + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n'
        + head + b'],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6,'
        b'"prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":0,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,'
        b'"rejected_prediction_tokens":0}}}\n\n'
        b"data: [DONE]\n\n"
    ) == encode(events)  # fmt: skip


@given(responses())
def test_a_stream_amounts_to_the_answer_it_was_made_of(response: Response) -> None:
    """encode, decode, collect: the same answer; and the order of its chunks is the protocol's."""
    data = encode(events_of(response))
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])

    assert error is None
    assert msgspec.structs.replace(response, id="chatcmpl-req1", model="public/name") == collect(events)
    assert re.fullmatch(FACTS.order, words(sse_data(data)[:-1]))


@given(responses())
def test_stream_and_complete_answer_say_the_same(response: Response) -> None:
    streamed = collect(decode_stream(CODEC.stream_decoder(OUTGOING), [encode(events_of(response))])[0])
    whole = CODEC.decode_response(CODEC.encode_response(response, reply_to()), OUTGOING)

    assert streamed == whole


@given(responses())
def test_the_vendor_s_sdk_puts_the_stream_together(response: Response) -> None:
    state: Any = ChatCompletionStreamState()
    for chunk in sse_data(encode(events_of(response)))[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(chunk))
    message = state.current_completion_snapshot.choices[0].message
    content = response.choices[0].content
    calls = [(part.id, part.name, part.arguments) for part in content if isinstance(part, ToolCall)]

    assert calls == [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    assert "".join(part.text for part in content if isinstance(part, Text)) == (message.content or "")


def test_usage_chunk_only_for_those_who_asked() -> None:
    assert "usage" in chunks(one(Text(text="a")))[0]
    assert not any("usage" in chunk for chunk in chunks(one(Text(text="a")), ask()))


def test_feeding_event_by_event_gives_the_same_bytes() -> None:
    events = one(
        Reasoning(text="hmm", seal="s", sealed_by="x"), Text(text="Hello"), ToolCall(id="c", name="f", arguments="{}")
    )
    encoder = CODEC.stream_encoder(reply_to(ask(include_usage=True)))

    assert encode(events) == b"".join(encoder.feed([event]) for event in events)


def test_parallel_calls_have_dense_indexes_and_say_id_and_name_once() -> None:
    events = one(
        Text(text="a"), ToolCall(id="c", name="f", arguments='{"a":1}'), ToolCall(id="d", name="g"), finish="tool_calls"
    )
    calls = [call for delta in deltas(events) for call in delta.get("tool_calls", ())]

    assert [
        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a'}},
        {"index": 0, "function": {"arguments": '":1'}},
        {"index": 0, "function": {"arguments": "}"}},
        {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": ""}},
    ] == calls


def test_overlapping_calls_keep_their_indexes() -> None:
    events: list[Event] = [
        Started(id="r", model="up"),
        PartStarted(index=0, part=ToolCall(id="a", name="f")),
        PartStarted(index=1, part=ToolCall(id="b", name="g")),
        Delta(index=1, text="{}"), Delta(index=0, text="{}"), PartEnded(index=0), PartEnded(index=1),
        Finished(finish=Finish(reason="tool_calls")), Ended(),
    ]  # fmt: skip

    assert [0, 1, 1, 0] == [delta["tool_calls"][0]["index"] for delta in deltas(events)[1:]]


def test_each_choice_has_its_role_and_its_finish() -> None:
    choice = Choice(content=(Text(text="a"),), finish=Finish(reason="stop"))
    made = chunks(events_of(Response(id="r", model="up", choices=(choice, choice))))
    seen = [(c["index"], "role" in c["delta"], c["finish_reason"]) for chunk in made for c in chunk["choices"]]

    assert [
        (0, True, None),
        (0, False, None),
        (0, False, "stop"),
        (1, True, None),
        (1, False, None),
        (1, False, "stop"),
    ] == seen


def test_sealed_thinking_is_told_whole_and_found_again() -> None:
    thinking = Reasoning(text="thought", seal="sig", sealed_by="anthropic_messages")
    hidden = Reasoning(seal="xyz", sealed_by="anthropic_messages", redacted=True)
    told = deltas(one(thinking, hidden, Text(text="a")))
    details = [piece for delta in told for piece in delta.get("reasoning_details", ())]
    message = {"role": "assistant", "content": "a", "reasoning_content": "thought", "reasoning_details": details}

    assert ["tho", "ugh", "t"] == [delta["reasoning_content"] for delta in told if "reasoning_content" in delta]
    assert (thinking, hidden, Text(text="a")) == decode(messages=[message]).messages[0].content


def test_citations_follow_the_text_they_stand_behind() -> None:
    events: list[Event] = [
        Started(id="r", model="up"),
        PartStarted(index=0, part=Text(text="ab")), PartEnded(index=0),
        PartStarted(index=1, part=Text(text="")), Delta(index=1, text="é🐎"),
        Delta(index=1, citation=Citation(url="https://e.com", title="E")), Delta(index=1, citation=Citation(quote="x")),
        PartEnded(index=1), Finished(finish=Finish(reason="stop")), Ended(),
    ]  # fmt: skip
    pages = [note["url_citation"] for delta in deltas(events) for note in delta.get("annotations", ())]

    assert [{"start_index": 2, "end_index": 4, "title": "E", "url": "https://e.com"}] == pages


def test_logprobs_ride_on_their_text() -> None:
    token = '{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[]}'
    events: list[Event] = [
        Started(id="r", model="up"), PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a", logprobs=token),
        PartEnded(index=0), Finished(finish=Finish(reason="stop")), Ended(),
    ]  # fmt: skip

    assert {"content": [msgspec.json.decode(token)], "refusal": None} == chunks(events)[1]["choices"][0]["logprobs"]


def test_old_client_gets_its_one_call() -> None:
    request = decode(functions=[{"name": "f"}])
    events = one(
        ToolCall(id="c", name="f", arguments='{"a":1}'), ToolCall(id="d", name="g", arguments="{}"), finish="tool_calls"
    )
    made = chunks(events, request)

    assert "function_call" == made[-1]["choices"][0]["finish_reason"]
    assert [{"name": "f", "arguments": ""}, {"arguments": '{"a'}, {"arguments": '":1'}, {"arguments": "}"}] == [
        delta["function_call"] for delta in deltas(events, request)[1:]
    ]


def test_custom_call_streams_its_input() -> None:
    *data, _ = sse_data(encode(one(ToolCall(id="c", name="f", arguments="abcd", custom=True), finish="tool_calls")))
    calls = [msgspec.json.decode(chunk)["choices"][0]["delta"]["tool_calls"][0] for chunk in data[1:4]]

    assert [
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "f", "input": ""}},
        {"index": 0, "custom": {"input": "abc"}},
        {"index": 0, "custom": {"input": "d"}},
    ] == calls


def test_blocks_of_other_protocols_are_passed_over() -> None:
    block = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")
    events: list[Event] = [
        Started(id="r", model="up"), PartStarted(index=0, part=block), Delta(index=0, native="{}"), PartEnded(index=0),
        PartStarted(index=1, part=Text(text="a")), PartEnded(index=1), Finished(finish=Finish(reason="stop")), Ended(),
    ]  # fmt: skip

    assert [{"content": "a"}] == deltas(events)[1:]


@pytest.mark.parametrize("started", [True, False])
def test_failure_is_one_error_event_without_finish_or_done(started: bool) -> None:
    encoder = CODEC.stream_encoder(reply_to(None))
    out = encoder.feed(one(Text(text="a"))[:3]) if started else b""
    out += encoder.fail(UpstreamOverloaded("The provider is overloaded."))

    assert {
        "error": {
            "message": "The provider is overloaded.", "type": "server_error", "param": None, "code": "server_is_overloaded",
        }
    } == msgspec.json.decode(sse_data(out)[-1])  # fmt: skip
    assert re.fullmatch(FACTS.order, words(sse_data(out)))
    assert b"[DONE]" not in out


def test_silence_may_be_filled_with_a_comment() -> None:
    encoder = CODEC.stream_encoder(reply_to(None))

    assert ("text/event-stream", b": keep-alive\n\n") == (encoder.content_type, encoder.keep_alive)
