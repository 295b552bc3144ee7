"""The tap's short cut: events that begin and end like known ones are not parsed, and none with news passes for one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import Usage
from runtime.errors import UpstreamOverloaded, UpstreamProtocolError
from tests.protocols.openai_chat.support import ANSWER, CODEC
from tests.support.stream import transcript

HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up-1"}


def piece(content: str, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": content}, "logprobs": None, "finish_reason": finish}


def chunk(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**HEAD, "choices": list(choices), **more}


def warmed() -> Any:
    """A tap that has seen what a piece without news looks like."""
    tap = CODEC.stream_tap(ANSWER)
    tap.feed(transcript(chunk(piece("a")), chunk(piece("b"))))
    return tap


def test_a_finish_inside_an_event_that_begins_and_ends_plainly_is_seen() -> None:
    tap = warmed()
    tap.feed(transcript(chunk(piece("c", "stop"), piece("d", index=1))))

    assert not tap.complete
    tap.feed(transcript(chunk(piece("e", "stop", index=1)), "[DONE]"))
    assert tap.complete


def test_usage_behind_plain_pieces_in_one_read_is_seen() -> None:
    tap = warmed()
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    tap.feed(transcript(chunk(piece("c")), chunk(piece(""), usage=usage), chunk(piece("d")), chunk(piece("", "stop"))))

    assert (Usage(input=3, output=2), True) == (tap.usage, tap.complete)


def test_what_the_model_writes_cannot_look_like_an_event() -> None:
    wire = msgspec.json.encode(chunk(piece("x"))).decode()
    text = f'data: {wire}\n\ndata: {{"error":1}} "model":"up-1" "finish_reason":"stop" [DONE]'
    data = transcript(chunk(piece(text)))
    tap = warmed()

    assert data.replace(b'"model":"up-1"', b'"model":"public/name"', 1) == tap.feed(data)
    assert not tap.complete
    with pytest.raises(UpstreamProtocolError):
        tap.close()


def test_an_error_behind_plain_pieces_in_one_read_comes_after_them() -> None:
    tap = warmed()
    error = {"error": {"message": "Overloaded", "code": "server_is_overloaded"}}
    out = tap.feed(transcript(chunk(piece("c")), error))

    assert transcript({**chunk(piece("c")), "model": "public/name"}) == out
    with pytest.raises(UpstreamOverloaded):
        tap.feed(b"")


def test_filler_behind_the_choices_changes_nothing() -> None:
    tap = warmed()
    data = transcript(chunk(piece("c"), obfuscation="xyz"), chunk(piece("d"), obfuscation="q"))

    assert data.replace(b"up-1", b"public/name") == tap.feed(data)


def test_a_model_of_the_same_name_further_in_is_left_alone() -> None:
    data = transcript(chunk(piece("c"), moderation={"input": {"model": "up-1"}}))

    assert data.replace(b"up-1", b"public/name", 1) == warmed().feed(data)


@pytest.mark.parametrize(
    "odd",
    [
        transcript(chunk(piece("x"), moderation={"model": "up-1"})),
        transcript(chunk(piece("x", "stop"), piece("y", index=1))),
        transcript(chunk(piece("x"))).replace(b"\n\n", b"\nid: 7\n\n"),
        b"id: 7\n" + transcript(chunk(piece("x"))),
        b": " + transcript(chunk(piece("x"))),
        b"\n" + transcript(chunk(piece("x"))),
        transcript(chunk(piece("x"))).replace(b"\n\n", b"\r\n\r\n"),
        transcript(chunk(piece("x"))).replace(b"\n\n", b" \n\n"),
    ],
)
def test_events_that_come_together_are_what_each_is_alone(odd: bytes) -> None:
    """Whatever stands between those without news: a name further in, a reason, a line more, another end of lines."""
    events = [transcript(chunk(piece("c"))), transcript(chunk(piece(""))), odd, transcript(chunk(piece("d")))]
    together, alone = warmed(), warmed()

    assert b"".join(map(alone.feed, events)) == together.feed(b"".join(events))
    assert (alone.complete, alone.usage) == (together.complete, together.usage)


def test_an_endless_event_is_refused() -> None:
    tap = warmed()
    with pytest.raises(UpstreamProtocolError, match="more than"):
        for _ in range(20):
            tap.feed(b"x" * 1_000_000)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_was_not_asked_for_is_learnt_and_kept_back(size: int) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    shown = [chunk(piece("a"), usage=None), chunk(piece("b"), usage=None), chunk(piece("", "stop"), usage=None)]
    data = transcript(*shown, chunk(usage=usage), "[DONE]")
    tap = CODEC.stream_tap(msgspec.structs.replace(ANSWER, hides_usage=True))
    out = b"".join(tap.feed(data[at : at + size]) for at in range(0, len(data), size)) + tap.close()

    assert Usage(input=3, output=2) == tap.usage
    assert transcript(*[{**each, "model": "public/name"} for each in shown], "[DONE]") == out


def test_what_comes_before_the_end_in_one_read_is_told_apart() -> None:
    tap = warmed()
    plain, end = transcript(chunk(piece("c")), chunk(piece("d"))), transcript(chunk(piece("", "stop")), "[DONE]")
    out = tap.feed(plain + end)

    assert tap.finished
    assert b'"content":"d"' in out[: tap.ahead]
    assert b'"stop"' not in out[: tap.ahead]
    assert b'"stop"' in out[tap.ahead :]


def test_an_end_by_itself_has_nothing_ahead_of_it() -> None:
    tap = warmed()
    tap.feed(transcript(chunk(piece("c")), chunk(piece("d", "stop"))))
    assert tap.ahead
    tap.feed(transcript("[DONE]"))
    assert not tap.ahead


def test_an_end_that_was_left_out_has_nothing_ahead_of_it() -> None:
    tap = warmed()
    tap.feed(transcript(chunk(piece("c")), chunk(piece("d", "stop"))))
    assert tap.ahead

    assert transcript("[DONE]") == tap.close()
    assert not tap.ahead
