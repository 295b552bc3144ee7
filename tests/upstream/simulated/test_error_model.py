"""The simulated model `error`: each way in which a provider can fail, on demand."""

import json

import pytest

from runtime.errors import UpstreamTimeout, UpstreamUnavailable
from tests.upstream.simulated.conftest import Caller
from tests.upstream.simulated.test_provider import refusal

# -- error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529])
async def test_error_answers(caller: Caller, status: int, stream: bool) -> None:
    answer = await caller.ask("error", f"please error {status}", stream=stream)

    assert refusal(answer)[0] == status
    assert "retry-after" not in answer[1]


async def test_error_answers_say_when_to_come_back(caller: Caller) -> None:
    answer = await caller.ask("error", "error 429 retry-after 3")

    assert (refusal(answer), answer[1]["retry-after"]) == ((429, None, "rate_limit_exceeded"), "3")


async def test_a_used_up_quota_is_another_429(caller: Caller) -> None:
    assert refusal(await caller.ask("error", "error 429 quota")) == (429, None, "insufficient_quota")


async def test_a_cut_stream_breaks_after_so_many_pieces(caller: Caller) -> None:
    chunks, failure = await caller.stream("error", "cut after 3")

    assert len(chunks) == 1 + 3
    assert isinstance(failure, UpstreamUnavailable)
    assert b"[DONE]" not in b"".join(chunks)


async def test_a_cut_body_breaks_half_way(caller: Caller) -> None:
    response = await caller.send({"model": "error", "messages": [{"role": "user", "content": "cut after 3"}]})

    with pytest.raises(UpstreamUnavailable):
        await response.read(100_000)


async def test_an_early_end_is_clean_but_without_finish_and_terminator(caller: Caller) -> None:
    chunks, failure = await caller.stream("error", "end after 2")

    assert (len(chunks), failure) == (1 + 2, None)
    assert all(b'"finish_reason":null' in chunk for chunk in chunks)


async def test_a_stall_lasts_until_a_limit_passes(caller: Caller) -> None:
    with pytest.raises(UpstreamTimeout) as before:
        await caller.stream("error", "stall")
    chunks, failure = await caller.stream("error", "stall after 1")

    assert (before.value.limit, len(chunks)) == ("first_byte", 1 + 1)
    assert isinstance(failure, UpstreamTimeout)
    assert (failure.limit, caller.slept) == ("idle", [10.0, 5.0])


async def test_an_error_inside_a_stream(caller: Caller) -> None:
    chunks, failure = await caller.stream("error", "error 500 after 2")

    assert (len(chunks), failure) == (1 + 2 + 1, None)
    assert json.loads(chunks[-1].removeprefix(b"data: "))["error"]["type"] == "server_error"
    assert chunks[-1].count(b"\n") == 2, "an event is one line"


@pytest.mark.parametrize("stream", [False, True])
async def test_garbage_is_neither_json_nor_utf_8(caller: Caller, stream: bool) -> None:
    status, headers, body = await caller.ask("error", "garbage", stream=stream)

    assert status == 200
    assert headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    with pytest.raises(ValueError):
        json.loads(body.removeprefix(b"data: "))


@pytest.mark.parametrize(("text", "status"), [("html", 200), ("html 502", 502)])
async def test_a_web_page(caller: Caller, text: str, status: int) -> None:
    answer = await caller.ask("error", text)

    assert (answer[0], answer[1]["content-type"]) == (status, "text/html; charset=utf-8")
    assert answer[2].startswith(b"<html>")


@pytest.mark.parametrize("text", ["Hello", "error 200", "error 418", "the end", "cut it"])
async def test_without_a_known_word_the_words_are_told(caller: Caller, text: str) -> None:
    answer = await caller.ask("error", text)

    assert refusal(answer) == (400, "messages", "invalid_value")
    assert b"retry-after" in answer[2]
