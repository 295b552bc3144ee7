"""Connections for coroutines that are cancelled, and what they find."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import Engine, QueuePool, create_engine, event, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from runtime.stores.connection import connected


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncGenerator[Engine, None]:
    made = create_engine(f"sqlite+aiosqlite:///{tmp_path}/some.db")
    yield made
    await greenlet_spawn(made.dispose)


def taken(engine: Engine) -> int:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


async def test_who_is_cancelled_has_given_the_connection_back(engine: Engine) -> None:
    """Also when cancelled again while giving it back: the next one could find it in the middle of something."""
    asking = asyncio.Event()

    async def ask() -> None:
        async with connected(engine) as connection, connection.begin():
            await connection.execute(text("INSERT INTO things VALUES ('a')"))
            asking.set()
            await asyncio.Event().wait()

    async with connected(engine) as connection, connection.begin():
        await connection.execute(text("CREATE TABLE things (name TEXT)"))
    task = asyncio.create_task(ask())
    await asking.wait()
    assert taken(engine) == 1
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert taken(engine) == 0
    async with connected(engine) as connection:
        assert await connection.scalar(text("SELECT count(*) FROM things")) == 0


@pytest.mark.parametrize("steps", [1, 2, 3, None])
async def test_who_is_cancelled_while_it_connects_waits_until_it_has(engine: Engine, steps: int | None) -> None:
    """A connection that nobody waits for is closed by the collector, and its thread speaks to a loop that is gone."""
    connections = 0

    async def ask() -> None:
        async with connected(engine) as connection:
            await connection.scalar(text("SELECT 1"))

    def tune(made: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        nonlocal connections
        if steps is None:
            task.cancel()
        made.cursor().execute("PRAGMA foreign_keys = ON")
        connections += 1

    event.listen(engine, "connect", tune)
    task = asyncio.create_task(ask())
    if steps is not None:
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (connections, taken(engine)) == (1, 0)


async def test_what_is_found_outlives_the_connection(engine: Engine) -> None:
    async with connected(engine) as connection:
        found = await connection.execute(select(text("1 AS one"), text("'b' AS name")))

    assert [(row.one, row.name) for row in found] == [(1, "b")]


async def test_what_is_changed_is_counted(engine: Engine) -> None:
    async with connected(engine) as connection, connection.begin():
        await connection.execute(text("CREATE TABLE things (name TEXT)"))
        await connection.exec_driver_sql("INSERT INTO things VALUES (?)", [("a",), ("b",)])
        gone = await connection.execute(text("DELETE FROM things"))

    assert gone.rowcount == 2
