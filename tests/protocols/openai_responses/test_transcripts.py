"""Recorded streams of Responses providers, sound and odd: what each is read as, under any split, and what the tap makes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.protocols.openai_responses import FACTS
from runtime.canonical import Event, UsageReported, collect
from runtime.errors import GatewayError
from tests.protocols.openai_responses.support import ANSWER, CODEC, OUTGOING, vendor_answers, vendor_streams
from tests.support.each import each
from tests.support.stream import chop, chunks_of, cuts, decode_stream, sse_data, tap_stream

WIRE = Path(__file__).parents[2] / "fixtures/wire/openai_responses"
CASES = sorted(path.stem for path in WIRE.glob("*.sse"))

FAILED = {
    "broken-json", "call-without-name", "cut", "cut-in-event", "done-without-end", "error-envelope", "error-event",
    "error-first", "error-nested", "failed-context", "failed-silent", "html", "mid-error", "nothing",
}  # fmt: skip
SOUND = [case for case in CASES if case not in FAILED]


class Outcome(msgspec.Struct, omit_defaults=True):
    """What a transcript is read as: the golden file beside it."""

    events: list[Event] = []
    error: str | None = None
    message: str | None = None


def stream(case: str) -> bytes:
    return (WIRE / f"{case}.sse").read_bytes()


def decode(reads: list[bytes]) -> Outcome:
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), reads)
    return Outcome(events, type(error).__name__ if error else None, error.message if error else None)


@pytest.mark.parametrize("case", CASES)
def test_transcript_is_read_as_its_golden_file_says(case: str, golden: bool) -> None:
    path = WIRE / f"{case}.json"
    outcome = decode([stream(case)])
    if golden:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")

    assert msgspec.json.decode(path.read_bytes()) == msgspec.json.decode(msgspec.json.encode(outcome))


@each(CASES)
def test_any_split_gives_the_same_events(case: str) -> None:
    data = stream(case)
    whole = decode([data])
    for reads in chop(data):
        outcome = decode(reads)

        assert whole == outcome


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10**6), max_size=12))
def test_random_splits_give_the_same_events(case: str, places: list[int]) -> None:
    data = stream(case)

    assert decode([data]) == decode(cuts(data, places))


def test_failed_transcripts_are_the_ones_that_should_fail() -> None:
    assert {case for case in CASES if decode([stream(case)]).error} == FAILED


@each(SOUND)
def test_sound_transcript_keeps_the_grammar_of_events(case: str) -> None:
    """`collect` refuses a stream that breaks it."""
    response = collect(decode([stream(case)]).events)

    assert response.choices


@each(SOUND)
def test_sound_transcript_reaches_a_client_as_the_whole_ladder(case: str) -> None:
    """Every event is one of the vendor's, in the vendor's order, numbered; the client reads what was sent."""
    events = decode([stream(case)]).events
    encoder = CODEC.stream_encoder(ANSWER)
    data = b"".join(encoder.feed([event]) for event in events)
    names = "".join(f"{name.decode()} " for name in re.findall(rb"^event: (.*)$", data, re.MULTILINE))
    numbers: list[int] = []
    for payload in sse_data(data):
        vendor_streams(payload)
        numbers.append(msgspec.json.decode(payload)["sequence_number"])

    assert re.fullmatch(FACTS.order, names)
    assert list(range(len(numbers))) == numbers
    assert collect(events).choices == collect(decode([data]).events).choices


@each(SOUND)
def test_streamed_and_complete_answers_say_the_same(case: str) -> None:
    events = decode([stream(case)]).events
    whole = CODEC.encode_response(collect(events), ANSWER)
    encoder = CODEC.stream_encoder(ANSWER)
    last: dict[str, Any] = msgspec.json.decode(sse_data(encoder.feed(events))[-1])["response"]

    vendor_answers(whole)
    assert last == msgspec.json.decode(whole)
    assert collect(events).choices == CODEC.decode_response(whole, OUTGOING).choices


@each([case for case in SOUND if case not in {"never-done", "only-output-text", "queued"}])
def test_the_last_event_read_alone_says_what_the_stream_said(case: str) -> None:
    """Where a sound server repeats the answer in it."""
    data = sse_data(stream(case).replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf").replace(b"data: [DONE]", b""))
    last = msgspec.json.encode(msgspec.json.decode(data[-1])["response"])
    streamed = collect(decode([stream(case)]).events)

    if case not in {"completed-with-other-call-id", "call-without-call-id"}:
        told = CODEC.decode_response(last, OUTGOING)
        assert streamed.choices[0].content == told.choices[0].content
        assert streamed.usage == told.usage


@each(SOUND)
def test_tap_forwards_every_byte_but_the_model_under_every_split(case: str) -> None:
    data = stream(case)
    expected = data.replace(b'"model":"up-1"', b'"model":"public/name"')
    expected = expected.replace(b'"model": "up-1"', b'"model": "public/name"')
    for reads in chop(data):
        out, error = tap_stream(CODEC.stream_tap(ANSWER), reads)

        assert error is None
        assert expected == out


@each(SOUND)
def test_tap_knows_what_the_decoder_knows(case: str) -> None:
    events = decode([stream(case)]).events
    reported = [event.usage for event in events if isinstance(event, UsageReported)]
    for reads in ([stream(case)], chunks_of(stream(case), 5)):
        tap = CODEC.stream_tap(ANSWER)
        tap_stream(tap, reads)

        assert tap.complete
        assert tap.started
        assert (reported[-1] if reported else None) == tap.usage


@each(sorted(FAILED - {"call-without-name"}))
def test_tap_never_takes_a_failed_stream_for_a_whole_one(case: str) -> None:
    data = stream(case)
    for reads in ([data], chunks_of(data, 1)):
        tap = CODEC.stream_tap(ANSWER)
        out, error = tap_stream(tap, reads)

        assert isinstance(error, GatewayError)
        assert not tap.complete
        assert b"response.failed" not in out


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10**6), max_size=12))
def test_tap_gives_the_same_bytes_under_random_splits(case: str, places: list[int]) -> None:
    data = stream(case)
    whole, error = tap_stream(CODEC.stream_tap(ANSWER), [data])
    split, other = tap_stream(CODEC.stream_tap(ANSWER), cuts(data, places))

    assert whole == split
    assert type(error) is type(other)
