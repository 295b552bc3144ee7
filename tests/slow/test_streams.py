"""Streams: their pieces make the answer that the server gives in one piece, and they end with reason and usage."""

from __future__ import annotations

import asyncio
import json

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.slow.inference_server import SLOTS
from tests.slow.test_answers import CHAT, GREEDY, LIMIT_TOKENS, MODELS, PROMPT, SYSTEM, same_usage, text, truth
from tests.support.gateway import Running


def said(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.mark.parametrize("model", MODELS)
def test_openai_stream_is_the_answer_in_pieces(openai: OpenAI, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    with openai.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)

    assert len(chunks) > 10
    assert expected.choices[0].message.content == said(chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {model}
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["length"]
    assert chunks[-2].choices[0].finish_reason == "length"
    assert expected.usage is not None
    assert [chunk.usage is not None for chunk in chunks[-2:]] == [False, True]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert expected.usage.prompt_tokens == chunks[-1].usage.prompt_tokens
    assert expected.usage.completion_tokens == chunks[-1].usage.completion_tokens


@pytest.mark.parametrize("model", MODELS)
def test_openai_stream_without_usage_asked_has_none(openai: OpenAI, direct: OpenAI, model: str) -> None:
    """The gateway may want to know what was used; the client that did not ask sees nothing of it."""
    expected = truth(direct)
    with openai.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        temperature=0,
        stream=True,
    ) as stream:
        chunks = list(stream)

    assert expected.choices[0].message.content == said(chunks)
    assert [chunk for chunk in chunks if chunk.usage is not None or not chunk.choices] == []
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_stream_is_the_answer_in_pieces(anthropic: Anthropic, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    with anthropic.messages.create(
        model=model,
        system=SYSTEM,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        stream=True,
        extra_body=GREEDY,
    ) as stream:
        events = [event for event in stream if str(event.type) != "ping"]
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    ends = [event for event in events if event.type == "message_delta"]

    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert len(deltas) > 10
    assert expected.choices[0].message.content == "".join(d.text for d in deltas if d.type == "text_delta")
    assert [event.delta.stop_reason for event in ends] == ["max_tokens"]
    assert expected.usage is not None
    assert [event.usage.output_tokens for event in ends] == [expected.usage.completion_tokens]


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_stream_helper_gathers_the_message(anthropic: Anthropic, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    with anthropic.messages.stream(
        model=model,
        system=SYSTEM,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        extra_body=GREEDY,
    ) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert expected.choices[0].message.content == "".join(pieces) == text(message)
    assert message.stop_reason == "max_tokens"
    assert message.model == model
    same_usage(expected, message)


@pytest.mark.parametrize("model", MODELS)
async def test_async_openai_stream_helper_gathers_the_completion(served: Running, direct: OpenAI, model: str) -> None:
    """With a stop sequence, because this helper refuses an answer that reached its limit."""
    stop = (truth(direct).choices[0].message.content or "").split(" ")[20]
    expected = truth(direct, stop=[stop])
    async with (
        AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=60) as client,
        client.chat.completions.stream(
            model=model,
            messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
            max_completion_tokens=LIMIT_TOKENS,
            temperature=0,
            stop=[stop],
            stream_options={"include_usage": True},
        ) as stream,
    ):
        pieces = [event.delta async for event in stream if event.type == "content.delta"]
        completion = await stream.get_final_completion()

    assert expected.choices[0].message.content == "".join(pieces) == completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert expected.usage is not None
    assert completion.usage is not None
    assert expected.usage.total_tokens == completion.usage.total_tokens


@pytest.mark.parametrize("model", MODELS)
async def test_async_anthropic_stream_helper_gathers_the_message(served: Running, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    async with (
        AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0, timeout=60) as client,
        client.messages.stream(
            model=model,
            system=SYSTEM,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=LIMIT_TOKENS,
            extra_body=GREEDY,
        ) as stream,
    ):
        pieces = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()

    assert expected.choices[0].message.content == "".join(pieces) == text(message)
    same_usage(expected, message)


def plan_of(worker: int) -> dict[str, object]:
    """A schema that only one text satisfies, and a long one, so that streams that got mixed up would show."""
    return {"type": "string", "const": " ".join(f"word{n}-of-{worker}" for n in range(12))}


async def test_eight_openai_streams_at_once_each_get_their_own(served: Running) -> None:
    async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=60) as client:

        async def work(worker: int) -> tuple[str, list[str]]:
            stream = await client.chat.completions.create(
                model=CHAT,
                messages=[{"role": "user", "content": f"You are worker {worker}."}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "plan", "schema": plan_of(worker), "strict": True},
                },
                max_tokens=400,
                stream=True,
            )
            async with stream:
                chunks = [chunk async for chunk in stream]
            return said(chunks), [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]

        answers = await asyncio.gather(*(work(worker) for worker in range(SLOTS)))

    assert [(json.dumps(plan_of(worker)["const"]), ["stop"]) for worker in range(SLOTS)] == answers


async def test_eight_translated_streams_at_once_each_get_their_own(served: Running) -> None:
    async with AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0, timeout=60) as client:

        async def work(worker: int) -> tuple[str, str | None]:
            async with client.messages.stream(
                model=CHAT,
                messages=[{"role": "user", "content": f"You are worker {worker}."}],
                output_config={"format": {"type": "json_schema", "schema": plan_of(worker)}},
                max_tokens=400,
            ) as stream:
                message = await stream.get_final_message()
            return text(message), message.stop_reason

        answers = await asyncio.gather(*(work(worker) for worker in range(SLOTS)))

    assert [(json.dumps(plan_of(worker)["const"]), "end_turn") for worker in range(SLOTS)] == answers


@pytest.mark.parametrize("model", MODELS)
async def test_eight_anthropic_streams_at_once_each_come_whole(served: Running, model: str) -> None:
    async with AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0, timeout=60) as client:

        async def work(worker: int) -> tuple[bool, str | None, int]:
            async with client.messages.stream(
                model=model,
                messages=[{"role": "user", "content": f"You are worker {worker}."}],
                max_tokens=100 + worker,
                extra_body=GREEDY,
            ) as stream:
                pieces = [piece async for piece in stream.text_stream]
                message = await stream.get_final_message()
            return "".join(pieces) == text(message), message.stop_reason, message.usage.output_tokens

        answers = await asyncio.gather(*(work(worker) for worker in range(SLOTS)))

    assert [(True, "max_tokens", 100 + worker) for worker in range(SLOTS)] == answers
