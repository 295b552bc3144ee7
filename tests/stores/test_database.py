"""What only a database can get wrong: other processes, sudden death, a file or a server that is none."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import sqlite3
import stat
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection as Line
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from runtime.errors import ConfigError, InvalidRequest
from runtime.stores.base import Item, StoredResponse, StoreError, StoreGoneError
from runtime.stores.database import DATABASE_FILE, Database, database_url
from runtime.stores.migrate import SCHEMA, migrate, schema_version
from runtime.stores.responses import SqlResponses
from runtime.stores.tables import METADATA

VERSIONS = Path("runtime/stores/migrations/versions")

PROCESSES = multiprocessing.get_context("forkserver")
"""Where other processes come from: one that has imported this module, once for all."""
PROCESSES.set_forkserver_preload([__name__])


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[SqlResponses, None]:
    database = Database(database_url(url, Path("/")))
    await migrate(database)
    yield SqlResponses(database)
    await database.aclose()


async def put(store: SqlResponses, id_: str, owner: str = "anna") -> None:
    items = [Item(id=f"item-{id_}", body=b'{"text":"hi"}'), Item(id="shared", body=b"{}")]
    await store.put(
        StoredResponse(owner=owner, id=id_, status="completed", created_s=1.0, body=b"{}"), items[:1], items[1:]
    )


async def test_an_error_says_nothing_of_what_was_to_be_written(database: Database) -> None:
    """It is logged with all that led to it, and prompts are in no log."""
    statement, said = text("INSERT INTO nowhere VALUES (:body)"), "the prompt"
    with pytest.raises(StoreError) as caught:
        await database.write(lambda connection: connection.execute(statement, {"body": said}))

    told = "".join(traceback.format_exception(caught.value))
    assert "INSERT INTO nowhere" in told
    assert said not in told


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "\ud800"])
async def test_what_no_store_can_hold_is_nowhere(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str, value: int | str
) -> None:
    url = request.getfixturevalue("prepared_postgres_url") if backend == "postgresql" else None
    database = Database(database_url(url, tmp_path))
    statement = text(f"SELECT 1 WHERE CAST(:value AS {'TEXT' if isinstance(value, str) else 'BIGINT'}) IS NULL")
    try:
        with pytest.raises(InvalidRequest, match="no store could hold it"):
            await database.read(lambda connection: connection.execute(statement, {"value": value}))
        with pytest.raises(StoreError) as raised:
            await database.write(lambda connection: connection.execute(statement, {"value": value}))
        assert not isinstance(raised.value, StoreGoneError), "it answers, so that it does not say itself what was wrong"
    finally:
        await database.aclose()


def put_many(url: str, owner: str, count: int) -> None:
    async def main() -> None:
        async with opened(url) as store:
            for number in range(count):
                await put(store, f"resp_{number}", owner)

    asyncio.run(main())


def put_until_killed(url: str, told: Line) -> None:
    async def main() -> None:
        async with opened(url) as store:
            for number in range(100_000):
                await put(store, f"resp_{number}")
                told.send(number)

    asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    made = Database(database_url(url, Path("/")))
    yield made
    await made.aclose()


# -- its shape


async def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    await migrate(database)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
        return list(compare_metadata(context, METADATA))

    assert [] == await database.read(lambda connection: connection.run_sync(differences))


def test_the_code_knows_the_last_step() -> None:
    steps = sorted(path.name[1:5] for path in VERSIONS.glob("s*.py"))

    assert steps[-1] == SCHEMA
    assert steps == [f"{number:04}" for number in range(1, len(steps) + 1)]


async def test_a_database_is_brought_into_shape_once(database: Database) -> None:
    assert await schema_version(database) is None
    assert await migrate(database) == ""
    assert await migrate(database) == SCHEMA
    assert await schema_version(database) == SCHEMA


async def test_several_processes_may_bring_it_into_shape_at_once(url: str) -> None:
    several = [Database(database_url(url, Path("/"))) for _ in range(8)]
    before = await asyncio.gather(*(migrate(one) for one in several))
    for one in several:
        await one.aclose()

    assert sorted(before) == ["", *[SCHEMA] * 7]


async def test_a_database_of_something_else_is_refused_and_stays_as_it_is(database: Database) -> None:
    await database.write(lambda connection: connection.execute(text("CREATE TABLE recipes (name TEXT)")))

    with pytest.raises(StoreError, match="tables of something else"):
        await migrate(database)
    assert await schema_version(database) is None


async def test_one_that_a_newer_release_expanded_is_served(database: Database) -> None:
    await migrate(database)
    await database.write(lambda connection: connection.execute(text("UPDATE schema_version SET version_num = '9999'")))

    assert await migrate(database) == "9999"
    store = SqlResponses(database)
    await put(store, "resp_1")
    assert await store.get(("anna", "resp_1")) is not None


# -- other processes, and death


async def test_two_processes_fill_one_database_at_once(url: str) -> None:
    writers = [PROCESSES.Process(target=put_many, args=(url, owner, 100)) for owner in ("anna", "ben")]
    for writer in writers:
        writer.start()
    for writer in writers:
        await asyncio.to_thread(writer.join, 60)

    assert [writer.exitcode for writer in writers] == [0, 0]
    keys = [(owner, f"resp_{number}") for owner in ("anna", "ben") for number in range(100)]
    async with opened(url) as store:
        found = [await store.conversation(key) for key in keys]
    assert [len(each or ()) for each in found] == [2] * 200


async def test_what_was_put_is_there_after_a_sudden_death(url: str) -> None:
    told, telling = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=put_until_killed, args=(url, telling))
    process.start()
    telling.close()
    with told:
        last = [told.recv() for _ in range(50)][-1]
        process.kill()
        with contextlib.suppress(EOFError):
            while True:
                last = told.recv()
    await asyncio.to_thread(process.join, 60)

    async with opened(url) as store:
        found = [await store.conversation(("anna", f"resp_{number}")) for number in range(last + 1)]
    assert [len(each or ()) for each in found] == [2] * (last + 1)


async def test_many_write_the_same_at_once_and_lose_nothing(database: Database) -> None:
    await migrate(database)
    store = SqlResponses(database)
    await asyncio.gather(*(put(store, f"resp_{number}") for number in range(40)))

    assert [await store.get(("anna", f"resp_{number}")) is not None for number in range(40)] == [True] * 40


# -- what fails


async def test_a_store_that_fails_says_so_and_goes_on(database: Database) -> None:
    await migrate(database)
    store = SqlResponses(database)
    await put(store, "resp_1")
    await database.write(lambda connection: connection.execute(text("ALTER TABLE links RENAME TO lost")))

    with pytest.raises(StoreError, match=r"links"):
        await put(store, "resp_2")
    assert await store.get(("anna", "resp_2")) is None
    assert await store.get(("anna", "resp_1")) is not None


async def test_a_write_is_finished_though_its_caller_left(url: str) -> None:
    async with opened(url) as store:
        writing = asyncio.create_task(put(store, "resp_1"))
        await asyncio.sleep(0)
        writing.cancel()

    async with opened(url) as store:
        assert await store.get(("anna", "resp_1")) is not None


async def test_a_file_is_its_users_alone(tmp_path: Path) -> None:
    database = Database(database_url(None, tmp_path / "data"))
    await migrate(database)
    await database.aclose()

    assert stat.S_IMODE((tmp_path / "data" / DATABASE_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"this is no database" * 100, os.urandom(10_000)])
async def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / DATABASE_FILE
    path.write_bytes(content)
    database = Database(database_url(None, tmp_path))

    with pytest.raises(StoreError, match=r"gatewright\.db: file is not a database"):
        await migrate(database)
    await database.aclose()
    assert path.read_bytes() == content


async def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    database = Database(database_url(None, tmp_path / "data"))

    with pytest.raises(StoreError, match=r"data/gatewright\.db: .*(File exists|Not a directory)"):
        await migrate(database)
    await database.aclose()


async def test_a_locked_file_is_waited_for_and_then_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.stores.database.BUSY_S", 0.05)
    database = Database(database_url(None, tmp_path))
    await migrate(database)
    other = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = SqlResponses(database)

    with pytest.raises(StoreGoneError, match="database is locked"):
        await put(store, "resp_1")
    assert await store.get(("anna", "resp_1")) is None  # readers do not wait
    other.execute("ROLLBACK")
    other.close()
    await put(store, "resp_1")
    assert await store.get(("anna", "resp_1")) is not None
    await database.aclose()


async def test_a_server_that_is_gone_is_said_so_without_the_password() -> None:
    database = Database(database_url("postgresql://anna:s3cret@127.0.0.1:1/store", Path("/")))

    with pytest.raises(StoreGoneError) as raised:
        await migrate(database)
    assert "anna:***@127.0.0.1:1/store" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    await database.aclose()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("no url s3cret", "is no URL of a database"),
        ("mysql://u:s3cret@h/d", "begins with 'mysql'; say `postgresql://…` or `sqlite:///file`"),
        ("sqlite://", "begins with 'sqlite'"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_the_password(written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        database_url(written, Path("/"))
    assert "s3cret" not in raised.value.message


def test_libpqs_words_are_understood() -> None:
    url = database_url("postgres://anna@h/d?sslmode=require", Path("/"))

    assert url.drivername == "postgresql+asyncpg"
    assert url.query == {"ssl": "require"}


async def test_who_leaves_twice_while_it_reads_leaves_nothing_behind(tmp_path: Path) -> None:
    database = Database(database_url(None, tmp_path))
    count = text(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200000) SELECT count(*) FROM c"
    )
    before = asyncio.all_tasks()
    reading = [asyncio.create_task(database.read(lambda connection: connection.scalar(count))) for _ in range(6)]
    await asyncio.sleep(0.01)
    for _ in range(2):
        for task in reading:
            task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait(reading)
    await database.aclose()

    assert all(task.cancelled() for task in reading)
    assert before == asyncio.all_tasks()
