"""Client keys over HTTP, where a real server would add nothing: changes at once, and times that no calendar has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from runtime.stores.keys import SqlKeys
from runtime.stores.tables import keys
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


async def test_a_key_that_ends_in_a_year_without_a_name_is_not_made(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    far = {"name": "far", "expiresAt": "9999-12-31T23:59:59-12:00"}

    answer = await desk.call("POST", "/api/keys", far, headers=JSON, key=ADMIN)
    assert (answer.status, b"9999" in answer.body) == (400, True)


async def test_a_stored_key_that_ends_in_a_year_without_a_name_does_not_break_the_list(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    id_ = await made(desk, expiresAt="2999-01-01T00:00:00Z")
    far = update(keys).where(keys.c.id == id_).values(expires_s=253_402_343_999.0)
    await desk.built.parts.database.write(lambda db: db.execute(far))

    ends = {each["id"]: each.get("expiresAt") for each in await listed(desk)}
    assert ends[id_] == "9999-12-31T23:59:59Z"


async def test_a_question_about_one_key_reads_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of(tmp_path)
    id_ = await made(desk, budget=5)
    await desk.built.parts.good_keys.refresh()

    async def fail(*_: object) -> None:
        raise AssertionError("all keys were read")

    with monkeypatch.context() as patched:
        patched.setattr(SqlKeys, "all", fail)
        assert id_ == (await desk.json("GET", f"/api/keys/{id_}", key=ADMIN))["id"]
        budgets = await desk.json("GET", "/api/usage/budget", query=f"keyId={id_}", key=ADMIN)
    assert [(id_, 5.0)] == [(each["keyId"], each["monthlyLimitUsd"]) for each in budgets["budgets"]]
    assert 404 == (await desk.call("GET", "/api/keys/nobody", key=ADMIN)).status
    assert "desk" == (await desk.json("GET", "/api/keys/desk", key=ADMIN))["id"]
    assert ["desk"] == [
        each["keyId"]
        for each in (await desk.json("GET", "/api/usage/budget", query="keyId=desk", key=ADMIN))["budgets"]
    ]
