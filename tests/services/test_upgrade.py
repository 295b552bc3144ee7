"""Before the store is brought to a newer schema, it is a backup."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from runtime.services.backup_files import BACKUPS, BackupFiles, pepper_mark, stamp_of
from runtime.services.upgrade import back_up_before_upgrade
from runtime.stores.database import DATABASE_FILE, Database, database_url
from runtime.stores.migrate import migrate
from runtime.stores.snapshot import examine


def older(data: Path) -> None:
    data.mkdir(mode=0o700)
    with create_engine(f"sqlite:///{data / DATABASE_FILE}").begin() as connection:
        config = Config()
        config.set_main_option("script_location", "runtime.stores:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    with closing(sqlite3.connect(data / DATABASE_FILE, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO keys (id, tenant, name, prefix, hash, scopes, models, pins, created_s, active)"
            " VALUES ('key_1', 'default', 'ci', 'gw-', 'h', '[]', '[]', '[]', 1.0, 1)"
        )


def back_up(data: Path) -> Path | None:
    url = database_url(None, data)
    return asyncio.run(back_up_before_upgrade(url, data, stamp_of(b"p" * 32), lambda: 1e9, lambda size: b"\1" * size))


def test_an_older_store_is_kept_as_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    older(data)

    path = back_up(data)
    assert path is not None
    contents = examine(path)
    assert (contents.schema, contents.rows["keys"], contents.mark) == ("0002", 1, pepper_mark(b"p" * 32))
    listed = BackupFiles(data / BACKUPS, lambda: 1e9, bytes).listed()
    assert [(each.reason, each.made_s) for each in listed] == [("migration", 1e9)]


def test_what_is_new_or_not_there_needs_none(tmp_path: Path) -> None:
    assert back_up(tmp_path / "data") is None
    (tmp_path / "data").mkdir()
    database = Database(database_url(None, tmp_path / "data"))

    async def make() -> None:
        await migrate(database)
        await database.aclose()

    asyncio.run(make())
    assert back_up(tmp_path / "data") is None
    assert not (tmp_path / "data" / BACKUPS).exists()


def test_marks_tell_peppers_apart_without_telling_them() -> None:
    marks = {pepper_mark(bytes([number]) * 32) for number in range(50)}

    assert len(marks) == 50
    assert all(0 < mark < 2**31 for mark in marks)
