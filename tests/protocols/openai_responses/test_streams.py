"""What no transcript shows: stop strings, failures in mid-stream, the echo of the request, seals."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Delta, Finish, PartStarted, Started, Text, collect
from runtime.errors import ContextTooLong, GatewayError, InvalidRequest, RateLimited, UpstreamFailed
from runtime.protocols.base import Outgoing
from runtime.protocols.relay import Passing
from tests.protocols.openai_responses.support import (
    ANSWER,
    CODEC,
    ask,
    body,
    decode,
    encode,
    reply_to,
    target,
    vendor_answers,
    vendor_streams,
)
from tests.support.stream import cuts, decode_stream, sse_data, transcript


def text_stream(*pieces: str) -> bytes:
    created: dict[str, Any] = {"id": "resp_1", "status": "in_progress", "model": "up-1", "created_at": 1, "output": []}
    whole = "".join(pieces)
    item = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": whole}]}
    deltas: list[dict[str, Any]] = [
        {
            "type": "response.output_text.delta", "sequence_number": n + 1, "item_id": "m", "output_index": 0,
            "content_index": 0, "delta": piece,
        }
        for n, piece in enumerate(pieces)
    ]  # fmt: skip
    return transcript(
        {"type": "response.created", "sequence_number": 0, "response": created},
        *deltas,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "sequence_number": 99,
         "response": {**created, "status": "completed", "output": [item], "usage": {"input_tokens": 3, "output_tokens": 5}}},
    )  # fmt: skip


def cut_at(stops: tuple[str, ...], text: str) -> str:
    return text[: min([at for stop in stops if (at := text.find(stop)) >= 0], default=len(text))]


def test_stop_strings_are_kept_for_the_decoder() -> None:
    outgoing = encode(ask(stop=("END",)))

    assert outgoing.stop == ("END",)
    assert b"END" not in outgoing.body


@given(
    st.text("abE", max_size=12),
    st.lists(st.integers(0, 99), max_size=6),
    st.sampled_from([("aE",), ("ab", "bEb"), ("E",)]),
)
def test_the_text_is_cut_at_a_stop_string_wherever_it_is_split(
    text: str, places: list[int], stops: tuple[str, ...]
) -> None:
    pieces = [read.decode() for read in cuts(text.encode(), places)]
    outgoing = Outgoing("/", (), b"", stream=True, stop=stops)
    events, error = decode_stream(CODEC.stream_decoder(outgoing), [text_stream(*pieces)])
    choice = collect(events).choices[0]
    kept = cut_at(stops, text)
    met = next((stop for stop in stops if text.startswith(stop, len(kept))), None)

    assert error is None
    assert "".join(part.text for part in choice.content if isinstance(part, Text)) == kept
    assert choice.finish == (Finish(reason="stop_sequence", stop_sequence=met) if met else Finish(reason="stop"))
    assert collect(events).usage.output == 5


def test_a_complete_answer_is_cut_at_a_stop_string_and_calls_behind_it_are_none() -> None:
    answer = (
        b'{"id":"r","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"one END two"}]},'
        b'{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}'
    )
    response = CODEC.decode_response(answer, Outgoing("/", (), b"", stream=False, stop=("END",)))

    assert response.choices[0].content == (Text(text="one "),)
    assert response.choices[0].finish == Finish(reason="stop_sequence", stop_sequence="END")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamFailed("Broken."), "server_error"),
        (ContextTooLong("Too long."), "context_length_exceeded"),
        (RateLimited("Slow down.", retry_after_s=0.5), "rate_limit_exceeded"),
        (InvalidRequest("No image.", code="image_too_large"), "image_too_large"),
        (InvalidRequest("What?", code="something_else"), "invalid_prompt"),
    ],
)
def test_a_failure_is_told_in_the_vendor_s_codes(error: GatewayError, code: str) -> None:
    failed = msgspec.json.decode(sse_data(CODEC.stream_encoder(reply_to()).fail(error))[-1])["response"]["error"]

    assert failed["code"] == code
    assert code != "rate_limit_exceeded" or "try again in 0.5s" in failed["message"]


def test_a_failure_goes_on_with_number_and_id() -> None:
    encoder = CODEC.stream_encoder(reply_to())
    data = encoder.feed(
        [Started(id="x", model="y"), PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a")]
    )
    before = [msgspec.json.decode(payload) for payload in sse_data(data)]
    failed = msgspec.json.decode(sse_data(encoder.fail(UpstreamFailed("Broken.")))[0])

    vendor_streams(msgspec.json.encode(failed))
    assert failed["sequence_number"] == len(before)
    assert failed["response"]["id"] == before[0]["response"]["id"]


def test_a_failure_before_all_begins_the_answer_first() -> None:
    payloads = sse_data(CODEC.stream_encoder(reply_to()).fail(UpstreamFailed("Broken.")))

    for payload in payloads:
        vendor_streams(payload)
    assert [msgspec.json.decode(payload)["type"] for payload in payloads] == [
        "response.created", "response.in_progress", "response.failed",
    ]  # fmt: skip


def test_a_failure_of_what_passes_through_goes_on_from_it() -> None:
    passing = Passing(CODEC.stream_tap(ANSWER), CODEC.stream_encoder(ANSWER))
    out = passing.feed(text_stream("Hel", "lo")[:-400].rpartition(b"\n\n")[0] + b"\n\n")
    failed = msgspec.json.decode(sse_data(passing.fail(UpstreamFailed("Broken.")))[0])

    assert b'"model":"public/name"' in out
    assert failed["type"] == "response.failed"
    assert failed["sequence_number"] == 3
    assert (failed["response"]["id"], failed["response"]["model"]) == ("resp_1", "public/name")
    assert failed["response"]["status"] == "failed"


def test_what_passes_through_and_never_began_fails_from_the_beginning() -> None:
    passing = Passing(CODEC.stream_tap(ANSWER), CODEC.stream_encoder(ANSWER))

    assert len(sse_data(passing.fail(UpstreamFailed("Broken.")))) == 3


def test_the_answer_repeats_the_request() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
    request = decode(
        instructions="Be brief.", tools=[tool], tool_choice="required", temperature=0.5, metadata={"a": "b"},
        text={"format": {"type": "json_object"}, "verbosity": "low"}, reasoning={"effort": "low", "summary": "detailed"},
        previous_response_id="resp_0", store=True, max_output_tokens=50, user="u", truncation="auto",
    )  # fmt: skip
    response = CODEC.decode_response(
        b'{"id":"r","status":"completed","output":[]}', Outgoing("/", (), b"", stream=False)
    )
    told = CODEC.encode_response(response, reply_to(request))
    got = msgspec.json.decode(told)

    vendor_answers(told)
    assert got["instructions"] == "Be brief."
    assert got["tools"] == [tool]
    assert (got["tool_choice"], got["temperature"], got["metadata"]) == ("required", 0.5, {"a": "b"})
    assert got["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    assert got["reasoning"] == {"effort": "low", "summary": "detailed"}
    assert (got["previous_response_id"], got["store"], got["max_output_tokens"]) == ("resp_0", True, 50)
    assert (got["user"], got["truncation"]) == ("u", "auto")


def test_what_a_client_laid_out_over_lines_breaks_no_event() -> None:
    raw = b'{"model": "m", "input": "hi", "tools": [{\n "type": "web_search"\n}]}'
    request = CODEC.decode_request(CODEC.peek(raw), {})
    data = CODEC.stream_encoder(reply_to(request)).feed([Started(id="x", model="y")])

    assert all(line.startswith((b"event: ", b"data: {")) for line in data.split(b"\n") if line)


def test_foreign_seals_do_not_pass_to_the_vendor() -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {
            "type": "reasoning",
            "id": "rs_gw1_x_0",
            "summary": [],
            "encrypted_content": "gw1.anthropic_messages.c2VhbA==",
        },
        {"type": "reasoning", "id": "rs_gw1_x_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
    ]
    data = msgspec.json.encode({"model": "m", "input": items})
    sent = msgspec.json.decode(CODEC.splice(CODEC.peek(data), target(), {}).body)

    assert sent["input"] == [items[0], items[3]]


def test_only_own_seals_go_upstream_when_translated() -> None:
    request = decode(input=[
        {"type": "reasoning", "id": "rs_gw1_x_0", "summary": [], "encrypted_content": "gw1.gemini.c2VhbA=="},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": []},
        {"role": "assistant", "content": "ok"}, {"role": "user", "content": "go on"},
    ])  # fmt: skip
    sent = body(request)

    assert sent["input"][0] == {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    assert [item["type"] for item in sent["input"]] == ["reasoning", "message", "message"]
    stored = body(msgspec.structs.replace(request, store=True))
    assert [item.get("id") for item in stored["input"]] == ["rs_1", "rs_2", None, None]


def test_counting_asks_without_what_does_not_count() -> None:
    outgoing = CODEC.encode_count(decode(temperature=0.5, instructions="x", store=True), target(), {})

    assert outgoing is not None
    assert outgoing.path == "/responses/input_tokens"
    assert set(msgspec.json.decode(outgoing.body)) == {"model", "input", "instructions"}
    assert CODEC.decode_count(b'{"object":"response.input_tokens","input_tokens":7}') == 7


def test_an_answer_that_passes_is_renamed_and_its_usage_read() -> None:
    answer = b'{"id": "r", "model": "up-1", "status": "completed", "output": [], "usage": {"input_tokens": 3, "output_tokens": 5}}'
    passed, usage = CODEC.splice_response(answer, "public/name")

    assert passed == answer.replace(b'"up-1"', b'"public/name"')
    assert usage is not None
    assert usage.total == 8


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b"{}", b'{"status":"failed","error":{"code":"server_error","message":"x"}}']
)
def test_what_is_no_answer_does_not_pass_for_one(answer: bytes) -> None:
    with pytest.raises(GatewayError):
        CODEC.splice_response(answer, "m")
    with pytest.raises(GatewayError):
        CODEC.decode_response(answer, Outgoing("/", (), b"", stream=False))


def test_an_empty_delta_beside_an_escaped_character_is_no_fault() -> None:
    """Servers that escape all that is not ASCII write a character beyond the first plane as two halves."""
    item = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "hi \U0001f600"}]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r"}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "message", "id": "m", "content": []},
        },
        {"type": "response.output_item.done", "output_index": 0, "delta": None, "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]
    outgoing = Outgoing("/", (), b"", stream=True)
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    found, error = decode_stream(CODEC.stream_decoder(outgoing), [stream])

    assert error is None
    assert collect(found).choices[0].content == (Text(text="hi \U0001f600"),)
