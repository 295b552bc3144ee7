"""A refusal that repeats what the request said: it says nothing against the account that was asked."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from runtime.errors import InvalidRequest
from tests.support.pipeline import acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, answer, raw_server

ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
}  # fmt: skip
MESSAGES = {"messages": [{"role": "user", "content": "x"}]}


async def fine(connection: RawConnection, _: RawRequest) -> None:
    await connection.send(answer(json.dumps(ANSWER).encode(), "content-type: application/json"))


def refusing(status: int, message: str, **more: Any) -> Any:
    async def act(connection: RawConnection, _: RawRequest) -> None:
        said = {"error": {"message": message, "type": "invalid_request_error", **more}}
        await connection.send(answer(json.dumps(said).encode(), "content-type: application/json", status=status))

    return act


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (
            "Invalid value: 'Insufficient credit'. Supported values are: 'auto'.",
            {"service_tier": "Insufficient credit"},
        ),
        ("Unrecognized request argument supplied: insufficient credit", {"insufficient credit": 1}),
        ("Unrecognized request argument supplied: rate limit", {"rate limit": 1}),
        (
            "Both 'too many requests' and 'not enough credits' are unknown.",
            {"x": "too many requests, not enough credits"},
        ),
    ],
)
@pytest.mark.parametrize("client", ["openai_chat", "anthropic_messages"])
async def test_words_that_a_provider_repeats_take_no_account_away(
    client: str, message: str, fields: dict[str, Any]
) -> None:
    """Its client alone is told, in the provider's words; others are served as before."""
    async with (
        raw_server(acts(refusing(400, message), then=fine)) as server,
        pipeline("providers:\n" + provider("p", server, protocol=client)) as pipe,
    ):
        said = await pipe.call("p/m", client=client, **fields)
        rests = pipe.health.snapshot().rests
    assert said.error is not None
    assert ("invalid_request", message, message) == (said.error.kind, said.error.message, str(said.error))
    assert () == rests


async def test_words_that_are_written_otherwise_are_known_too() -> None:
    body = b'{"model":"p/m","messages":[{"role":"user","content":"x"}],"insufficient\\u0020credit":1}'
    async with (
        raw_server(acts(refusing(400, "Unknown: insufficient credit"), then=fine)) as server,
        pipeline("providers:\n" + provider("p", server)) as pipe,
    ):
        call = pipe.make("openai_chat", "p/m", stream=False)
        with pytest.raises(InvalidRequest, match="Unknown"):
            await pipe.gateway.infer(msgspec.structs.replace(call, envelope=call.codec.peek(body)))
        assert () == pipe.health.snapshot().rests


async def test_words_in_a_models_name_are_its_clients() -> None:
    """Where the name stands in the URL."""

    async def not_found(connection: RawConnection, _: RawRequest) -> None:
        said = {"error": {"code": 404, "message": "models/enable billing is not found", "status": "NOT_FOUND"}}
        await connection.send(answer(json.dumps(said).encode(), "content-type: application/json", status=404))

    async with (
        raw_server(acts(then=not_found)) as server,
        pipeline("providers:\n" + provider("p", server, "open_models: true", "gemini")) as pipe,
    ):
        said = await pipe.call("p/enable billing", client="gemini")
    assert said.error is not None
    assert ("model_not_found", ()) == (said.error.kind, pipe.health.snapshot().rests)


async def test_a_provider_that_says_so_by_itself_is_believed() -> None:
    async with (
        raw_server(acts(refusing(400, "You have insufficient credit."), then=fine)) as server,
        pipeline("providers:\n" + provider("p", server)) as pipe,
    ):
        said = await pipe.call("p/m")
    assert said.error is not None
    assert ("upstream_quota", ["quota"]) == (said.error.kind, [each.kind for each in pipe.health.snapshot().rests])
