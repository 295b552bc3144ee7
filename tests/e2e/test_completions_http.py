"""OpenAI's old Completions over HTTP, with the official SDK: one prompt and several, whole and streamed."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from tests.support.gateway import Running
from tests.support.vendor import Vendor

ANSWER = "Paris is the capital of France."


def test_several_prompts_have_an_answer_each(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    whole = openai_client.completions.create(model=f"{upstream}/plain", prompt=["One", "Two", "Three"], echo=True)

    assert [f"{prompt}{ANSWER}" for prompt in ("One", "Two", "Three")] == [each.text for each in whole.choices]
    assert [0, 1, 2] == [each.index for each in whole.choices]
    alone = openai_client.completions.create(model=f"{upstream}/plain", prompt="One")
    assert alone.usage is not None
    assert whole.usage is not None
    assert 3 * alone.usage.total_tokens == whole.usage.total_tokens
    assert {"One", "Two", "Three"} <= {word for seen in behind.requests for word in _words(seen.body)}


def test_several_prompts_are_one_stream(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    texts = {0: "", 1: ""}
    chunks = list(
        openai_client.completions.create(
            model=f"{upstream}/plain", prompt=["One", "Two"], stream=True, stream_options={"include_usage": True}
        )
    )
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text

    assert {0: ANSWER, 1: ANSWER} == texts
    assert 1 == len({chunk.id for chunk in chunks})
    assert [chunks[-1]] == [chunk for chunk in chunks if chunk.usage]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_fails_has_a_status(openai_client: openai.OpenAI, upstream: str, stream: bool) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        openai_client.completions.create(model=f"{upstream}/fault-429", prompt=["One", "Two"], stream=stream)

    assert 429 == caught.value.status_code


def test_tokens_and_too_many_prompts_are_refused_by_name(openai_client: openai.OpenAI) -> None:
    for prompt in ([1, 2, 3], [[1, 2], [3]], ["x"] * 65):
        with pytest.raises(openai.BadRequestError) as caught:
            openai_client.completions.create(model="sim/echo", prompt=prompt)
        assert "prompt" == caught.value.param


def test_one_line_of_the_log_tells_of_all_calls(served: Running) -> None:
    reply = httpx.post(
        f"{served.url}/v1/completions",
        json={"model": "sim/echo", "prompt": ["One", "Two"]},
        headers={"authorization": f"Bearer {served.key}", "x-request-id": "two-prompts"},
        timeout=60,
    )

    assert 200 == reply.status_code
    assert "2" == reply.headers["x-gatewright-attempts"]
    lines = [json.loads(line) for line in served.logged("two-prompts") if "call_ended" in line]
    assert [2] == [len(line["attempts"]) for line in lines]
    assert reply.json()["usage"]["completion_tokens"] == lines[0]["output_tokens"]


def test_a_providers_own_path_takes_them_as_well(served: Running) -> None:
    reply = httpx.post(
        f"{served.url}/v1/providers/sim/completions",
        json={"model": "echo", "prompt": ["One", "Two"], "max_tokens": 50},
        headers={"authorization": f"Bearer {served.key}"},
        timeout=60,
    )

    assert 200 == reply.status_code, reply.text
    assert ["One", "Two"] == [each["text"].rsplit(" ", 1)[-1] for each in reply.json()["choices"]]


def _words(body: object) -> set[str]:
    """Every text in a request's messages."""
    return {word for word in ("One", "Two", "Three") if f'"{word}"' in json.dumps(body)}
