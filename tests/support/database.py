"""A database in its present shape, made once and copied: what a server finds, without waiting for the migrations."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import asyncpg
from sqlalchemy.engine import URL

from runtime.stores.database import DATABASE_FILE, Database, database_url
from runtime.stores.migrate import migrate
from tests.support.postgres import Postgres

T = TypeVar("T")


def prepared(data: Path) -> URL:
    """The URL of the database file in ``data``, which is there afterwards."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (data / DATABASE_FILE).exists():
        (data / DATABASE_FILE).touch(0o600)
        (data / DATABASE_FILE).write_bytes(_template())
    return database_url(None, data)


@contextmanager
def prepared_on(server: Postgres) -> Iterator[str]:
    """The URL of an empty database of ``server``, for the block. Who comes later gets it emptied, if it has kept its shape."""
    spare = _spare(server)
    url = spare.pop() if spare else server.url(_template_on(server).rpartition("/")[2])
    yield url
    if _run(_emptied(url, _shape_on(server))):
        spare.append(url)


@cache
def _spare(server: Postgres) -> list[str]:
    """Databases that were used and are empty again: to make one takes ten times as long as to empty it."""
    return []


@cache
def _template() -> bytes:
    directory = Path(tempfile.mkdtemp())
    _run(_make(database_url(None, directory)))
    made = (directory / DATABASE_FILE).read_bytes()
    shutil.rmtree(directory)
    return made


@cache
def _template_on(server: Postgres) -> str:
    url = server.url()
    _run(_make(database_url(url, Path())))
    return url


@cache
def _shape_on(server: Postgres) -> tuple[object, ...]:
    return _run(_shape(_template_on(server)))


async def _shape(url: str) -> tuple[object, ...]:
    connection = await asyncpg.connect(url)
    try:
        return tuple(await connection.fetchrow(SHAPE))
    finally:
        await connection.close()


async def _make(url: URL) -> None:
    database = Database(url)
    await migrate(database)
    await database.aclose()


SHAPE = """
SELECT string_agg(concat_ws(' ', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull), ',' ORDER BY c.relname, a.attnum),
    (SELECT string_agg(version_num, ',') FROM schema_version), (SELECT count(*) FROM pg_namespace),
    (SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint)
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'public'::regnamespace
"""
OTHERS_END = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_version'"
ADVANCED = "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL"


async def _emptied(url: str, shape: tuple[object, ...]) -> bool:
    """Empty a database of this ``shape``; of another it stays as it is. Whether it holds nothing now but the shape's number."""
    there = await asyncpg.connect(url)
    try:
        await there.execute(OTHERS_END)
        if tuple(await there.fetchrow(SHAPE)) != shape:
            return False
        tables = [name for (name,) in await there.fetch(TABLES)]
        rows = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables)
        if filled := [name for (name,) in await there.fetch(rows)]:
            await there.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
        for (name,) in await there.fetch(ADVANCED):
            await there.execute(f"ALTER SEQUENCE {name} RESTART")
    except asyncpg.PostgresError:
        return False
    finally:
        await there.close()
    return True


def _run(work: Coroutine[object, object, T]) -> T:
    """In a thread: a loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
