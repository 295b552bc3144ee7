"""The official anthropic SDK against a real gateway, each case with an upstream of either protocol."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from tests.e2e.test_openai_sdk import ANSWER, PIXEL
from tests.support.gateway import Running
from tests.support.vendor import Vendor

ASK: Any = [{"role": "user", "content": "What is the capital of France?"}]
TOOLS: Any = [
    {
        "name": name,
        "description": f"Ask for the {name}",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    for name in ("get_weather", "get_time")
]


def say(client: anthropic.Anthropic, model: str, **more: Any) -> anthropic.types.Message:
    message = client.messages.create(
        model=model, max_tokens=more.pop("max_tokens", 4096), messages=more.pop("messages", ASK), **more
    )
    assert isinstance(message, anthropic.types.Message)
    return message


def text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_text(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor) -> None:
    message = say(anthropic_client, f"{upstream}/plain", system="Be brief.", stop_sequences=["END"])

    assert (text(message), message.stop_reason, message.model) == (ANSWER, "end_turn", f"{upstream}/plain")
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (
        23,
        8,
        14,
    )
    assert "Be brief." in json.dumps(behind.requests[-1].body)


async def test_text_async(served: Running, upstream: str, behind: Vendor) -> None:
    async with anthropic.AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0) as client:
        message = await client.messages.create(model=f"{upstream}/unicode", max_tokens=100, messages=ASK)

    assert text(message) == 'Grüße, мир 🌍 日本\u2028語 "quoted" \\ back'


@pytest.mark.parametrize("split", [0, 1, 7])
def test_stream(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor, split: int) -> None:
    behind.split = split
    with anthropic_client.messages.stream(model=f"{upstream}/plain", max_tokens=100, messages=ASK) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert ("".join(pieces), text(message), message.stop_reason) == (ANSWER, ANSWER, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (23, 14)
    assert message.model == f"{upstream}/plain"


async def test_stream_async(served: Running, upstream: str, behind: Vendor) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0) as client,
        client.messages.stream(model=f"{upstream}/unicode", max_tokens=100, messages=ASK) as stream,
    ):
        message = await stream.get_final_message()

    assert text(message) == 'Grüße, мир 🌍 日本\u2028語 "quoted" \\ back'


def test_raw_stream_events_are_in_order(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor) -> None:
    events = [
        event.type
        for event in anthropic_client.messages.create(
            model=f"{upstream}/two-tools", max_tokens=100, messages=ASK, tools=TOOLS, stream=True
        )
    ]

    block = ["content_block_start", "content_block_stop"]
    assert ["message_start", *block * 3, "message_delta", "message_stop"] == [
        event for event in events if event != "content_block_delta"
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor, stream: bool) -> None:
    if stream:
        with anthropic_client.messages.stream(
            model=f"{upstream}/two-tools", max_tokens=100, messages=ASK, tools=TOOLS
        ) as live:
            message: Any = live.get_final_message()
    else:
        message = say(anthropic_client, f"{upstream}/two-tools", tools=TOOLS, tool_choice={"type": "any"})

    calls = [block for block in message.content if block.type == "tool_use"]
    assert [("get_weather", {"city": "Paris", "days": 3}), ("get_time", {"zone": "Europe/Paris"})] == [
        (call.name, call.input) for call in calls
    ]
    assert message.stop_reason == "tool_use"
    assert text(message) == "Let me look."


def test_tool_results_with_error_and_image_round_trip(
    anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor
) -> None:
    first = say(anthropic_client, f"{upstream}/two-tools", tools=TOOLS)
    one, two = (block for block in first.content if block.type == "tool_use")
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL.partition("base64,")[2]},
    }
    results: Any = [
        {"type": "tool_result", "tool_use_id": one.id, "content": [{"type": "text", "text": "a picture"}, image]},
        {"type": "tool_result", "tool_use_id": two.id, "content": "no such zone", "is_error": True},
        {"type": "text", "text": "And now?"},
    ]
    history: Any = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]

    message = say(anthropic_client, f"{upstream}/plain", messages=history, tools=TOOLS)

    assert text(message) == ANSWER
    sent = json.dumps(behind.requests[-1].body)
    assert all(piece in sent for piece in ("a picture", "no such zone", "And now?", PIXEL.partition("base64,")[2][:30]))


def test_image(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor) -> None:
    parts: Any = [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
        {"type": "text", "text": "What is it?"},
    ]

    say(anthropic_client, f"{upstream}/plain", messages=[{"role": "user", "content": parts}])

    assert "https://example.com/cat.png" in json.dumps(behind.requests[-1].body)


def test_json_schema(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string"}},
        "required": ["capital"],
        "additionalProperties": False,
    }

    message = say(
        anthropic_client, f"{upstream}/json", output_config={"format": {"type": "json_schema", "schema": schema}}
    )

    assert json.loads(text(message))["capital"] == "Paris"
    assert "capital" in json.dumps(behind.requests[-1].body)


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor, stream: bool) -> None:
    asked: Any = {"type": "enabled", "budget_tokens": 2048}
    if stream:
        with anthropic_client.messages.stream(
            model=f"{upstream}/thinking-text", max_tokens=4096, messages=ASK, thinking=asked
        ) as live:
            message: Any = live.get_final_message()
    else:
        message = say(anthropic_client, f"{upstream}/thinking-text", thinking=asked)

    assert ["thinking", "text"] == [block.type for block in message.content]
    assert message.content[0].thinking == "They ask for a capital."
    if upstream == "messy":
        assert message.content[0].signature == "c2lnbmF0dXJlLTE="


def test_thinking_goes_back_to_the_vendor_it_came_from(
    anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor
) -> None:
    first = say(anthropic_client, f"{upstream}/thinking-text", thinking={"type": "enabled", "budget_tokens": 2048})
    history: Any = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": "Why?"},
    ]

    say(anthropic_client, f"{upstream}/plain", messages=history, thinking={"type": "enabled", "budget_tokens": 2048})

    sent = json.dumps(behind.requests[-1].body)
    assert ("c2lnbmF0dXJlLTE=" in sent) == (upstream == "messy")


def test_max_tokens_and_refusal(anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor) -> None:
    assert say(anthropic_client, f"{upstream}/max-tokens", max_tokens=2).stop_reason == "max_tokens"
    assert say(anthropic_client, f"{upstream}/refusal").stop_reason == "refusal"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error", "status", "kind"),
    [
        ("fault-400", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("fault-401", anthropic.InternalServerError, 502, "api_error"),
        ("fault-404", anthropic.NotFoundError, 404, "not_found_error"),
        ("fault-413", anthropic.APIStatusError, 413, "request_too_large"),
        ("fault-429", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("fault-500", anthropic.InternalServerError, 500, "api_error"),
        ("fault-529", anthropic.APIStatusError, 529, "overloaded_error"),
    ],
)
def test_upstream_errors(
    anthropic_client: anthropic.Anthropic,
    upstream: str,
    behind: Vendor,
    fault: str,
    error: type[anthropic.APIStatusError],
    status: int,
    kind: str,
    stream: bool,
) -> None:
    with pytest.raises(error) as caught:
        anthropic_client.messages.create(model=f"{upstream}/{fault}", max_tokens=10, messages=ASK, stream=stream)

    body = caught.value.response.json()
    assert (status, kind) == (caught.value.status_code, body["error"]["type"])
    assert body["type"] == "error"
    assert body["request_id"] == caught.value.response.headers["request-id"]
    if fault == "fault-429":
        assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("fault", ["mid-error", "cut"])
def test_stream_that_fails_half_way_is_never_a_success(
    anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor, fault: str
) -> None:
    seen: list[str] = []

    with pytest.raises(anthropic.APIError):
        for event in anthropic_client.messages.create(
            model=f"{upstream}/{fault}", max_tokens=10, messages=ASK, stream=True
        ):
            seen.append(event.type)

    assert "message_stop" not in seen
    assert "message_delta" not in seen


def test_count_tokens_is_the_providers_own_or_says_that_it_is_an_estimate(
    anthropic_client: anthropic.Anthropic, upstream: str, behind: Vendor
) -> None:
    counted = anthropic_client.messages.with_raw_response.count_tokens(
        model=f"{upstream}/plain", messages=ASK, tools=TOOLS
    )

    tokens = counted.parse().input_tokens
    if upstream == "messy":
        assert (tokens, counted.headers["x-gatewright-token-count"]) == (42, "provider")
    else:
        assert 10 < tokens < 200
        assert counted.headers["x-gatewright-token-count"] == "estimate"


def test_models_in_anthropics_shape(anthropic_client: anthropic.Anthropic) -> None:
    page = anthropic_client.models.list(limit=2)

    assert len(page.data) == 2
    assert page.has_more
    assert {"sim/echo", "quick"} <= {model.id for model in anthropic_client.models.list(limit=2)}
    assert anthropic_client.models.retrieve("sim/echo").type == "model"


def test_wrong_key_and_unknown_model(served: Running, anthropic_client: anthropic.Anthropic) -> None:
    with (
        anthropic.Anthropic(base_url=served.url, api_key="gw-wrong", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(model="sim/echo", max_tokens=10, messages=ASK)
    with pytest.raises(anthropic.NotFoundError):
        say(anthropic_client, "nobody/knows")
