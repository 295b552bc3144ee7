"""A fault of ours in the middle of a stream: the client hears of it in its dialect, the log has it all, the call is settled.

And what a stream that is given up before its answer was anybody's leaves behind: nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from runtime.errors import InternalError
from runtime.gateway import Call, Complete, Gateway, Streaming
from runtime.protocols.relay import Passing, Translating
from runtime.services.keeping import Keeping
from runtime.streamed import StreamedAnswer
from runtime.web.exchange import Exchange
from tests.services.conftest import closed_databases
from tests.services.desk import CONFIG, Desk
from tests.support.dialect import DIALECT
from tests.test_gateway import ERROR, PAIRS, TERMINATOR, frame_ends, transcript
from tests.test_gateway import Desk as Pipeline

__all__ = ["closed_databases"]  # what closes the databases of the desks, after each test

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}


class BrokenError(Exception):
    """Nothing that any code of ours expects."""


def fault_of(log: str) -> list[tuple[str, str]]:
    """Whose call, and the last line of the traceback, of each fault in the log."""
    said = [orjson.loads(line) for line in log.splitlines()]
    return [
        (each["request_id"], each["exception"].splitlines()[-1])
        for each in said
        if each["event"] == "call_failed_inside"
    ]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_fault_of_ours_in_mid_stream_becomes_the_dialects_error_event(client: str, upstream: str) -> None:
    data = transcript(upstream, "plain")
    ends = frame_ends(upstream, data)
    desk = Pipeline(upstream, [data[: ends[len(ends) // 2 - 1]], BrokenError("inside")])

    said = await desk.streamed(client)

    assert ERROR[client] in said
    assert TERMINATOR[client] not in said
    assert b"inside" not in said
    assert ("error", InternalError.kind) == (desk.record.outcome, desk.record.error)
    assert [("id-1", "tests.test_mid_stream_faults.BrokenError: inside")] == fault_of(desk.log.getvalue())
    assert desk.upstream.response.closed
    assert all(attempt.outcome for attempt in desk.record.attempts)


@pytest.mark.parametrize("client", PATHS)
async def test_where_even_the_error_event_fails_another_one_is_made(
    client: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise BrokenError("again")

    desk = Desk(tmp_path)
    for relay in (Passing, Translating):
        monkeypatch.setattr(relay, "close", broken)
    monkeypatch.setattr(StreamedAnswer, "_failed", broken)

    answer = await desk.call("POST", PATHS[client], DIALECT[client].body("sim/echo", stream=True))

    assert (200, True) == (answer.status, answer.complete)
    assert ERROR[client] in answer.body
    assert {"tests.test_mid_stream_faults.BrokenError: again"} == {
        fault for _, fault in fault_of(capsys.readouterr().err)
    }


async def test_what_keeps_a_response_may_fail_in_mid_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> bytes:
        raise BrokenError("keeping")

    desk = Desk(tmp_path)
    monkeypatch.setattr(Keeping, "_seen", broken)

    answer = await desk.call("POST", "/v1/responses", DIALECT["openai_responses"].body("sim/echo", stream=True))

    assert (200, True) == (answer.status, answer.complete)
    assert ERROR["openai_responses"] in answer.body
    assert TERMINATOR["openai_responses"] not in answer.body
    assert [(answer.headers["x-request-id"], "tests.test_mid_stream_faults.BrokenError: keeping")] == fault_of(
        capsys.readouterr().err
    )


@pytest.mark.parametrize("client", PATHS)
async def test_a_fault_after_an_early_head_is_told_by_an_event(
    client: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, start = asyncio.Event(), Exchange.start

    async def starting(exchange: Exchange, status: int, headers: Any) -> None:
        await start(exchange, status, headers)
        begun.set()

    async def late(_: Gateway, call: Call) -> Complete | Streaming:
        await begun.wait()
        raise BrokenError("late")

    monkeypatch.setattr(Exchange, "start", starting)
    monkeypatch.setattr(Gateway, "infer", late)
    desk = Desk(tmp_path, CONFIG + "timeouts: {early_head: 1ms}\n")

    answer = await desk.call("POST", PATHS[client], DIALECT[client].body("sim/echo", stream=True))

    assert (200, True) == (answer.status, answer.complete)
    assert ERROR[client] in answer.body
    assert ["tests.test_mid_stream_faults.BrokenError: late"] == [
        fault for _, fault in fault_of(capsys.readouterr().err)
    ]


async def test_an_answer_that_comes_while_a_comment_is_being_sent_is_let_go_where_its_client_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending, came, infer = asyncio.Event(), asyncio.Event(), Gateway.infer
    got: list[tuple[Call, Complete | Streaming]] = []

    async def send(_: Exchange, __: bytes) -> None:
        sending.set()
        await asyncio.Event().wait()

    async def late(gateway: Gateway, call: Call) -> Complete | Streaming:
        await sending.wait()
        got.append((call, await infer(gateway, call)))
        came.set()
        return got[0][1]

    monkeypatch.setattr(Exchange, "send", send)
    monkeypatch.setattr(Gateway, "infer", late)
    desk = Desk(tmp_path, CONFIG + "timeouts: {early_head: 1ms}\n")
    body = DIALECT["openai_chat"].body("sim/echo", stream=True)
    asking = asyncio.create_task(desk.call("POST", PATHS["openai_chat"], body))
    await came.wait()

    asking.cancel()
    await asyncio.wait((asking,))

    ((call, reply),) = got
    assert isinstance(reply, Streaming)
    assert ["cancelled"] == [attempt.outcome for attempt in call.record.attempts]
    assert b"" == await anext(reply.chunks, b"")
