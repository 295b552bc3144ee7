"""A client that leaves: the inference server stops generating, the gateway says so in its log, and both go on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.slow.inference_server import CONTEXT_TOKENS, InferenceServer
from tests.slow.test_answers import CHAT, MODELS, PROMPT
from tests.support.gateway import Running

FAR_TOKENS = CONTEXT_TOKENS // 2
WAIT_LIMIT_S = 10.0


def record_of(served: Running, request_id: str) -> Mapping[str, object]:
    """The log record of a call's end, as soon as it is there."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    while time.monotonic() < deadline:
        for line in served.log.splitlines():
            if request_id in line and '"call_ended"' in line:
                record: dict[str, object] = json.loads(line)
                return record
        time.sleep(0.02)
    raise AssertionError(f"no end of {request_id} in the log:\n{served.log[-4000:]}")


def stopped_early(inference: InferenceServer, cancelled_before: int) -> None:
    """The server has nothing to do any more, because it was left and not because it was done."""
    inference.wait_until(busy=0, limit_s=WAIT_LIMIT_S)

    assert inference.cancelled() == cancelled_before + 1


def still_answers(openai: OpenAI) -> None:
    answer = openai.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": PROMPT}], max_tokens=8, temperature=0
    )

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8


@pytest.mark.parametrize("model", MODELS)
def test_openai_client_that_leaves_a_stream_stops_the_server(
    openai: OpenAI, served: Running, inference: InferenceServer, model: str
) -> None:
    before = inference.cancelled()
    with openai.chat.completions.create(
        model=model, messages=[{"role": "user", "content": PROMPT}], max_tokens=FAR_TOKENS, stream=True
    ) as stream:
        request_id = stream.response.headers["x-request-id"]
        pieces = [next(stream) for _ in range(5)]
        inference.wait_until(busy=1)

    assert len(pieces) == 5
    stopped_early(inference, before)
    record = record_of(served, request_id)
    assert (record["outcome"], record["stream"], record["served"]) == ("client_closed", True, model)
    still_answers(openai)


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_client_that_leaves_a_stream_stops_the_server(
    anthropic: Anthropic, openai: OpenAI, served: Running, inference: InferenceServer, model: str
) -> None:
    before = inference.cancelled()
    with anthropic.messages.stream(
        model=model, messages=[{"role": "user", "content": PROMPT}], max_tokens=FAR_TOKENS
    ) as stream:
        request_id = stream.response.headers["request-id"]
        pieces = [next(stream.text_stream) for _ in range(5)]
        inference.wait_until(busy=1)

    assert len(pieces) == 5
    stopped_early(inference, before)
    record = record_of(served, request_id)
    assert (record["outcome"], record["stream"], record["served"]) == ("client_closed", True, model)
    still_answers(openai)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_client_that_leaves_before_its_json_answer_stops_the_server(
    openai: OpenAI, served: Running, inference: InferenceServer, path: str, model: str
) -> None:
    before = inference.cancelled()
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": FAR_TOKENS}
    headers = {"authorization": f"Bearer {served.key}", "x-request-id": f"leaves-{path[4:8]}-{model[:4]}"}
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        call = asyncio.create_task(client.post(path, json=body, headers=headers))
        await asyncio.to_thread(inference.wait_until, busy=1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    await asyncio.to_thread(stopped_early, inference, before)
    record = await asyncio.to_thread(record_of, served, headers["x-request-id"])
    assert (record["outcome"], record["stream"], record["served"]) == ("client_closed", False, model)
    await asyncio.to_thread(still_answers, openai)
