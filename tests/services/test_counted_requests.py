"""What limits of requests count is what the ledger says they counted: after a restart a key has as many left as before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.desk import CONFIG, Desk

JSON = {"content-type": "application/json"}
COUNTED = 5
LIMITED = CONFIG.replace("scopes: [chat]}", "scopes: [chat], limits: [{requests: 9, per: day}]}", 1)
PROVIDER = """providers:
  counter:
    base_url: http://127.0.0.1:PORT
    local: true
    surfaces: {anthropic_messages: {count_tokens: /v1/messages/count_tokens}}
    auth: {scheme: none}
    connections: [{id: main}]
    models: {m: {}}
  full:
    base_url: http://127.0.0.1:PORT/full/v1
    local: true
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    connections: [{id: main}]
    models: {m: {}}
"""
HELLO = [{"role": "user", "content": "hi"}]
OPERATIONS: dict[str, tuple[str, dict[str, Any], int]] = {
    "chat": ("/v1/chat/completions", {"model": "sim/echo", "messages": HELLO}, 1),
    "several prompts": ("/v1/completions", {"model": "sim/echo", "prompt": ["one", "two", "three"]}, 3),
    "several streamed": ("/v1/completions", {"model": "sim/echo", "prompt": ["one", "two"], "stream": True}, 2),
    "one prompt": ("/v1/completions", {"model": "sim/echo", "prompt": ["one"]}, 1),
    "count": ("/v1/messages/count_tokens", {"model": "counter/m", "messages": HELLO}, 0),
    "estimate": ("/v1/messages/count_tokens", {"model": "sim/echo", "messages": HELLO}, 0),
    "meter": ("/api/v1/usage", {"source": "whisper", "duration_s": 1}, 0),
}
"""Where it is asked for, with what, and how many requests that is."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readuntil(b"\r\n\r\n")
    if b"/full/" in asked:
        writer.write(b"HTTP/1.1 429 Later\r\nretry-after: 3000\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        return
    body = b'{"input_tokens": %d}' % COUNTED
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(body) + body)
    await writer.drain()
    writer.close()


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Its key `desk` may ask nine times a day."""
    monkeypatch.setattr("runtime.limits.reserves.ANSWER_S", 30.0)  # a busy machine is no fault
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = Desk(tmp_path, LIMITED.replace("providers:\n", PROVIDER.replace("PORT", str(port)), 1))
    await made.built.parts.drain.catch_up()
    yield made
    await made.built.parts.upstream.aclose()
    server.close()


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_the_ledger_knows_as_many_requests_as_were_let_in(desk: Desk, operation: str) -> None:
    path, body, requests = OPERATIONS[operation]
    for _ in range(2):
        assert 200 == (await desk.call("POST", path, body, headers=JSON)).status
    assert 9 - 2 * requests - 1 == await left(desk), "what was let in"

    parts = desk.built.parts
    await parts.drain.once()
    (rule,) = [rule for rule, _ in parts.reserves._recent.values()]
    (seed,) = await parts.reserves._seeds([rule])
    assert 2 * requests + 1 == sum(seed.buckets.values())
    await parts.reserves.compare([rule])
    assert 9 - 2 * requests - 2 == await left(desk), "nothing was lost, and nothing came in addition"


UNASKED: dict[str, tuple[str, dict[str, Any], int]] = {
    "chat": ("/v1/chat/completions", {"model": "full/m", "messages": HELLO}, 1),
    "streamed": ("/v1/chat/completions", {"model": "full/m", "messages": HELLO, "stream": True}, 1),
    "several prompts": ("/v1/completions", {"model": "full/m", "prompt": ["one", "two"]}, 2),
}


@pytest.mark.parametrize("operation", UNASKED)
async def test_the_ledger_knows_a_request_that_was_let_in_and_found_nobody_to_ask(desk: Desk, operation: str) -> None:
    """The provider said when it wants to be asked again, and is not before."""
    path, body, requests = UNASKED[operation]
    first = await desk.call("POST", "/v1/chat/completions", UNASKED["chat"][1], headers=JSON)
    unasked = await desk.call("POST", path, body, headers=JSON)
    refused = await desk.call("POST", path, body | {"model": "full/nothing"}, headers=JSON)
    assert (429, 404) == (first.status, refused.status)
    assert unasked.status in {429, 503}
    assert 9 - 1 - requests - 1 == await left(desk), "what was let in"

    parts = desk.built.parts
    await parts.drain.once()
    history = await desk.json("GET", "/api/usage/history", key="gw-viewer")
    attempts = [len((await logged(desk, each)).get("attempts", ())) for each in (first, unasked, refused)]
    assert ([1, 0, 0], 4) == (attempts, history["totalRequests"])
    budgets = await desk.json("GET", "/api/usage/budget", query="keyId=desk", key="gw-viewer")
    assert [1 + requests + 1] == [each["requestsToday"] for each in budgets["budgets"]]
    (rule,) = [rule for rule, _ in parts.reserves._recent.values()]
    await parts.reserves.compare([rule])
    assert 9 - 1 - requests - 2 == await left(desk), "nothing was given back"


async def test_metrics_the_ledger_and_budgets_say_how_many_there_were_each_in_its_way(desk: Desk) -> None:
    """Calls that were answered or failed, and those that were refused, are together those of the ledger."""
    operations = OPERATIONS | {"unasked": UNASKED["chat"], "unasked again": UNASKED["chat"]}
    for path, body, _ in operations.values():
        await desk.call("POST", path, body, headers=JSON)
    await desk.call("POST", "/v1/chat/completions", {"model": "full/nothing", "messages": HELLO}, headers=JSON)

    await desk.built.parts.drain.once()
    metrics = (await desk.call("GET", "/metrics", key="gw-viewer")).body.decode()
    counted = {
        name: sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(f"{name}{{"))
        for name in ("gatewright_requests_total", "gatewright_refused_total")
    }
    history = await desk.json("GET", "/api/usage/history", key="gw-viewer")
    assert len(operations) + 1 == history["totalRequests"] == sum(counted.values())
    assert 2 == counted["gatewright_refused_total"], "of an unknown model, and where nobody was there to be asked"
    assert 'error_type=""' not in "".join(line for line in metrics.splitlines() if "gatewright_refused" in line)
    (budget,) = (await desk.json("GET", "/api/usage/budget", query="keyId=desk", key="gw-viewer"))["budgets"]
    assert sum(requests for _, _, requests in operations.values()) == budget["requestsToday"]


async def logged(desk: Desk, answer: Any) -> dict[str, Any]:
    """What the ledger says of the call."""
    id_ = answer.headers["x-gatewright-decision"]
    found: dict[str, Any] = await desk.json("GET", f"/api/usage/call-logs/{id_}", key="gw-viewer")
    return found


async def left(desk: Desk) -> int:
    """How many more the key may ask for, after one more."""
    path, body, _ = OPERATIONS["chat"]
    asked = await desk.call("POST", path, body, headers=JSON)
    return int(asked.headers["x-ratelimit-remaining-requests"])
