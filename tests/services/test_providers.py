"""Below `/providers/<provider>` a model is that provider's: with its prefix or without, and never another's."""

import json
from typing import Any

import pytest

from tests.services.desk import Desk

HI = [{"role": "user", "content": "hi"}]
PATHS: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": HI, "max_tokens": 50},
    "messages": {"messages": HI, "max_tokens": 50},
    "completions": {"prompt": "hi", "max_tokens": 50},
    "responses": {"input": "hi", "store": False},
    "embeddings": {"input": "hi"},
}
STREAMED = [path for path in PATHS if path != "embeddings"]


def body(path: str, model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, **PATHS[path], **more}


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("model", ["echo", "sim/echo"])
async def test_a_model_is_called_with_its_prefix_or_without_and_named_as_it_was(
    desk: Desk, path: str, model: str
) -> None:
    answer = await desk.call("POST", f"/v1/providers/sim/{path}", body(path, model))

    assert 200 == answer.status
    assert model == json.loads(answer.body)["model"]
    assert "sim/echo" == answer.headers["x-gatewright-served"]


@pytest.mark.parametrize("path", STREAMED)
async def test_a_stream_names_the_model_as_the_client_did(desk: Desk, path: str) -> None:
    answer = await desk.call("POST", f"/v1/providers/sim/{path}", body(path, "echo", stream=True))

    events = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    named = [
        found
        for event in events
        if (found := event.get("model") or event.get("message", event.get("response", {})).get("model"))
    ]
    assert {"echo"} == set(named)
    assert answer.complete


@pytest.mark.parametrize("path", PATHS)
async def test_another_providers_model_is_refused_and_both_are_named(desk: Desk, path: str) -> None:
    answer = await desk.call("POST", f"/v1/providers/wide/{path}", body(path, "sim/echo"))

    assert 400 == answer.status
    assert b"'sim'" in answer.body
    assert b"'wide'" in answer.body


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_provider_is_not_found_and_the_likely_one_is_named(desk: Desk, path: str) -> None:
    answer = await desk.call("POST", f"/v1/providers/sym/{path}", body(path, "echo"))

    assert 404 == answer.status
    assert b"did you mean 'sim'?" in answer.body


async def test_a_kept_response_is_asked_for_below_the_common_path_and_names_the_model_as_it_was(desk: Desk) -> None:
    made = await desk.json("POST", "/v1/providers/sim/responses", {"model": "echo", "input": "hi"})

    assert made["model"] == "echo"
    assert made["output"] == (await desk.json("GET", f"/v1/responses/{made['id']}"))["output"]


async def test_a_name_that_only_begins_like_another_providers_is_the_providers_own(calling_desk: Desk) -> None:
    asked = body("chat/completions", "sim/echo-copy")
    answer = await calling_desk.call("POST", "/v1/providers/wide/chat/completions", asked)

    assert 503 == answer.status, "the provider was called, and is not there"


async def test_an_unknown_model_of_the_provider_is_not_found(desk: Desk) -> None:
    answer = await desk.call("POST", "/v1/providers/sim/chat/completions", body("chat/completions", "nope"))

    assert (404, "model_not_found") == (answer.status, json.loads(answer.body)["error"]["code"])


async def test_a_providers_models_are_listed_by_its_own_names(desk: Desk) -> None:
    listed = await desk.json("GET", "/v1/providers/wide/models")

    assert ["Qwen/Qwen3-8B:free", "sim/echo-copy"] == [one["id"] for one in listed["data"]]


@pytest.mark.parametrize(
    ("headers", "field"), [({"anthropic-version": "1"}, "has_more"), ({"x-goog-api-client": "x"}, "models")]
)
async def test_a_providers_models_are_listed_in_the_clients_dialect(
    desk: Desk, headers: dict[str, str], field: str
) -> None:
    assert field in await desk.json("GET", "/v1/providers/wide/models", headers=headers)


async def test_models_of_an_unknown_provider_are_not_found(desk: Desk) -> None:
    answer = await desk.call("GET", "/v1/providers/sym/models")

    assert (404, "invalid_provider") == (answer.status, json.loads(answer.body)["error"]["code"])
