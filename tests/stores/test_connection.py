"""What is found by connections of a server's database."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import Engine, create_engine, make_url, select, text
from sqlalchemy.util import greenlet_spawn

from runtime.stores.connection import connect


@pytest.fixture
async def engine(postgres_url: str) -> AsyncGenerator[Engine, None]:
    made = create_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    yield made
    await greenlet_spawn(made.dispose)


async def test_what_is_found_outlives_the_connection(engine: Engine) -> None:
    connection = await connect(engine)
    try:
        found = await connection.execute(select(text("1 AS one"), text("'b' AS name")))
    finally:
        await connection.close()

    assert [(row.one, row.name) for row in found] == [(1, "b")]


async def test_what_is_changed_is_counted(engine: Engine) -> None:
    connection = await connect(engine)
    try:
        async with connection.begin():
            await connection.execute(text("CREATE TABLE things (name TEXT)"))
            await connection.exec_driver_sql("INSERT INTO things VALUES ($1)", [("a",), ("b",)])
            gone = await connection.execute(text("DELETE FROM things"))
    finally:
        await connection.close()

    assert gone.rowcount == 2
