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
    await reader.readuntil(b"\r\n\r\n")
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


async def left(desk: Desk) -> int:
    """How many more the key may ask for, after one more."""
    path, body, _ = OPERATIONS["chat"]
    asked = await desk.call("POST", path, body, headers=JSON)
    return int(asked.headers["x-ratelimit-remaining-requests"])
