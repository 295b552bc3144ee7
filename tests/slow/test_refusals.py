"""What the inference server refuses: its own words reach the client, in the client's dialect, and the gateway goes on."""

from __future__ import annotations

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.slow.test_answers import CHAT, MODELS, PROMPT

# A byte is at most one token, and most of these are; well above the context and below the gateway's body limit.
TOO_LONG = "q z x " * 30_000


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_openai_sdk_is_told_that_the_prompt_is_too_long(openai: OpenAI, model: str, stream: bool) -> None:
    with pytest.raises(openai_sdk.BadRequestError) as caught:
        openai.chat.completions.create(
            model=model, messages=[{"role": "user", "content": TOO_LONG}], max_tokens=8, stream=stream
        )

    assert caught.value.status_code == 400
    assert isinstance(caught.value.body, dict)
    assert "exceeds the available context size" in caught.value.body["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_anthropic_sdk_is_told_that_the_prompt_is_too_long(anthropic: Anthropic, model: str, stream: bool) -> None:
    with pytest.raises(anthropic_sdk.BadRequestError) as caught:
        anthropic.messages.create(
            model=model, messages=[{"role": "user", "content": TOO_LONG}], max_tokens=8, stream=stream
        )

    assert caught.value.status_code == 400
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert "exceeds the available context size" in caught.value.body["error"]["message"]


def test_a_field_only_this_server_knows_is_judged_by_it(openai: OpenAI) -> None:
    """`grammar` is llama.cpp's own: it passes through, and so does the complaint about it."""
    with pytest.raises(openai_sdk.BadRequestError) as caught:
        openai.chat.completions.create(
            model=CHAT,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=8,
            extra_body={"grammar": "root ::= ("},
        )

    assert "grammar" in str(caught.value.body)


def test_a_refusal_costs_nothing_but_itself(openai: OpenAI) -> None:
    with pytest.raises(openai_sdk.BadRequestError):
        openai.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": TOO_LONG}], max_tokens=8, stream=True
        )
    answer = openai.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": PROMPT}], max_tokens=8, temperature=0
    )

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
