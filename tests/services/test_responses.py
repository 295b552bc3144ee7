"""What is told of kept responses, in the whole application, before a real store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from runtime.stores.base import Key, StoredResponse
from runtime.stores.responses import SqlResponses
from tests.services.desk import Desk

RUNNING = StoredResponse(
    owner="desk",
    id="resp_1",
    status="in_progress",
    created_s=1.0,
    body=b'{"id":"resp_1","status":"in_progress"}',
    background=True,
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    assert made.built.parts.runs is not None
    made.built.parts.runs.doubt_s = 0.001
    return made


async def told(desk: Desk) -> tuple[str, Any]:
    found: dict[str, Any] = json.loads((await desk.call("GET", "/v1/responses/resp_1")).body)
    return found["status"], found["error"]["code"] if "error" in found else None


async def test_a_response_whose_lease_nobody_renews_has_failed(desk: Desk) -> None:
    store = desk.built.parts.responses
    assert store is not None
    await store.put(RUNNING, (), ())

    assert ("failed", "server_error") == await told(desk)
    assert ("failed", "server_error") == await told(desk)


async def test_a_response_whose_maker_could_not_reach_the_store_for_a_while_is_still_being_made(desk: Desk) -> None:
    """The store answers again, and whoever asks for a response comes before its maker, who renews the lease."""
    store, real = desk.built.parts.responses, SqlResponses.get
    assert store is not None
    await store.put(RUNNING, (), ())

    async def get(self: SqlResponses, key: Key) -> StoredResponse | None:
        found = await real(self, key)
        await self.renew([key], 1e12)
        return found

    with patch.object(SqlResponses, "get", get):
        assert ("in_progress", None) == await told(desk)
