"""A database in its present shape, made once and copied: what a server finds, without waiting for the migrations."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path

from sqlalchemy.engine import URL

from runtime.stores.database import DATABASE_FILE, Database, database_url
from runtime.stores.migrate import migrate


def prepared(data: Path) -> URL:
    """The URL of the database file in ``data``, which is there afterwards."""
    data.mkdir(parents=True, exist_ok=True)
    if not (data / DATABASE_FILE).exists():
        (data / DATABASE_FILE).write_bytes(_template())
    return database_url(None, data)


@cache
def _template() -> bytes:
    directory = Path(tempfile.mkdtemp())
    maker = threading.Thread(target=lambda: asyncio.run(_make(directory)))  # a loop may be running in this one
    maker.start()
    maker.join()
    made = (directory / DATABASE_FILE).read_bytes()
    shutil.rmtree(directory)
    return made


async def _make(directory: Path) -> None:
    database = Database(database_url(None, directory))
    await migrate(database)
    await database.aclose()
