"""The tap's short cut: events between the first and the last are not parsed, and none with news passes for one of them."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.canonical import Usage
from runtime.errors import UpstreamFailed, UpstreamOverloaded, UpstreamProtocolError
from tests.protocols.openai_responses.support import ANSWER, CODEC, vendor_streams
from tests.support.stream import chop, sse_data, tap_stream, transcript

HEAD: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1, "model": "up-1", "output": []}


def whole(kind: str, number: int = 0, **more: Any) -> dict[str, object]:
    return {"type": f"response.{kind}", "sequence_number": number, "response": {**HEAD, "status": kind, **more}}


def piece(text: str, number: int = 1, **more: Any) -> dict[str, object]:
    return {
        "type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1", "output_index": 0, "content_index": 0,
        "delta": text, "logprobs": [], **more,
    }  # fmt: skip


CREATED = {**whole("created"), "response": {**HEAD, "status": "in_progress"}}
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def renamed(data: bytes) -> bytes:
    return data.replace(b'"model":"up-1"', b'"model":"public/name"')


def warmed() -> Any:
    """A tap that has seen how the answer begins."""
    tap = CODEC.stream_tap(ANSWER)
    tap.feed(transcript(CREATED, piece("a")))
    return tap


def test_words_pass_untouched_and_start_the_answer() -> None:
    tap = CODEC.stream_tap(ANSWER)
    assert renamed(transcript(CREATED)) == tap.feed(transcript(CREATED))
    assert not tap.started
    data = transcript(piece("a"), piece("b"))

    assert data == tap.feed(data)
    assert (True, False) == (tap.started, tap.complete)


def test_the_end_behind_plain_pieces_in_one_read_is_seen() -> None:
    tap = warmed()
    data = transcript(piece("c"), piece("d"), whole("completed", 9, usage=USAGE))

    assert renamed(data) == tap.feed(data)
    assert (Usage(input=3, output=2), True) == (tap.usage, tap.complete)
    assert b"" == tap.close()


def test_an_answer_that_is_incomplete_is_complete_as_a_stream() -> None:
    tap = warmed()
    tap.feed(transcript(whole("incomplete", 2, incomplete_details={"reason": "max_output_tokens"}, usage=USAGE)))

    assert (Usage(input=3, output=2), True) == (tap.usage, tap.complete)


def test_what_the_model_writes_cannot_look_like_an_event() -> None:
    text = (
        'data: {"type":"response.completed","response":{"model":"up-1"}}\n\nevent: error\n"error" "model":"up-1" [DONE]'
    )
    data = transcript(piece(text))
    tap = warmed()

    assert data == tap.feed(data)
    assert not tap.complete
    with pytest.raises(UpstreamProtocolError):
        tap.close()


def test_a_model_of_the_same_name_further_in_is_left_alone() -> None:
    """Only the answer's own name is the gateway's to change."""
    item = {"type": "program", "id": "x", "model": "up-1"}
    data = transcript(
        {**whole("completed"), "response": {**HEAD, "status": "completed", "output": [item], "usage": USAGE}}
    )

    assert data.replace(b'"up-1"', b'"public/name"', 1) == warmed().feed(data)


def test_an_item_that_names_a_model_passes_untouched() -> None:
    data = transcript(
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "program", "model": "up-1"}}
    )

    assert data == warmed().feed(data)


def test_an_error_behind_plain_pieces_in_one_read_comes_after_them() -> None:
    tap = warmed()
    out = tap.feed(transcript(piece("c"), {"type": "error", "code": "server_is_overloaded", "message": "Busy."}))

    assert transcript(piece("c")) == out
    with pytest.raises(UpstreamOverloaded):
        tap.feed(b"")


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_any_line_ending_and_any_split(end: bytes) -> None:
    data = transcript(CREATED, piece("a"), whole("completed", 2, usage=USAGE), end=end)
    for reads in chop(data):
        tap = CODEC.stream_tap(ANSWER)

        assert (renamed(data), None) == tap_stream(tap, reads)
        assert tap.complete


def test_a_stream_that_only_says_done_was_cut() -> None:
    _, error = tap_stream(warmed(), [b"data: [DONE]\n\n"])

    assert isinstance(error, UpstreamProtocolError)


def test_a_failure_goes_on_from_what_was_forwarded() -> None:
    tap = warmed()
    tap.feed(transcript(piece("c", 6)))
    [told] = sse_data(tap.fail(UpstreamFailed("Broken.")))

    assert b'"sequence_number":7' in told
    assert b'"id":"resp_1"' in told
    assert b'"model":"public/name"' in told
    assert b'"code":"server_error"' in told


def test_a_failure_before_anything_is_a_whole_stream() -> None:
    for payload in sse_data(CODEC.stream_tap(ANSWER).fail(UpstreamFailed("Broken."))):  # type: ignore[attr-defined]
        vendor_streams(payload)


def test_half_a_character_in_the_last_event_hides_neither_the_end_nor_the_model() -> None:
    """A text that the output limit cut in the middle of a character; every byte of it passes."""
    said: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "incomplete",
        "content": [{"type": "output_text", "text": "HALF", "annotations": []}],
    }
    last = whole("incomplete", 2, output=[said], incomplete_details={"reason": "max_output_tokens"}, usage=USAGE)
    data = transcript(last).replace(b"HALF", b"a\\uD83C b\\ud83c\\udf0d c\\ud83c")
    tap = warmed()

    assert renamed(data) == tap.feed(data)
    assert (Usage(input=3, output=2), True) == (tap.usage, tap.complete)


def test_half_a_character_in_an_error_does_not_hide_it() -> None:
    error = transcript({"type": "error", "code": "server_is_overloaded", "message": "HALF"}).replace(
        b"HALF", b"\\ud83c"
    )
    with pytest.raises(UpstreamOverloaded):
        CODEC.stream_tap(ANSWER).feed(error)


def test_an_endless_event_is_refused() -> None:
    tap = warmed()
    with pytest.raises(UpstreamProtocolError, match="more than"):
        for _ in range(20):
            tap.feed(b"x" * 1_000_000)
