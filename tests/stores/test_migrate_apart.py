"""What brings a store into shape is not kept by those who are started afterwards."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from runtime.stores.database import Database, database_url
from runtime.stores.migrate import SCHEMA, migrate_apart, schema_version
from tests.test_server import SIM, built


async def version_of(data: Path) -> str | None:
    database = Database(database_url(None, data))
    try:
        return await schema_version(database)
    finally:
        await database.aclose()


def test_a_first_start_makes_the_store_and_keeps_nothing_of_what_made_it(tmp_path: Path) -> None:
    root = built(tmp_path, SIM)
    code = (
        "import pathlib, sys, runtime.server\n"
        f"runtime.server.prepare(pathlib.Path({str(root)!r}), host=None, port=0)\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"alembic", "sqlalchemy.orm"} & set(ran.stdout.split()) == set()
    assert asyncio.run(version_of(root / "data")) == SCHEMA


def test_what_goes_wrong_apart_is_left_to_who_migrates_afterwards(tmp_path: Path) -> None:
    (tmp_path / "gatewright.db").write_text("no database at all")

    migrate_apart(database_url(None, tmp_path))

    assert (tmp_path / "gatewright.db").read_text() == "no database at all"


def test_a_parent_that_ignores_its_children_s_ends_is_served(tmp_path: Path) -> None:
    """The system takes them away itself then, and `waitpid` finds none; `serve` inherits that from who starts it."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        migrate_apart(database_url(None, tmp_path))
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert asyncio.run(version_of(tmp_path)) == SCHEMA
