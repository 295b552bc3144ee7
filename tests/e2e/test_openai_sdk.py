"""The official openai SDK against a real gateway, each case with an upstream of either protocol."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.gateway import Running
from tests.support.vendor import Vendor

ASK: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"}]
ANSWER = "Paris is the capital of France."
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Ask for the {name}",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("get_weather", "get_time")
]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_text(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    answer = openai_client.chat.completions.create(
        model=f"{upstream}/plain", messages=ASK, temperature=0, max_tokens=50
    )

    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == f"{upstream}/plain"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (31, 14, 45)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    assert behind.requests[0].body["model"] == "plain"


async def test_text_async(served: Running, upstream: str, behind: Vendor) -> None:
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        answer = await client.chat.completions.create(model=f"{upstream}/unicode", messages=ASK)

    assert answer.choices[0].message.content == 'Grüße, мир 🌍 日本\u2028語 "quoted" \\ back'


@pytest.mark.parametrize("split", [0, 1, 7])
def test_stream(openai_client: openai.OpenAI, upstream: str, behind: Vendor, split: int) -> None:
    behind.split = split
    chunks = list(
        openai_client.chat.completions.create(
            model=f"{upstream}/plain", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 45
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].model == f"{upstream}/plain"


def test_stream_without_include_usage_has_no_usage_chunk_when_translated(
    openai_client: openai.OpenAI, behind: Vendor, upstream: str
) -> None:
    chunks = list(openai_client.chat.completions.create(model=f"{upstream}/plain", messages=ASK, stream=True))

    if upstream == "messy":
        assert all(chunk.choices for chunk in chunks)
        assert all(chunk.usage is None for chunk in chunks)
    assert any(chunk.choices and chunk.choices[0].finish_reason == "stop" for chunk in chunks)


async def test_stream_async(served: Running, upstream: str, behind: Vendor) -> None:
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        stream = await client.chat.completions.create(model=f"{upstream}/unicode", messages=ASK, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert text == 'Grüße, мир 🌍 日本\u2028語 "quoted" \\ back'


def test_stream_helper(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    with openai_client.chat.completions.stream(model=f"{upstream}/plain", messages=ASK) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()

    assert "content.delta" in events
    assert final.choices[0].message.content == ANSWER


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools(openai_client: openai.OpenAI, upstream: str, behind: Vendor, stream: bool) -> None:
    model = f"{upstream}/two-tools"
    calls: list[tuple[str, str, Any]] = []
    if stream:
        pieces: dict[int, list[str]] = {}
        for chunk in openai_client.chat.completions.create(model=model, messages=ASK, tools=TOOLS, stream=True):
            for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                piece = pieces.setdefault(call.index, ["", "", ""])
                assert call.function is not None
                piece[0] += call.id or ""
                piece[1] += call.function.name or ""
                piece[2] += call.function.arguments or ""
            finish = chunk.choices[0].finish_reason if chunk.choices else None
            assert finish in (None, "tool_calls")
        calls = [(id_, name, json.loads(arguments)) for _, (id_, name, arguments) in sorted(pieces.items())]
    else:
        answer = openai_client.chat.completions.create(model=model, messages=ASK, tools=TOOLS, tool_choice="auto")
        assert answer.choices[0].finish_reason == "tool_calls"
        assert answer.choices[0].message.content == "Let me look."
        for each in answer.choices[0].message.tool_calls or []:
            assert each.type == "function"
            calls.append((each.id, each.function.name, json.loads(each.function.arguments)))

    assert [("get_weather", {"city": "Paris", "days": 3}), ("get_time", {"zone": "Europe/Paris"})] == [
        (name, arguments) for _, name, arguments in calls
    ]
    assert len({id_ for id_, _, _ in calls}) == 2


def test_tool_results_round_trip(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    first = openai_client.chat.completions.create(model=f"{upstream}/two-tools", messages=ASK, tools=TOOLS)
    message = first.choices[0].message
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {index}"}
        for index, call in enumerate(message.tool_calls or [])
    ]
    history: Any = [*ASK, message.model_dump(exclude_none=True), *results, {"role": "user", "content": "And now?"}]

    answer = openai_client.chat.completions.create(model=f"{upstream}/plain", messages=history, tools=TOOLS)

    assert answer.choices[0].message.content == ANSWER
    sent = json.dumps(behind.requests[-1].body)
    assert sent.index("result 0") < sent.index("result 1") < sent.index("And now?")


@pytest.mark.parametrize("url", [PIXEL, "https://example.com/cat.png"])
def test_image(openai_client: openai.OpenAI, upstream: str, behind: Vendor, url: str) -> None:
    parts: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]

    openai_client.chat.completions.create(model=f"{upstream}/plain", messages=[{"role": "user", "content": parts}])

    sent = json.dumps(behind.requests[-1].body)
    assert url.partition("base64,")[2][:40] in sent
    assert "image" in sent


class Capital(BaseModel):
    capital: str
    country: str


def test_json_schema(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    answer = openai_client.chat.completions.parse(model=f"{upstream}/json", messages=ASK, response_format=Capital)

    assert answer.choices[0].message.parsed == Capital(capital="Paris", country="France")
    sent = behind.requests[-1].body
    schema = sent["response_format"]["json_schema"] if upstream == "chatty" else sent["output_config"]["format"]
    assert {"capital", "country"} == set(schema["schema"]["properties"])


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(openai_client: openai.OpenAI, upstream: str, behind: Vendor, stream: bool) -> None:
    model = f"{upstream}/thinking-text"
    if stream:
        chunks = list(
            openai_client.chat.completions.create(model=model, messages=ASK, reasoning_effort="low", stream=True)
        )
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        thought = "".join((delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas)
        text = "".join(delta.content or "" for delta in deltas)
    else:
        answer = openai_client.chat.completions.create(model=model, messages=ASK, reasoning_effort="low")
        thought = (answer.choices[0].message.model_extra or {})["reasoning_content"]
        text = answer.choices[0].message.content or ""
        assert answer.usage is not None
        assert answer.usage.completion_tokens_details is not None
        assert answer.usage.completion_tokens_details.reasoning_tokens == 6

    assert (thought, text) == ("They ask for a capital.", ANSWER)


def test_max_tokens(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    answer = openai_client.chat.completions.create(
        model=f"{upstream}/max-tokens", messages=ASK, max_completion_tokens=2
    )

    assert answer.choices[0].finish_reason == "length"


def test_refusal(openai_client: openai.OpenAI, upstream: str, behind: Vendor) -> None:
    answer = openai_client.chat.completions.create(model=f"{upstream}/refusal", messages=ASK)

    message = answer.choices[0].message
    assert message.refusal or answer.choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("fault-400", openai.BadRequestError, 400),
        ("fault-401", openai.InternalServerError, 502),
        ("fault-404", openai.NotFoundError, 404),
        ("fault-413", openai.APIStatusError, 413),
        ("fault-429", openai.RateLimitError, 429),
        ("fault-500", openai.InternalServerError, 500),
        ("fault-529", openai.InternalServerError, 503),
    ],
)
def test_upstream_errors(
    openai_client: openai.OpenAI,
    upstream: str,
    behind: Vendor,
    fault: str,
    error: type[openai.APIStatusError],
    status: int,
    stream: bool,
) -> None:
    with pytest.raises(error) as caught:
        openai_client.chat.completions.create(model=f"{upstream}/{fault}", messages=ASK, stream=stream)

    assert status == caught.value.status_code
    body = caught.value.response.json()
    assert {"message", "type", "param", "code"} == set(body["error"])
    assert caught.value.response.headers["x-request-id"]
    if fault == "fault-429":
        assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("fault", ["mid-error", "cut"])
def test_stream_that_fails_half_way_is_never_a_success(
    openai_client: openai.OpenAI, upstream: str, behind: Vendor, fault: str
) -> None:
    stream = openai_client.chat.completions.create(model=f"{upstream}/{fault}", messages=ASK, stream=True)
    finishes: list[str | None] = []

    with pytest.raises(openai.APIError):
        for chunk in stream:
            finishes += [choice.finish_reason for choice in chunk.choices]

    assert set(finishes) <= {None}


def test_unknown_model_and_wrong_key(served: Running, openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.chat.completions.create(model="nobody/knows", messages=ASK)
    assert (missing.value.param, missing.value.code) == ("model", "model_not_found")

    with (
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="gw-wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.chat.completions.create(model="sim/echo", messages=ASK)
    assert caught.value.code == "invalid_api_key"


def test_alias_and_models(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="quick", messages=ASK)
    listed = [model.id for model in openai_client.models.list()]

    assert answer.model == "quick"
    assert {"quick", "sim/echo", "sim/tools"} <= set(listed)
    assert openai_client.models.retrieve("sim/echo").id == "sim/echo"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("no/such")


def test_simulated_provider_says_that_it_is_one(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="sim/echo", messages=ASK)

    assert "simulated" in (answer.choices[0].message.content or "").lower()
