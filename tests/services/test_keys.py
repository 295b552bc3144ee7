"""Client keys over HTTP, where a real server would add nothing: changes at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.services.desk import CONFIG, Desk

ADMIN = "gw-viewer"
JSON = {"content-type": "application/json"}


def desk_of(data: Path) -> Desk:
    return Desk(data, CONFIG.replace("scopes: [view]", "scopes: [admin]"))


async def made(desk: Desk, **fields: Any) -> str:
    answer = await desk.call("POST", "/api/keys", {"name": "a", **fields}, headers=JSON, key=ADMIN)
    assert answer.status == 201, answer.body
    (found,) = [each for each in await listed(desk) if each["source"] == "store"]
    return str(found["id"])


async def listed(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await desk.json("GET", "/api/keys", key=ADMIN))["keys"]
    return found


async def test_two_changes_of_one_key_at_once_both_happen(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    id_ = await made(desk)

    await asyncio.gather(
        desk.json("PATCH", f"/api/keys/{id_}", {"maxRequestsPerMinute": 10}, headers=JSON, key=ADMIN),
        desk.json("POST", "/api/usage/budget", {"keyId": id_, "dailyLimitUsd": 5}, headers=JSON, key=ADMIN),
    )
    found = await desk.json("GET", f"/api/keys/{id_}", key=ADMIN)
    assert sorted(next(iter(limit)) for limit in found["limits"]) == ["requests", "usd"]
