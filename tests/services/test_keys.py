"""Client keys over HTTP, where a real server would add nothing: changes at once, and times that no calendar has."""

from __future__ import annotations

import asyncio
import json
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


# -- pages

LISTS = {"/api/keys": "keys", "/api/usage/budget": "budgets"}
"""Where keys are listed, and what the rows are called there."""


async def pages(desk: Desk, path: str, limit: int, query: str = "") -> list[list[str]]:
    """The ids of each page; all of them say how many there are."""
    found: list[list[str]] = []
    totals: set[int] = set()
    after = ""
    while True:
        page = await desk.json("GET", path, query=f"limit={limit}{query}{after}", key=ADMIN)
        found.append([each.get("id") or each["keyId"] for each in page[LISTS[path]]])
        totals.add(page["total"])
        if "after" not in page:
            assert {sum(map(len, found))} == totals
            return found
        after = f"&after={page['after']}"


@pytest.fixture
async def listed_desk(tmp_path: Path) -> tuple[Desk, list[str]]:
    """Three keys of the configuration and five that were made, two of them another tenant's; and their ids in order."""
    config = CONFIG.replace("scopes: [view]", "scopes: [admin]") + "tenants: {acme: {}}\n"
    desk = Desk(tmp_path, config)
    ids = ["desk", "limited", "viewer"]
    for number, tenant in enumerate(("default", "acme", "default", "acme", "default")):
        fields = {"name": f"n{number}", "company_id": tenant}
        answer = await desk.call("POST", "/api/keys", fields, headers=JSON, key=ADMIN)
        ids.append(json.loads(answer.body)["id"])
    return desk, ids


@pytest.mark.parametrize("path", LISTS)
async def test_pages_of_keys_hold_every_one_once(listed_desk: tuple[Desk, list[str]], path: str) -> None:
    desk, ids = listed_desk

    for limit in (1, 2, 3, 4, 7, 8, 1000):
        found = await pages(desk, path, limit)
        assert ids == [id_ for page in found for id_ in page]
        assert {limit} >= {len(page) for page in found[:-1]}
        assert 1 <= len(found[-1]) <= limit
    for limit in (1, 2):
        assert [ids[4], ids[6]] == [id_ for page in await pages(desk, path, limit, "&company_id=acme") for id_ in page]
    without = await desk.json("GET", path, key=ADMIN)
    assert (len(ids), False) == (len(without[LISTS[path]]), "after" in without)


@pytest.mark.parametrize("path", LISTS)
async def test_what_is_no_place_of_the_list_is_refused(listed_desk: tuple[Desk, list[str]], path: str) -> None:
    desk, _ = listed_desk
    (other,) = set(LISTS) - {path}
    others = (await desk.json("GET", other, query="limit=1", key=ADMIN))["after"]

    for query, param in (
        (f"after={others}", "after"), ("after=desk", "after"), ("after=", "after"), ("limit=0", "limit"), ("limit=1001", "limit"),
    ):  # fmt: skip
        answer = await desk.call("GET", path, query=query, key=ADMIN)
        assert (400, param) == (answer.status, json.loads(answer.body)["param"]), query


async def test_a_page_says_which_configured_keys_are_revoked(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    await desk.json("POST", "/api/keys/limited/revoke", {}, headers=JSON, key=ADMIN)

    told = {each["id"]: each["isActive"] for each in await listed(desk)}
    assert {"desk": True, "limited": False, "viewer": True} == told
    assert (await desk.json("GET", "/api/keys/limited", key=ADMIN))["isActive"] is False
