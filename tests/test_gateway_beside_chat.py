"""What the pipeline is asked beside chat, against a scripted upstream: vectors and counts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from runtime.catalog import Endpoint, Model
from runtime.config.plan import PlannedModel, PlannedTarget, Route
from runtime.errors import (
    InvalidRequest,
    ModelNotFound,
    PermissionDenied,
    RateLimited,
)
from runtime.estimate import Estimator
from runtime.gateway import Count, EmbedCall, Gateway
from runtime.protocols import EMBEDDERS, embedder
from runtime.routing import RouteTable
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord
from tests.support.routing import attempts, guide
from tests.test_gateway import CODEC, Desk, Upstream, plan


def embedding_desk(script: list[Any], status: int = 200) -> tuple[Gateway, Upstream, CallRecord]:
    facts = Model(id="e", endpoint=Endpoint.EMBEDDINGS)
    made = plan("openai_embeddings")
    made = msgspec.structs.replace(
        made,
        models={"p/e": PlannedModel(id="p/e", provider="p", facts=facts)},
        routes={
            "p/e": Route(
                name="p/e",
                kind="model",
                endpoint=Endpoint.EMBEDDINGS,
                targets=(PlannedTarget(model="p/e", connections=("p/main",)),),
            )
        },
    )
    desk = Desk("openai_chat", script, status)
    embedders = {name: embedder(name) for name in EMBEDDERS}
    routes = RouteTable(made, {"p/main": None})
    gateway = Gateway(
        made,
        CODEC,
        embedders,
        routes,
        attempts(),
        desk.upstream,
        desk.recorder,
        Estimator(),
        desk.door,
        lambda: 1.0,
        guide(),
    )
    return gateway, desk.upstream, desk.recorder.begin("id-1", "embeddings", "openai_embeddings")


def embed_call(record: CallRecord, model: str = "p/e", models: tuple[str, ...] = ()) -> EmbedCall:
    speak = embedder("openai_embeddings")
    body = json.dumps({"model": model, "input": ["a"]}).encode()
    key = KeyRecord(id="k", scopes=frozenset({"chat"}), models=models)
    return EmbedCall(embedder=speak, envelope=speak.peek(body), key=key, record=record)


async def test_vectors_pass_through_with_usage_in_the_record() -> None:
    answer = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}'
    gateway, upstream, record = embedding_desk([answer])
    reply = await gateway.embed(embed_call(record))

    assert answer.replace(b'"e"', b'"p/e"') == reply.body
    assert "https://p.example/v1/embeddings" == upstream.requests[0].to.url
    assert {"model": "e", "input": ["a"]} == json.loads(upstream.requests[0].body)
    assert 3 == (record.usage.input if record.usage else None)


async def test_embedding_errors_are_typed_and_chat_models_are_no_embedders() -> None:
    gateway, upstream, record = embedding_desk(
        [b'{"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}'], 429
    )
    with pytest.raises(RateLimited):
        await gateway.embed(embed_call(record))
    with pytest.raises(PermissionDenied):
        await gateway.embed(embed_call(record, models=("other/*",)))
    with pytest.raises(ModelNotFound):
        await Desk("openai_chat", []).gateway.embed(embed_call(record, model="p/m"))
    assert 1 == len(upstream.requests)


async def counted(script: list[Any], status: int) -> tuple[Count, int]:
    """A count by a provider that can count, and how often it was asked."""
    desk = Desk("anthropic_messages", script, status)
    return await desk.gateway.count(desk.call("anthropic_messages", stream=False)), len(desk.upstream.requests)


async def test_a_provider_counts_where_it_can() -> None:
    assert (Count(tokens=42, estimated=False), 1) == await counted([b'{"input_tokens":42}'], 200)


@pytest.mark.parametrize("status", [401, 404, 405, 429, 500, 503, 529])
async def test_a_count_that_a_provider_does_not_give_is_estimated(status: int) -> None:
    count, asked = await counted([b'{"type":"error","error":{"type":"x","message":"no"}}'], status)

    assert (True, 1) == (count.estimated, asked)
    assert count.tokens > 0


async def test_a_request_that_a_provider_cannot_understand_is_not_estimated() -> None:
    with pytest.raises(InvalidRequest):
        await counted([b'{"type":"error","error":{"type":"invalid_request_error","message":"messages: empty"}}'], 400)


async def test_an_estimate_asks_nobody() -> None:
    desk = Desk("anthropic_messages", [], 200)

    assert desk.gateway.estimate(desk.call("anthropic_messages", stream=False)).estimated
    assert [] == desk.upstream.requests
