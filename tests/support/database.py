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
from tests.support.postgres import Postgres


def prepared(data: Path) -> URL:
    """The URL of the database file in ``data``, which is there afterwards."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (data / DATABASE_FILE).exists():
        (data / DATABASE_FILE).touch(0o600)
        (data / DATABASE_FILE).write_bytes(template())
    return database_url(None, data)


def prepared_on(server: Postgres) -> str:
    """The URL of a database of ``server``, which is there afterwards."""
    return server.url(_template_on(server))


@cache
def template() -> bytes:
    """The file of an empty database. Made once for all forks when the process that they are of has asked for it."""
    directory = Path(tempfile.mkdtemp())
    _make(database_url(None, directory))
    made = (directory / DATABASE_FILE).read_bytes()
    shutil.rmtree(directory)
    return made


@cache
def _template_on(server: Postgres) -> str:
    url = server.url()
    _make(database_url(url, Path()))
    return url.rpartition("/")[2]


def _make(url: URL) -> None:
    async def make() -> None:
        database = Database(url)
        await migrate(database)
        await database.aclose()

    maker = threading.Thread(target=lambda: asyncio.run(make()))  # a loop may be running in this one
    maker.start()
    maker.join()
