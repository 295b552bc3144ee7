"""Recorded streams of Ollama providers, sound and odd: what each is read as, under any split, and what the tap makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Event, PartStarted, UsageReported, collect
from runtime.errors import GatewayError
from runtime.protocols.framing import MAX_FRAME_BYTES
from tests.protocols.ollama_chat.support import ANSWER, CODEC, OUTGOING, lines_of
from tests.support.each import each
from tests.support.stream import chop, chunks_of, cuts, decode_stream, tap_stream

WIRE = Path(__file__).parents[2] / "fixtures/wire/ollama_chat"
CASES = sorted(path.stem for path in WIRE.glob("*.ndjson"))

FAILED = {
    "array", "broken-json", "call-without-name", "cut", "cut-in-line", "error-and-message", "error-empty", "error-first",
    "error-object", "html", "mid-error", "no-message", "nothing",
}  # fmt: skip
SOUND = [case for case in CASES if case not in FAILED]


class Outcome(msgspec.Struct, omit_defaults=True):
    """What a transcript is read as: the golden file beside it."""

    events: list[Event] = []
    error: str | None = None
    message: str | None = None


def stream(case: str) -> bytes:
    return (WIRE / f"{case}.ndjson").read_bytes()


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
    assert collect(decode([stream(case)]).events).choices


@each(SOUND)
def test_sound_transcript_reaches_clients_again(case: str) -> None:
    """What is encoded is read as the same answer, and by the vendor's own types."""
    before = decode([stream(case)]).events
    encoder = CODEC.stream_encoder(ANSWER)
    data = b"".join(encoder.feed([event]) for event in before)
    lines = lines_of(data)
    first, second = collect(before).choices[0], collect(decode([data]).events).choices[0]

    assert {"public/name"} == {line["model"] for line in lines}
    assert [True] == [line["done"] for line in lines if line["done"]]
    assert first.finish == second.finish
    assert sorted(map(repr, first.content)) == sorted(map(repr, second.content))


@each(SOUND)
def test_tap_forwards_every_byte_but_the_model_under_every_split(case: str) -> None:
    data = stream(case)
    expected = re.sub(
        rb'^\{"model": ?"up-1"', lambda found: found[0].replace(b"up-1", b"public/name"), data, flags=re.MULTILINE
    )
    if case == "after-done":  # nobody reads what comes behind the end
        expected = expected[: expected.rindex(b'{"model"')] + data[data.rindex(b'{"model"') :]
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
        begun = any(isinstance(event, PartStarted) for event in events)
        assert tap.started == begun or case == "half-a-character"  # whose other half never comes
        assert (reported[-1] if reported else None) == tap.usage


@each(sorted(FAILED))
def test_tap_never_takes_a_failed_stream_for_a_whole_one(case: str) -> None:
    data = stream(case)
    for reads in ([data], chunks_of(data, 1)):
        tap = CODEC.stream_tap(ANSWER)
        out, error = tap_stream(tap, reads)

        assert isinstance(error, GatewayError)
        assert not tap.complete
        assert b'"error"' not in out


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10**6), max_size=12))
def test_tap_gives_the_same_bytes_under_random_splits(case: str, places: list[int]) -> None:
    data = stream(case)
    whole, error = tap_stream(CODEC.stream_tap(ANSWER), [data])
    split, other = tap_stream(CODEC.stream_tap(ANSWER), cuts(data, places))

    assert whole == split
    assert type(error) is type(other)


def test_tap_raises_the_first_line_s_error_before_anything_is_forwarded() -> None:
    with pytest.raises(GatewayError, match="not found") as caught:
        CODEC.stream_tap(ANSWER).feed(stream("error-first"))
    assert "model_not_found" == caught.value.kind


def test_a_giant_line_is_refused_by_decoder_and_tap_before_it_ends() -> None:
    part = b'{"model":"up-1","message":{"content":"' + b"x" * (1 << 20)
    decoder, tap = CODEC.stream_decoder(OUTGOING), CODEC.stream_tap(ANSWER)
    for reader in (decoder, tap):
        with pytest.raises(GatewayError, match="more than"):
            for _ in range(MAX_FRAME_BYTES // (1 << 20) + 1):
                reader.feed(part)
