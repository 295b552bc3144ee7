"""Transactions on a file: whole or not at all, and ended whoever waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import Engine, QueuePool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.stores.database import Database, database_url
from runtime.stores.threads import Threads

MANY = 3


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path}/some.db", connect_args={"check_same_thread": False}, pool_size=MANY)


@pytest.fixture
async def threads(engine: Engine) -> AsyncGenerator[Threads, None]:
    made = Threads(engine, MANY)
    await made.run(lambda db: db.execute(text("CREATE TABLE things (name TEXT)")), writes=True)
    yield made
    await made.aclose()


def taken(engine: Engine) -> int:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


async def count(db: AsyncConnection) -> object:
    return await db.scalar(text("SELECT count(*) FROM things"))


async def put(db: AsyncConnection) -> int:
    await db.exec_driver_sql("INSERT INTO things VALUES (?)", [("a",), ("b",)])
    return (await db.execute(text("DELETE FROM things WHERE name = 'b'"))).rowcount


async def test_a_transaction_is_kept_when_it_ends_well(threads: Threads, engine: Engine) -> None:
    assert await threads.run(put, writes=True) == 1

    assert await threads.run(count, writes=False) == 1
    assert taken(engine) == 0


async def test_a_transaction_is_undone_when_it_fails(threads: Threads, engine: Engine) -> None:
    async def fail(db: AsyncConnection) -> None:
        await put(db)
        raise KeyError("something else")

    with pytest.raises(KeyError, match="something else"):
        await threads.run(fail, writes=True)

    assert await threads.run(count, writes=False) == 0
    assert taken(engine) == 0


async def test_a_transaction_that_waits_for_something_else_is_undone(threads: Threads, engine: Engine) -> None:
    """In a thread there is no loop that would go on with it."""

    async def wait(db: AsyncConnection) -> None:
        await put(db)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits for something else than the file"):
        await threads.run(wait, writes=True)

    assert await threads.run(count, writes=False) == 0
    assert taken(engine) == 0


async def test_who_no_longer_waits_is_told_so_and_the_transaction_ends(threads: Threads, engine: Engine) -> None:
    begun, may_end = threading.Event(), threading.Event()

    async def ask(db: AsyncConnection) -> None:
        await put(db)
        begun.set()
        assert may_end.wait(30)

    task = asyncio.create_task(threads.run(ask, writes=True))
    await asyncio.to_thread(begun.wait, 30)
    assert taken(engine) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()
    await threads.aclose()

    assert taken(engine) == 0
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM things")) == 1


async def test_who_comes_alone_gets_the_connection_that_was_used_last(tmp_path: Path) -> None:
    """It has in its cache what it read and wrote; some that took turns would read anew what the others wrote."""
    database = Database(database_url(None, tmp_path))
    everybody = threading.Barrier(MANY)

    async def together(db: AsyncConnection) -> int:
        everybody.wait(30)
        return await alone(db)

    async def alone(db: AsyncConnection) -> int:
        return await db.run_sync(lambda connection: id(connection.connection.driver_connection))

    try:
        assert len(set(await asyncio.gather(*(database.read(together) for _ in range(MANY))))) == MANY
        assert len({await database.read(alone) for _ in range(6)}) == 1
    finally:
        await database.aclose()
