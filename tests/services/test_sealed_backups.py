"""A copy of the store that somebody changed sends no secret where it was not given for."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.services.desk import CONFIG, Desk

SECRET = "sk-a-stored-credential-0123456789"
ADMIN = "gw-viewer"
ELSEWHERE = "https://198.51.100.7/v1"


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "data", CONFIG.replace("scopes: [view]", "scopes: [admin]"))
    given = await desk.call(
        "POST", "/api/providers", {"provider": "openai", "name": "main", "apiKey": SECRET}, key=ADMIN
    )
    assert given.status == 201, given.body
    return desk


async def exported(desk: Desk, path: Path) -> Path:
    reply = await desk.call("GET", "/api/db-backups/export", key=ADMIN)
    assert reply.status == 200
    path.write_bytes(reply.body)
    return path


def moved(path: Path) -> None:
    """As whoever has the file may change it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (document,) = db.execute("SELECT document FROM overrides WHERE name = 'openai'").fetchone()
        provider = json.loads(document)
        provider["connections"][0]["base_url"] = ELSEWHERE
        db.execute("UPDATE overrides SET document = ? WHERE name = 'openai'", (json.dumps(provider),))


async def imported(desk: Desk, path: Path) -> int:
    headers = {"content-type": "application/octet-stream"}
    status = (await desk.call("POST", "/api/db-backups/import", path.read_bytes(), headers=headers, key=ADMIN)).status
    await desk.built.overrides.catch_up()
    return status


def sent_to(desk: Desk) -> str | None:
    """Where the secret goes that is in force."""
    found = desk.built.overrides.effective
    if found.secrets.connections.get("openai/main") != SECRET:
        return None
    return found.artefact.plan.connections["openai/main"].base_url


@pytest.mark.parametrize("first", ["", "taken away"])
async def test_a_changed_copy_sends_no_secret_elsewhere(desk: Desk, tmp_path: Path, first: str) -> None:
    copy = await exported(desk, tmp_path / "copy")
    moved(copy)
    if first:
        assert (await desk.call("DELETE", "/api/providers/openai:main", key=ADMIN)).status in {200, 204}

    assert await imported(desk, copy) == 422
    assert sent_to(desk) in {None, "https://api.openai.com/v1"}


async def test_a_copy_that_nobody_changed_brings_back_what_was_taken_away(desk: Desk, tmp_path: Path) -> None:
    copy = await exported(desk, tmp_path / "copy")
    assert (await desk.call("DELETE", "/api/providers/openai:main", key=ADMIN)).status in {200, 204}
    assert sent_to(desk) is None

    assert await imported(desk, copy) == 200
    assert sent_to(desk) == "https://api.openai.com/v1"


async def test_a_copy_of_an_older_release_comes_back_where_its_secrets_go_as_they_do(
    desk: Desk, tmp_path: Path
) -> None:
    copy = await exported(desk, tmp_path / "copy")
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("DROP TABLE seal")

    assert await imported(desk, copy) == 200
    assert sent_to(desk) == "https://api.openai.com/v1"


async def test_a_seal_of_somebody_else_is_none(desk: Desk, tmp_path: Path) -> None:
    copy = await exported(desk, tmp_path / "copy")
    moved(copy)
    for seal in (b"", bytes(32), "text", None, 5):
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.execute("DROP TABLE IF EXISTS seal")
            db.execute("CREATE TABLE seal (mac)")
            db.execute("INSERT INTO seal VALUES (?)", (seal,))
        assert await imported(desk, copy) == 422, seal
