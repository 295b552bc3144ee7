"""Answers in one piece: what the SDKs get through the gateway is what the inference server says itself."""

from __future__ import annotations

import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message, MessageParam
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

from tests.support.gateway import Running

CHAT, MESSAGES = "chat/tiny", "messages/tiny"
MODELS = (CHAT, MESSAGES)
SYSTEM = "You keep the river gate."
PROMPT = "Tell me of the river, the gate and the smørgås."
LIMIT_TOKENS = 48
GREEDY = {"temperature": 0}


def truth(direct: OpenAI, limit_tokens: int = LIMIT_TOKENS, **more: object) -> ChatCompletion:
    """The server's own answer to the question that all tests here ask."""
    return direct.chat.completions.create(
        model="tiny",
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        max_tokens=limit_tokens,
        extra_body=GREEDY | more,
    )


def text(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def same_usage(expected: ChatCompletion, actual: Message) -> None:
    """Equal counts; what the server took from its cache depends on what it was asked before, so only sums compare."""
    assert expected.usage is not None
    assert expected.usage.prompt_tokens > 0
    assert expected.usage.prompt_tokens == actual.usage.input_tokens + (actual.usage.cache_read_input_tokens or 0)
    assert expected.usage.completion_tokens == actual.usage.output_tokens


@pytest.mark.parametrize("model", MODELS)
def test_openai_sdk_gets_text_usage_and_finish_reason_of_the_server(openai: OpenAI, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    actual = openai.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        temperature=0,
    )

    assert expected.choices[0].message.content
    assert expected.choices[0].message.content == actual.choices[0].message.content
    assert actual.choices[0].finish_reason == "length"
    assert actual.model == model
    assert expected.usage is not None
    assert actual.usage is not None
    assert expected.usage.completion_tokens == actual.usage.completion_tokens == LIMIT_TOKENS
    assert expected.usage.prompt_tokens == actual.usage.prompt_tokens > 0
    assert expected.usage.total_tokens == actual.usage.total_tokens


def test_same_protocol_loses_no_field_of_the_server(openai: OpenAI, direct: OpenAI) -> None:
    """llama.cpp adds fields of its own (`timings`); they reach the client."""
    expected = truth(direct).model_dump(exclude_unset=True)
    actual = openai.chat.completions.create(
        model=CHAT,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        temperature=0,
    ).model_dump(exclude_unset=True)

    assert "timings" in expected
    assert list(expected) == list(actual)
    assert expected["choices"] == actual["choices"]
    assert list(expected["usage"]) == list(actual["usage"])


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_sdk_gets_text_usage_and_stop_reason_of_the_server(
    anthropic: Anthropic, direct: OpenAI, model: str
) -> None:
    expected = truth(direct)
    actual = anthropic.messages.create(
        model=model,
        system=SYSTEM,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        extra_body=GREEDY,
    )

    assert text(actual)
    assert expected.choices[0].message.content == text(actual)
    assert actual.stop_reason == "max_tokens"
    assert actual.role == "assistant"
    assert actual.model == model
    same_usage(expected, actual)


@pytest.mark.parametrize("model", MODELS)
async def test_async_openai_sdk_gets_the_same(served: Running, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=60) as client:
        actual = await client.chat.completions.create(
            model=model,
            messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
            max_tokens=LIMIT_TOKENS,
            temperature=0,
        )

    assert expected.choices[0].message.content == actual.choices[0].message.content
    assert expected.usage is not None
    assert actual.usage is not None
    assert expected.usage.total_tokens == actual.usage.total_tokens


@pytest.mark.parametrize("model", MODELS)
async def test_async_anthropic_sdk_gets_the_same(served: Running, direct: OpenAI, model: str) -> None:
    expected = truth(direct)
    async with AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0, timeout=60) as client:
        actual = await client.messages.create(
            model=model,
            system=SYSTEM,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=LIMIT_TOKENS,
            extra_body=GREEDY,
        )

    assert expected.choices[0].message.content == text(actual)
    same_usage(expected, actual)


def test_a_conversation_of_several_turns_counts_as_the_server_counts(anthropic: Anthropic, direct: OpenAI) -> None:
    """Roles, their order and the parts of a message survive translation: the prompt has the same tokens."""
    expected = direct.chat.completions.create(
        model="tiny",
        messages=[
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": "Who goes there?"},
            {"role": "assistant", "content": "A lamp."},
            {"role": "user", "content": "Open, 水門!"},
        ],
        max_tokens=LIMIT_TOKENS,
        temperature=0,
    )
    actual = anthropic.messages.create(
        model=CHAT,
        system=[{"type": "text", "text": SYSTEM}],
        messages=[
            {"role": "user", "content": "Who goes there?"},
            {"role": "assistant", "content": [{"type": "text", "text": "A lamp."}]},
            {"role": "user", "content": [{"type": "text", "text": "Open, 水門!"}]},
        ],
        max_tokens=LIMIT_TOKENS,
        extra_body=GREEDY,
    )

    assert expected.choices[0].message.content == text(actual)
    same_usage(expected, actual)


def test_a_stop_sequence_ends_the_answer_in_both_dialects(openai: OpenAI, anthropic: Anthropic, direct: OpenAI) -> None:
    whole = truth(direct).choices[0].message.content
    assert whole is not None
    stop = whole.split(" ")[6]
    before = truth(direct, stop=[stop]).choices[0].message.content
    assert before is not None
    assert len(before) < len(whole)

    chat = openai.chat.completions.create(
        model=CHAT,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        temperature=0,
        stop=[stop],
    )
    message = anthropic.messages.create(
        model=CHAT,
        system=SYSTEM,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=LIMIT_TOKENS,
        stop_sequences=[stop],
        extra_body=GREEDY,
    )

    assert (before, "stop") == (chat.choices[0].message.content, chat.choices[0].finish_reason)
    assert before == text(message)
    assert message.stop_reason in {"end_turn", "stop_sequence"}


def test_count_tokens_of_the_server_is_what_its_answer_is_billed(anthropic: Anthropic) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": PROMPT}]
    counted = anthropic.messages.with_raw_response.count_tokens(model=MESSAGES, system=SYSTEM, messages=messages)
    answer = anthropic.messages.create(model=MESSAGES, system=SYSTEM, messages=messages, max_tokens=1)

    assert counted.headers["x-gatewright-token-count"] == "provider"
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == counted.parse().input_tokens
