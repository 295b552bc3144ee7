"""What does not say that it is at its end is given to nobody else, in every dialect, passed on or translated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.services.desk import CONFIG, Desk
from tests.support.raw_server import RawConnection, RawRequest, answer, each_request, raw_server

JSON = "content-type: application/json"
TURN = {"role": "user", "content": "hi"}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", {"messages": [TURN], "temperature": 0}),
    "openai_completions": ("/v1/completions", {"prompt": ["hi", "ho"], "temperature": 0}),
    "openai_responses": ("/v1/responses", {"input": "hi", "temperature": 0, "store": False}),
    "anthropic_messages": ("/v1/messages", {"messages": [TURN], "max_tokens": 9, "temperature": 0}),
    "gemini": (
        "/v1beta/models/wide/faq:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"temperature": 0}},
    ),
}


def chat(*reasons: str | None) -> dict[str, Any]:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": "half"}, "finish_reason": reason}
        for index, reason in enumerate(reasons)
    ]
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}


def response(**status: Any) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "output_text", "text": "half", "annotations": []}
    item: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    return {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [item], **status}


def message(reason: str | None) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    content = [{"type": "text", "text": "half"}]
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}


def candidates(**reason: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": "half"}]}
    return {"candidates": [{"content": content, "index": 0, **reason}], "modelVersion": "m"}


UNENDED: list[tuple[str, str, dict[str, Any]]] = [
    ("openai_chat", "openai_chat", chat(None)),
    ("openai_chat", "openai_chat", chat("")),
    ("openai_chat", "openai_chat", chat("stop", None)),
    ("openai_completions", "openai_chat", chat(None)),
    ("anthropic_messages", "openai_chat", chat(None)),
    ("openai_responses", "openai_responses", response(status="in_progress")),
    ("openai_responses", "openai_responses", response(status="queued")),
    ("openai_chat", "openai_responses", response()),
    ("anthropic_messages", "anthropic_messages", message(None)),
    ("openai_chat", "anthropic_messages", message(None)),
    ("gemini", "gemini", candidates()),
    ("gemini", "gemini", candidates(finishReason="FINISH_REASON_UNSPECIFIED")),
    ("gemini", "gemini", candidates(finishReason="MALFORMED_FUNCTION_CALL")),
    ("openai_chat", "gemini", candidates()),
]
ENDED: list[tuple[str, str, dict[str, Any]]] = [
    ("openai_chat", "openai_chat", chat("stop", "length")),
    ("openai_completions", "openai_chat", chat("stop")),
    ("anthropic_messages", "openai_chat", chat("a word of its own")),
    ("openai_responses", "openai_responses", response(status="completed")),
    (
        "openai_responses",
        "openai_responses",
        response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    ),
    ("anthropic_messages", "anthropic_messages", message("max_tokens")),
    ("openai_chat", "anthropic_messages", message("end_turn")),
    ("gemini", "gemini", candidates(finishReason="STOP")),
    ("gemini", "gemini", {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m"}),
    ("openai_chat", "gemini", candidates(finishReason="MAX_TOKENS")),
]


async def found(data: Path, dialect: str, speaks: str, given: Mapping[str, Any]) -> list[str | None]:
    """What a server's answer of ``speaks`` is twice in a row: looked for in the cache, or out of it."""

    async def respond(connection: RawConnection, request: RawRequest) -> None:
        del request
        await connection.send(answer(json.dumps(given).encode(), JSON))

    async with raw_server(each_request(respond)) as server:
        config = (
            CONFIG.replace("http://127.0.0.1:9/v1", f"{server.url}{'/v1' if speaks.startswith('openai') else ''}")
            .replace("sim/echo-copy: {}", "faq: {}")
            .replace("surfaces: {openai_chat: {}}\n    auth", f"surfaces: {{{speaks}: {{}}}}\n    auth")
        )
        desk = Desk(data, config + "cache: {exact: {models: [wide/faq]}}\nretries: {per_target: 0}\n")
        async with desk.app.lifespan():
            path, body = ASKED[dialect]
            calls = [
                await desk.call("POST", path, body if dialect == "gemini" else {"model": "wide/faq", **body})
                for _ in range(2)
            ]
    assert [200, 200] == [each.status for each in calls], calls[0].body
    return [dict(each.headers).get("x-omniroute-cache") for each in calls]


@pytest.mark.parametrize(("dialect", "speaks", "given"), UNENDED)
async def test_an_answer_that_does_not_say_that_it_ended_is_not_kept(
    tmp_path: Path, dialect: str, speaks: str, given: dict[str, Any]
) -> None:
    assert ["MISS", "MISS"] == await found(tmp_path, dialect, speaks, given)


@pytest.mark.parametrize(("dialect", "speaks", "given"), ENDED)
async def test_an_answer_that_says_why_it_ended_is_kept(
    tmp_path: Path, dialect: str, speaks: str, given: dict[str, Any]
) -> None:
    assert ["MISS", "HIT"] == await found(tmp_path, dialect, speaks, given)
