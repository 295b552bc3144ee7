"""Streams of this protocol, sound and odd: what each is read as, under any split, and what the tap makes of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Event, UsageReported, collect
from runtime.errors import GatewayError
from tests.protocols.anthropic_messages.given import ANSWER, CODEC, OUTGOING
from tests.support.each import each
from tests.support.stream import chop, chunks_of, cuts, decode_stream, tap_stream

WIRE = Path(__file__).parents[2] / "fixtures/wire/anthropic_messages"
CASES = sorted(path.stem for path in WIRE.glob("*.sse"))
FAILED = {
    "begins-in-the-middle", "broken-json", "cut-before-delta", "cut-in-event", "cut-in-text", "delta-without-block",
    "error-first", "error-in-text", "no-stop-reason", "not-a-stream", "page-not-stream",
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

    assert msgspec.json.decode(path.read_bytes(), type=Outcome) == outcome


@each(CASES)
def test_any_split_gives_the_same_events(case: str) -> None:
    data = stream(case)
    whole = decode([data])
    for reads in chop(data):
        assert whole == decode(reads)


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

    assert len(response.choices) == 1


@each(SOUND)
def test_a_sound_stream_cut_before_its_stop_reason_never_looks_complete(case: str) -> None:
    data = stream(case)
    before = max(data.find(b"message_delta") - 20, 0)
    for length in range(0, 100, 7):
        part = data[: before * length // 100]
        outcome = decode([part])
        _, error = tap_stream(CODEC.stream_tap(ANSWER), [part])

        assert outcome.error == "UpstreamProtocolError"
        assert isinstance(error, GatewayError)


@each(SOUND)
def test_tap_forwards_every_byte_but_the_model_under_every_split(case: str) -> None:
    data = stream(case)
    expected = ended(renamed(data))
    for reads in chop(data):
        out, error = tap_stream(CODEC.stream_tap(ANSWER), reads)

        assert error is None
        assert expected == out


def ended(data: bytes) -> bytes:
    """With what clients wait for, where the provider left it out."""
    end = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    return data if b'"message_stop"' in data else data.removesuffix(b"\n\n") + b"\n\n" + end


def renamed(data: bytes) -> bytes:
    for before in (b'"model":"claude-opus-5-5"', b'"model": "claude-opus-5-5"'):
        data = data.replace(before, before.replace(b"claude-opus-5-5", b"public/name"), 1)
    return data


@each(SOUND)
def test_tap_knows_what_the_decoder_knows(case: str) -> None:
    outcome = decode([stream(case)])
    reported = [event.usage for event in outcome.events if isinstance(event, UsageReported)]
    for reads in ([stream(case)], chunks_of(stream(case), 5)):
        tap = CODEC.stream_tap(ANSWER)
        tap_stream(tap, reads)

        assert tap.complete
        assert tap.started == any(event.__struct_config__.tag == "part_started" for event in outcome.events)
        assert (reported[-1] if reported else None) == tap.usage


@each(sorted(FAILED - {"broken-json", "delta-without-block"}))
def test_tap_fails_as_the_decoder_does_and_forwards_no_error(case: str) -> None:
    data = stream(case)
    for reads in (chunks_of(data, size) for size in (1, 7, 64, 10**6)):
        tap = CODEC.stream_tap(ANSWER)
        out, error = tap_stream(tap, reads)

        assert isinstance(error, GatewayError)
        assert not tap.complete
        assert b"error" not in out


def test_tap_raises_the_error_in_place_of_the_first_event_before_anything_is_forwarded() -> None:
    tap = CODEC.stream_tap(ANSWER)

    with pytest.raises(GatewayError, match="exceeded your limit") as caught:
        tap.feed(stream("error-first"))
    assert caught.value.kind == "rate_limit"


def test_tap_forwards_only_whole_events_so_that_an_error_event_can_follow_a_cut() -> None:
    tap = CODEC.stream_tap(ANSWER)
    out, error = tap_stream(tap, chunks_of(stream("cut-in-event"), 3))

    assert error is not None
    assert out.endswith(b"\n\n")
    assert out.count(b"content_block_delta") == 0
