"""In the whole application: questions by their meaning over a real embeddings server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services.desk import CONFIG, KEY, LIMITED_KEY, Desk
from tests.support.raw_server import RawConnection, RawRequest, answer, each_request, raw_server

JSON = "content-type: application/json"
SEMANTIC = "semantic: {models: [wide/faq], embedding: wide/vec, scope: all, wait: 20s}"
EXACT = "exact: {models: [wide/faq], scope: all}"
OPEN = CONFIG.replace(", models: [sim/tools]", "")
BARS: dict[str, tuple[str, dict[str, str]]] = {
    "its models": (CONFIG, {}),
    "a policy": (f"{OPEN}policies: {{wall: {{keys: [limited], allowed_models: [sim/tools, wide/vec]}}}}\n", {}),
    "its pins": (OPEN.replace("scopes: [chat]", "pins: [wide/main]", 1), {"x-gatewright-connection": "main"}),
}
"""What keeps the key `limited` from an answer, and with which headers."""
VECTORS = {"how do I reset it": [1.0, 0.0], "how can I reset it": [1.0, 0.1], "what is it": [0.0, 1.0]}


class House:
    """A server for chats and embeddings that counts what it is asked."""

    def __init__(self) -> None:
        self.chats = 0
        self.embeddings = 0
        self.status = 200
        self.patience_s = 0.0

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        body = json.loads(request.body)
        if request.target.endswith("/embeddings"):
            self.embeddings += 1
            await asyncio.sleep(self.patience_s)
            vector = {"object": "embedding", "index": 0, "embedding": VECTORS[body["input"]]}
            told: dict[str, Any] = {"object": "list", "data": [vector], "model": "v", "usage": {"prompt_tokens": 3}}
            await connection.send(answer(json.dumps(told).encode(), JSON, status=self.status))
            return
        self.chats += 1
        message = {"role": "assistant", "content": f"answer {self.chats}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        told = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        await connection.send(answer(json.dumps(told).encode(), JSON))


@asynccontextmanager
async def housed(
    data: Path, cache: str = SEMANTIC, config: str = CONFIG, models: str = "faq: {}, vec: {endpoint: embeddings}"
) -> AsyncGenerator[tuple[Desk, House]]:
    house = House()
    async with raw_server(each_request(house.respond)) as server:
        config = (
            config.replace("http://127.0.0.1:9/v1", f"{server.url}/v1")
            .replace("sim/echo-copy: {}", models)
            .replace(
                "surfaces: {openai_chat: {}}\n    auth", "surfaces: {openai_chat: {}, openai_embeddings: {}}\n    auth"
            )
            + f"cache: {{{cache}}}\n"
            + "retries: {per_target: 0}\n"
        )
        desk = Desk(data, config)
        async with desk.app.lifespan():
            yield desk, house


async def asked(desk: Desk, text: str, **more: Any) -> tuple[str, str | None]:
    body = {"model": "wide/faq", "temperature": 0, "messages": [{"role": "user", "content": text}], **more}
    found = await desk.call("POST", "/v1/chat/completions", body)
    assert 200 == found.status, found.body
    return json.loads(found.body)["choices"][0]["message"]["content"], dict(found.headers).get("x-omniroute-cache")


async def test_a_question_in_other_words_gets_the_same_answer(tmp_path: Path) -> None:
    async with housed(tmp_path) as (desk, house):
        found = [await asked(desk, text) for text in ("how do I reset it", "how can I reset it", "what is it")]
        assert [("answer 1", "MISS"), ("answer 1", "HIT"), ("answer 2", "MISS")] == found
        assert (2, 3) == (house.chats, house.embeddings)


@pytest.mark.parametrize("cache", [EXACT, SEMANTIC], ids=["exact", "semantic"])
@pytest.mark.parametrize("bar", BARS)
async def test_a_key_is_refused_with_a_cache_what_it_is_refused_without(tmp_path: Path, bar: str, cache: str) -> None:
    config, headers = BARS[bar]
    body = {"model": "wide/faq", "temperature": 0, "messages": [{"role": "user", "content": "what is it"}]}
    async with housed(tmp_path, cache, config) as (desk, house):
        calls = [
            await desk.call("POST", "/v1/chat/completions", body, headers=headers, key=key)
            for key in (LIMITED_KEY, KEY, KEY, LIMITED_KEY)
        ]

    assert [403, 200, 200, 403] == [each.status for each in calls]
    assert [None, "MISS", "HIT", None] == [dict(each.headers).get("x-omniroute-cache") for each in calls]
    assert calls[0].body == calls[3].body
    assert 1 == house.chats


@pytest.mark.parametrize("cache", [EXACT, SEMANTIC], ids=["exact", "semantic"])
@pytest.mark.parametrize(
    "reference", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}], ids=["told", "bare"]
)
async def test_what_stands_for_a_kept_item_is_answered_for_its_own_key(
    tmp_path: Path, reference: dict[str, str], cache: str
) -> None:
    """Two keys call an item of theirs the same, and share a cache."""
    async with housed(tmp_path, cache, OPEN) as (desk, house):
        for key in (KEY, LIMITED_KEY):
            own = {"type": "message", "id": "msg_1", "role": "user", "content": f"I hold {key}"}
            body: dict[str, Any] = {"model": "wide/faq", "input": [own]}
            assert 200 == (await desk.call("POST", "/v1/responses", body, key=key)).status
        body |= {"input": [reference, {"role": "user", "content": "what is it"}], "temperature": 0, "store": False}
        found = [await desk.call("POST", "/v1/responses", body, key=key) for key in (KEY, LIMITED_KEY)]

    assert ["MISS", "MISS"] == [dict(each.headers).get("x-omniroute-cache") for each in found]
    assert 4 == house.chats


async def test_a_policy_need_not_allow_the_model_that_makes_vectors_and_counts_what_they_take(tmp_path: Path) -> None:
    wall = "policies: {wall: {keys: [desk], allowed_models: [wide/faq], limits: [{tokens: 1000000, per: 1h}]}}\n"
    async with housed(tmp_path, config=CONFIG + wall) as (desk, house):
        found = [await asked(desk, text) for text in ("how do I reset it", "how can I reset it")]
        own = await desk.call("POST", "/v1/embeddings", {"model": "wide/vec", "input": "what is it"})
        await desk.built.parts.drain.once()
        of_policy, of_key = "policy/wall/key/desk", "key/desk"
        spent = await desk.built.parts.spending.days([of_policy, of_key], 0)

    assert [("answer 1", "MISS"), ("answer 1", "HIT")] == found
    assert (403, 2) == (own.status, house.embeddings)
    assert [1] == [row.requests for row in spent[of_policy]]
    assert [row.tokens for row in spent[of_key]] == [row.tokens for row in spent[of_policy]]


@pytest.mark.parametrize("fault", ["status", "silence"])
async def test_an_embedding_model_that_fails_fails_nobody(tmp_path: Path, fault: str) -> None:
    async with housed(tmp_path, SEMANTIC.replace("20s", "200ms")) as (desk, house):
        house.status, house.patience_s = (500, 0.0) if fault == "status" else (200, 5.0)
        for number in (1, 2):
            assert (f"answer {number}", "MISS") == await asked(desk, "how do I reset it")


async def test_vectors_cost_what_they_cost_and_are_no_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key's dollars pay for them, and where there are too few left for another one, a model is asked without."""
    monkeypatch.setattr("runtime.limits.reserves.ANSWER_S", 30.0)  # a busy machine is no fault
    question = "how do I reset it"
    bound = len(question) // 2 + 2
    dollars = f"{bound / 1000 + 0.0045:.4f}"
    limits = f'[{{requests: 2, per: day}}, {{concurrency: 1}}, {{usd: "{dollars}", per: 1h}}]'
    priced = 'input: "1000", output: 0, source: test, date: "2026-11-01"'
    free = priced.replace('"1000"', "0")
    models = f"faq: {{prices: {{{free}}}}}, vec: {{endpoint: embeddings, prices: {{{priced}}}}}"
    config = CONFIG.replace('"${DESK_KEY}", scopes: [chat]', f'"${{DESK_KEY}}", scopes: [chat], limits: {limits}')
    async with housed(tmp_path, config=config, models=models) as (desk, house):
        found = [await asked(desk, question) for _ in range(3)]
        await desk.built.parts.drain.once()
        spent = await desk.built.parts.spending.days(["key/desk"], 0)

    assert [("answer 1", "MISS"), ("answer 1", "HIT"), ("answer 2", "MISS")] == found
    assert (2, 2) == (house.chats, house.embeddings)
    assert [(2, 6_000_000)] == [(row.requests, row.nano_usd) for row in spent["key/desk"]]
