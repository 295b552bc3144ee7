"""Streams of this protocol, sound and odd: what each is read as, under any split, and what the tap makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Event, PartStarted, UsageReported, collect
from runtime.errors import GatewayError, UpstreamUnavailable
from runtime.protocols.base import Answer, FailingTap
from tests.protocols.gemini.given import ANSWER, CODEC, OUTGOING
from tests.support.each import each
from tests.support.stream import chop, chunks_of, cuts, decode_stream, tap_stream

WIRE = Path(__file__).parents[2] / "fixtures/wire/gemini"
CASES = sorted(path.stem for path in WIRE.glob("*.sse"))
FAILED = {
    "array-cut", "array-error", "broken-json", "call-without-name", "cut", "cut-in-event", "error-first", "error-plain",
    "malformed-call", "mid-error", "not-an-object", "nothing", "page", "two-candidates-one-finish", "unexpected-tool-call",
}  # fmt: skip
SOUND = [case for case in CASES if case not in FAILED]
REFRAMED = {
    "array",
    "array-compact",
    "bom-comments-events",
    "done-behind",
    "many-data-lines",
    "whole-object",
    "cut-behind-finish",
}
LIST = msgspec.structs.replace(ANSWER, variant="array")


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


def tapped(reads: list[bytes], answer: Answer = ANSWER) -> tuple[bytes, GatewayError | None]:
    return tap_stream(CODEC.stream_tap(answer), reads)


@pytest.mark.parametrize("case", CASES)
def test_transcript_is_read_as_its_golden_file_says(case: str, golden: bool) -> None:
    path = WIRE / f"{case}.json"
    outcome = decode([stream(case)])
    if golden:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")

    assert msgspec.json.decode(path.read_bytes(), type=Outcome) == outcome


@each(CASES)
def test_any_split_gives_the_same_events(case: str) -> None:
    data = stream(case)
    whole = decode([data])
    for reads in chop(data):
        assert whole == decode(reads)


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10**6), max_size=12))
def test_random_splits_give_the_same_events_and_the_same_bytes(case: str, places: list[int]) -> None:
    data = stream(case)
    whole, error = tapped([data])
    split, other = tapped(cuts(data, places))

    assert decode([data]) == decode(cuts(data, places))
    assert whole == split
    assert type(error) is type(other)


def test_failed_transcripts_are_the_ones_that_should_fail() -> None:
    assert {case for case in CASES if decode([stream(case)]).error} == FAILED


@each(SOUND)
def test_sound_transcript_keeps_the_grammar_of_events(case: str) -> None:
    """`collect` refuses a stream that breaks it."""
    assert collect(decode([stream(case)]).events).choices


@each(SOUND)
def test_a_sound_stream_cut_before_its_first_reason_never_looks_complete(case: str) -> None:
    data = stream(case)
    before = min(at for word in (b"finishReason", b"blockReason") if (at := data.find(word)) >= 0)
    for length in range(0, 100, 7):
        part = data[: before * length // 100]

        assert decode([part]).error == "UpstreamProtocolError"
        assert isinstance(tapped([part])[1], GatewayError)


@each([case for case in SOUND if case not in REFRAMED])
def test_tap_forwards_every_byte_but_the_model_under_every_split(case: str) -> None:
    data = stream(case)
    expected = data.replace(b'"modelVersion":"up-1"', b'"modelVersion":"public/name"')
    expected = expected.replace(b'"modelVersion": "up-1"', b'"modelVersion": "public/name"')
    for reads in chop(data):
        out, error = tapped(reads)

        assert error is None
        assert expected == out


@each(sorted(REFRAMED))
def test_pitfall_140_tap_forwards_bare_data_frames_only(case: str) -> None:
    for reads in chop(stream(case)):
        out, error = tapped(reads)

        assert error is None
        assert {line[:7] for line in out.splitlines() if line} == {b"data: {"}
        assert decode([out]).events == renamed(decode([stream(case)]).events)


def renamed(events: list[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, model="public/name") if event.__struct_config__.tag == "started" else event
            for event in events]  # fmt: skip


@each(SOUND)
def test_tap_tells_a_client_that_asked_for_a_list_the_same_in_a_list(case: str) -> None:
    for reads in ([stream(case)], chunks_of(stream(case), 5)):
        out, error = tapped(reads, LIST)

        assert error is None
        for item in msgspec.json.decode(out, type=list[msgspec.Raw]):
            assert msgspec.json.decode(item, type=dict[str, msgspec.Raw])
        assert decode([out]).events == renamed(decode([stream(case)]).events) or case == "no-response-id"


@each(SOUND)
def test_tap_knows_what_the_decoder_knows(case: str) -> None:
    events = decode([stream(case)]).events
    reported = [event.usage for event in events if isinstance(event, UsageReported)]
    for reads in ([stream(case)], chunks_of(stream(case), 5)):
        tap = CODEC.stream_tap(ANSWER)
        tap_stream(tap, reads)

        assert tap.complete
        assert tap.started == any(isinstance(event, PartStarted) for event in events)
        assert (reported[-1] if reported else None) == tap.usage


@each(sorted(FAILED - {"call-without-name", "malformed-call"}))
def test_tap_fails_as_the_decoder_does_and_forwards_no_error(case: str) -> None:
    for reads in (chunks_of(stream(case), size) for size in (1, 7, 64, 10**6)):
        tap = CODEC.stream_tap(ANSWER)
        out, error = tap_stream(tap, reads)

        assert isinstance(error, GatewayError)
        assert not tap.complete
        assert b"error" not in out


def test_tap_raises_the_error_in_place_of_the_first_event_before_anything_is_forwarded() -> None:
    tap = CODEC.stream_tap(ANSWER)

    with pytest.raises(GatewayError, match="exceeded your current quota") as caught:
        tap.feed(stream("error-first"))
    assert caught.value.kind == "rate_limit"
    assert caught.value.retry_after_s == 34.07


def test_tap_forwards_a_failure_of_the_vendors_own_once_the_answer_has_begun() -> None:
    out, error = tapped([stream("malformed-call")])

    assert error is None
    assert b"MALFORMED_FUNCTION_CALL" in out


def test_pitfall_034_a_finish_reason_in_an_early_piece_ends_nothing() -> None:
    response = collect(decode([stream("finish-early")]).events)

    assert "One two three." == "".join(part.text for part in response.choices[0].content)  # type: ignore[union-attr]


@pytest.mark.parametrize("variant", ["sse", "array"])
def test_what_waits_for_the_end_of_the_stream_goes_out_before_an_error(variant: str) -> None:
    tap = CODEC.stream_tap(msgspec.structs.replace(ANSWER, variant=variant))
    assert isinstance(tap, FailingTap)
    told = tap.feed(stream("plain"))
    assert b"finishReason" not in told
    told += tap.fail(UpstreamUnavailable("it broke"))

    pieces = (
        msgspec.json.decode(told) if variant == "array" else [json(event) for event in told.split(b"\r\n\r\n")[:-1]]
    )
    assert "finishReason" in pieces[-2]["candidates"][0]
    assert "UNAVAILABLE" == pieces[-1]["error"]["status"]


def json(event: bytes) -> Any:
    return msgspec.json.decode(event.removeprefix(b"data: "))


@each(sorted(set(SOUND) - REFRAMED - {"bare-cr", "finish-unknown", "unknown-part"}))
def test_sound_transcripts_are_what_the_vendors_sdk_reads(case: str) -> None:
    for event in stream(case).replace(b"\r", b"").split(b"\n\n"):
        if event:
            types.GenerateContentResponse.model_validate_json(event.removeprefix(b"data: "))
