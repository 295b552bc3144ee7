"""Recorded streams of Chat providers, sound and odd: what each is read as, under any split, and what the tap makes of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Event, collect
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import Outgoing
from runtime.protocols.openai_chat import OpenAIChat
from tests.protocols.openai_chat.support import ANSWER
from tests.support.each import each
from tests.support.stream import chop, chunks_of, cuts, decode_stream, tap_stream

WIRE = Path(__file__).parents[2] / "fixtures/wire/openai_chat"
CASES = sorted(path.stem for path in WIRE.glob("*.sse"))
CODEC = OpenAIChat()
OUTGOING = Outgoing("/v1/chat/completions", (), b"", stream=True)

FAILED = {
    "broken-json", "call-without-name", "cut", "done-without-finish", "error-first", "error-named", "error-text",
    "finish-error", "html", "mid-error", "nothing", "two-choices-one-finish",
}  # fmt: skip


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
        outcome = decode(reads)

        assert whole == outcome


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10**6), max_size=12))
def test_random_splits_give_the_same_events(case: str, places: list[int]) -> None:
    data = stream(case)

    assert decode([data]) == decode(cuts(data, places))


def test_failed_transcripts_are_the_ones_that_should_fail() -> None:
    assert {case for case in CASES if decode([stream(case)]).error} == FAILED


@each([case for case in CASES if case not in FAILED])
def test_sound_transcript_keeps_the_grammar_of_events(case: str) -> None:
    """`collect` refuses a stream that breaks it."""
    response = collect(decode([stream(case)]).events)

    assert response.choices


@each([case for case in CASES if case not in FAILED])
def test_tap_forwards_every_byte_but_the_model_under_every_split(case: str) -> None:
    data = stream(case)
    expected = ended(renamed(data))
    for reads in chop(data):
        out, error = tap_stream(CODEC.stream_tap(ANSWER), reads)

        assert error is None
        assert expected == out


def ended(data: bytes) -> bytes:
    """With what clients wait for, where the provider left it out."""
    end = b"data: [DONE]\n\n"
    return data if b"[DONE]" in data else data.removesuffix(b"\n\n") + b"\n\n" + end


def renamed(data: bytes) -> bytes:
    """The transcript with each event's own model replaced: those are all the model fields written with plain quotes."""
    if b'"model": "up-1"' in data:
        return data.replace(b', "model": "up-1", "choices"', b', "model": "public/name", "choices"')
    out = data.replace(b'"model":"up-1"', b'"model":"public/name"').replace(b'"model":"",', b'"model":"public/name",')
    return out.replace(b'"model\ndata: ":"up-1"', b'"model\ndata: ":"public/name"')


@each([case for case in CASES if case not in FAILED])
def test_tap_knows_what_the_decoder_knows(case: str) -> None:
    events = decode([stream(case)]).events
    reported = [event.usage for event in events if event.__struct_config__.tag == "usage"]
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
        assert b'"error"' not in out


@pytest.mark.parametrize(
    "data", [stream("done-without-finish"), stream("two-choices-one-finish") + b"data: [DONE]\n\n"], ids=["none", "one"]
)
def test_tap_forwards_no_done_before_every_choice_has_ended(data: bytes) -> None:
    """Clients stop there: what is told behind it nobody hears."""
    for reads in chop(data):
        out, error = tap_stream(CODEC.stream_tap(ANSWER), reads)

        assert isinstance(error, UpstreamProtocolError)
        assert renamed(data).removesuffix(b"data: [DONE]\n\n") == out
        assert isinstance(decode(reads).error, str)


def test_tap_raises_the_first_event_s_error_before_anything_is_forwarded() -> None:
    tap = CODEC.stream_tap(ANSWER)

    with pytest.raises(GatewayError, match="Rate limit reached") as caught:
        tap.feed(stream("error-first"))
    assert caught.value.kind == "rate_limit"


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10**6), max_size=12))
def test_tap_gives_the_same_bytes_under_random_splits(case: str, places: list[int]) -> None:
    data = stream(case)
    whole, error = tap_stream(CODEC.stream_tap(ANSWER), [data])
    split, other = tap_stream(CODEC.stream_tap(ANSWER), cuts(data, places))

    assert whole == split
    assert type(error) is type(other)
