"""What Completions clients are told, as the vendor's own types have it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from generated.protocols.openai_chat import FACTS as CHAT_FACTS
from generated.protocols.openai_completions import FACTS
from runtime.canonical import (
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Message,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Request,
    Response,
    Started,
    Text,
    Usage,
    UsageReported,
    collect,
)  # fmt: skip
from runtime.errors import ModelNotFound, UpstreamOverloaded, UpstreamProtocolError
from runtime.protocols import client_codec
from runtime.protocols.base import Answer
from runtime.protocols.openai_completions.request import ECHO
from tests.protocols.anthropic_messages.given import told
from tests.support.canonical import events_of, responses
from tests.support.stream import sse_data

WIRE = Path(__file__).parents[2] / "fixtures/wire/openai_completions"
CODEC = client_codec("openai_completions")
ASKED = Request(model="m", messages=(Message(role="user", content=(Text(text="Once"),)),), stream=True)
TOKEN = '{"token":"%s","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"%s","logprob":-0.5,"bytes":null},{"token":"x","logprob":-2,"bytes":null}]}'


def reply_to(*, echo: bool = False, usage: bool = False) -> Answer:
    request = msgspec.structs.replace(ASKED, include_usage=usage)
    return Answer("public/name", "req1", 1_795_219_200, {}, request, ECHO if echo else "")


def answer(*parts: Any, reason: Any = "stop", logprobs: str | None = None, **fields: Any) -> Response:
    choice = Choice(content=parts, finish=Finish(reason=reason), logprobs=logprobs)
    return Response(**{"id": "r", "model": "up", "choices": (choice,), **fields})


def whole(response: Response, to: Answer | None = None) -> dict[str, Any]:
    body = CODEC.encode_response(response, to or reply_to())
    Completion.model_validate_json(body, strict=True)
    return msgspec.json.decode(body, type=dict[str, Any])


def raw_stream(events: list[Event], to: Answer | None = None) -> bytes:
    encoder = CODEC.stream_encoder(to or reply_to())
    return b"".join(encoder.feed([event]) for event in events)


def chunks_of(data: bytes) -> list[dict[str, Any]]:
    """Each chunk, taken by the vendor's types, which do not have the null of an unfinished choice."""
    *payloads, last = sse_data(data)
    assert b"[DONE]" == last
    chunks = [msgspec.json.decode(payload, type=dict[str, Any]) for payload in payloads]
    for chunk in chunks:
        choices = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
        Completion.model_validate({**chunk, "choices": choices}, strict=True)
    return chunks


def stream(events: list[Event], to: Answer | None = None) -> list[dict[str, Any]]:
    return chunks_of(raw_stream(events, to))


def texts(chunks: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(choice["text"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index)


TWO = Response(
    id="r", model="up", usage=Usage(input=3, output=4),
    choices=(
        Choice(content=(Text(text="a"),), finish=Finish(reason="stop")), Choice(content=(Text(text="b"),), finish=Finish(reason="length")),
    ),
)  # fmt: skip
LOGGED: list[Event] = [
    Started(id="r", model="up"), PartStarted(index=0, part=Text(text="")),
    Delta(index=0, text="Hé", logprobs=TOKEN % ("Hé", "Hé")), Delta(index=0, text="llo", logprobs=TOKEN % ("llo", "llo")),
    PartEnded(index=0), Finished(finish=Finish(reason="stop")), Ended(),
]  # fmt: skip
ERRED: list[Event] = events_of(answer(Text(text="Part")))[:3]

STREAMS: dict[str, tuple[list[Event], Answer]] = {
    "plain": (events_of(answer(Text(text="Hello!"))), reply_to()),
    "empty": (events_of(answer()), reply_to()),
    "max-tokens": (events_of(answer(Text(text="Once upon"), reason="length")), reply_to()),
    "thinking": (events_of(answer(Reasoning(text="Hm."), Text(text="Hi"))), reply_to()),
    "refusal": (events_of(answer(Refusal(text="I can't."), reason="refusal")), reply_to()),
    "filtered": (events_of(answer(Text(text="Bo"), reason="content_filter")), reply_to()),
    "unicode": (events_of(answer(Text(text="Grüße 🌍 \u2028"))), reply_to()),
    "usage": (events_of(answer(Text(text="Hi"), usage=Usage(input=3, cache_read=2, output=4, reasoning=1))), reply_to(usage=True)),
    "echo": (events_of(answer(Text(text=" upon"))), reply_to(echo=True)),
    "two-choices": (events_of(TWO), reply_to(echo=True, usage=True)),
    "logprobs": (LOGGED, reply_to()),
    "mid-error": (ERRED, reply_to()),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
def test_stream_is_the_golden_file_s(case: str, golden: bool) -> None:
    events, to = STREAMS[case]
    data = raw_stream(events, to)
    if case == "mid-error":
        data += CODEC.stream_encoder(to).fail(UpstreamOverloaded("Upstream overloaded"))
    else:
        chunks_of(data)
    path = WIRE / f"{case}.sse"
    if golden:
        path.write_bytes(data)

    assert path.read_bytes() == data


def test_a_whole_answer() -> None:
    body = CODEC.encode_response(answer(Text(text="A"), Text(text="B"), usage=Usage(input=3)), reply_to())

    assert body.startswith(
        b'{"id":"cmpl-req1","object":"text_completion","created":1795219200,"model":"public/name",'
        b'"choices":[{"index":0,"text":"AB","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,'
    )
    assert 1_795_161_600 == whole(answer(created=1_795_161_600))["created"]


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("context_full", "length"), ("tool_calls", "stop"),
     ("content_filter", "content_filter"), ("refusal", "content_filter"), ("pause", "stop")],
)  # fmt: skip
def test_reasons(reason: str, word: str) -> None:
    response = answer(Text(text="a"), reason=reason)

    assert word == whole(response)["choices"][0]["finish_reason"]
    assert [None, word] == [chunk["choices"][0]["finish_reason"] for chunk in stream(events_of(response))]


def test_a_refusal_in_words_is_an_answer_that_ended() -> None:
    response = answer(Refusal(text="No."), reason="refusal")

    assert ("No.", "stop") == (texts([whole(response)]), whole(response)["choices"][0]["finish_reason"])
    assert "stop" == stream(events_of(response))[-1]["choices"][0]["finish_reason"]


def test_the_prompt_is_echoed_before_every_choice() -> None:
    chunks = stream(events_of(TWO), reply_to(echo=True))

    assert ["Oncea", "Onceb"] == [choice["text"] for choice in whole(TWO, reply_to(echo=True))["choices"]]
    assert ("Oncea", "Onceb") == (texts(chunks, 0), texts(chunks, 1))
    assert "Once" == texts(stream(events_of(answer(reason="length")), reply_to(echo=True)))


def test_usage_is_told_where_it_was_asked_for() -> None:
    asked, unasked = stream(events_of(TWO), reply_to(usage=True)), stream(events_of(TWO))

    assert ([], 7) == (asked[-1]["choices"], asked[-1]["usage"]["total_tokens"])
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    assert not any("usage" in chunk for chunk in unasked)
    assert 7 == whole(TWO)["usage"]["total_tokens"]
    at_start: list[Event] = [
        Started(id="r", model="m", usage=Usage(input=9)),
        Finished(finish=Finish(reason="stop")),
        Ended(),
    ]
    assert 9 == stream(at_start, reply_to(usage=True))[-1]["usage"]["prompt_tokens"]


def test_log_probabilities_stand_in_columns() -> None:
    chunks = stream(LOGGED)
    expected = {
        "tokens": ["Hé", "llo"], "token_logprobs": [-0.5, -0.5], "text_offset": [0, 2],
        "top_logprobs": [{"Hé": -0.5, "x": -2.0}, {"llo": -0.5, "x": -2.0}],
    }  # fmt: skip

    assert expected == whole(collect(LOGGED))["choices"][0]["logprobs"]
    columns = [chunk["choices"][0]["logprobs"] for chunk in chunks[:-1]]
    assert expected == {name: [value for column in columns for value in column[name]] for name in expected}
    assert chunks[-1]["choices"][0]["logprobs"] is None


def test_log_probabilities_without_text_are_told() -> None:
    events: list[Event] = [Started(id="r", model="m"), PartStarted(index=0, part=Text(text="")), Delta(index=0, logprobs=TOKEN % ("", "")), Finished(finish=Finish(reason="stop")), Ended()]  # fmt: skip

    assert [""] == stream(events)[0]["choices"][0]["logprobs"]["tokens"]


def test_log_probabilities_are_taken_as_far_as_providers_give_them() -> None:
    sparse = '[{"token":"a","logprob":null,"top_logprobs":null},{"token":"b"},{}]'
    columns = msgspec.json.decode(CODEC.encode_response(answer(logprobs=sparse), reply_to()))["choices"][0]["logprobs"]

    assert (["a", "b", ""], [None] * 3, [{}] * 3, [0, 1, 2]) == tuple(columns.values())
    for broken in ('["a"]', '[{"token":5}]'):
        with pytest.raises(UpstreamProtocolError, match="log probabilities"):
            CODEC.encode_response(answer(logprobs=broken), reply_to())


def test_errors_are_those_of_chat() -> None:
    assert CHAT_FACTS.errors == FACTS.errors
    reply = CODEC.encode_error(ModelNotFound("the model 'x' does not exist", param="model"), "r1")

    assert (404, "model_not_found") == (reply.status, msgspec.json.decode(reply.body)["error"]["code"])
    assert ("x-request-id", "r1") in reply.headers
    assert b": keep-alive\n\n" == CODEC.stream_encoder(reply_to()).keep_alive


@given(responses(), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_streamed_and_whole_say_the_same(response: Response, draw: random.Random, echo: bool, usage: bool) -> None:
    to = reply_to(echo=echo, usage=usage)
    at_once, chunks = whole(response, to), stream(told(response, draw), to)
    said = "".join(part.text for part in response.choices[0].content if isinstance(part, Text | Refusal))

    assert ("Once" if echo else "") + said == at_once["choices"][0]["text"] == texts(chunks)
    finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert [None] * (len(finishes) - 1) + [at_once["choices"][0]["finish_reason"]] == finishes
    for field in ("id", "object", "created", "model"):
        assert {at_once[field]} == {chunk[field] for chunk in chunks}
    if usage:
        assert at_once["usage"] == chunks[-1]["usage"]


def test_pitfall_032_the_reason_stands_on_a_chunk_of_its_own() -> None:
    chunks = stream(events_of(answer(Text(text="Hi"))))

    assert [("Hi", None), ("", "stop")] == [
        (chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks
    ]


def test_interleaved_choices_keep_their_index() -> None:
    events: list[Event] = [
        Started(id="r", model="m"), PartStarted(index=0, part=Text(text=""), choice=1), PartStarted(index=0, part=Text(text="")),
        Delta(index=0, text="b", choice=1), Delta(index=0, text="a"), Delta(index=0, text="B", choice=1), PartEnded(index=0),
        Finished(finish=Finish(reason="stop")), Finished(finish=Finish(reason="length"), choice=1),
        UsageReported(usage=Usage()), Ended(),
    ]  # fmt: skip

    assert ("a", "bB") == (texts(stream(events), 0), texts(stream(events), 1))
