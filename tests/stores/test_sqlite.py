"""What only a file can get wrong: other processes, sudden death, a file that is none."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import ConfigError
from runtime.stores.base import Item, StoredResponse, StoreError
from runtime.stores.sqlite import SCHEMA, SqliteResponses
from runtime.stores.sqlite_file import check_file

WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from tests.stores.test_sqlite import put
from runtime.stores.sqlite import SqliteResponses

async def main():
    store = SqliteResponses(Path(sys.argv[1]))
    for number in range(100_000):
        await put(store, f"resp_{number}")
        print(number, flush=True)

asyncio.run(main())
"""


async def put(store: SqliteResponses, id_: str, owner: str = "anna") -> None:
    items = [Item(id=f"item-{id_}", body=b'{"text":"hi"}'), Item(id="shared", body=b"{}")]
    await store.put(
        StoredResponse(owner=owner, id=id_, status="completed", created_s=1.0, body=b"{}"), items[:1], items[1:]
    )


def put_many(path: Path, owner: str, count: int) -> None:
    async def main() -> None:
        store = SqliteResponses(path)
        for number in range(count):
            await put(store, f"resp_{number}", owner)
        await store.aclose()

    asyncio.run(main())


async def test_two_processes_make_and_fill_one_file_at_once(tmp_path: Path) -> None:
    path, context = tmp_path / "responses.db", multiprocessing.get_context("spawn")
    writers = [context.Process(target=put_many, args=(path, owner, 100)) for owner in ("anna", "ben")]
    for writer in writers:
        writer.start()
    for writer in writers:
        await asyncio.to_thread(writer.join, 30)

    assert [writer.exitcode for writer in writers] == [0, 0]
    store = SqliteResponses(path)
    found = [await store.conversation((owner, f"resp_{number}")) for owner in ("anna", "ben") for number in range(100)]
    await store.aclose()
    assert [len(each or ()) for each in found] == [2] * 200


async def test_what_was_put_is_there_after_a_sudden_death(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(50):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        said = [int(line) for line in process.stdout.read().split("\n")[:-1]]
    last = said[-1] if said else last

    store = SqliteResponses(path)
    found = [await store.conversation(("anna", f"resp_{number}")) for number in range(last + 1)]
    await store.aclose()
    assert [len(each or ()) for each in found] == [2] * (last + 1)


def test_the_file_is_its_users_alone(tmp_path: Path) -> None:
    check_file(tmp_path / "data" / "responses.db", SCHEMA)

    assert stat.S_IMODE((tmp_path / "data" / "responses.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"this is no database" * 100, os.urandom(10_000)])
async def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "responses.db"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"responses\.db cannot be used: file is not a database; move it away"):
        check_file(path, SCHEMA)
    with pytest.raises(StoreError, match=r"responses\.db cannot be used"):
        await SqliteResponses(path).get(("anna", "resp_1"))
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()

    with pytest.raises(ConfigError, match="it is a database of something else"):
        check_file(path, SCHEMA)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    check_file(path, SCHEMA)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(ConfigError, match="it has version 99, and this release knows up to 1"):
        check_file(path, SCHEMA)


def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(ConfigError, match=r"data/responses\.db: File exists"):
        check_file(tmp_path / "data" / "responses.db", SCHEMA)


async def test_a_store_that_fails_says_so_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "responses.db"
    store = SqliteResponses(path)
    await put(store, "resp_1")
    other = sqlite3.connect(path)
    other.execute("DROP TABLE links")

    with pytest.raises(StoreError, match=r"responses\.db: no such table"):
        await put(store, "resp_2")
    other.close()
    assert await store.get(("anna", "resp_2")) is None
    assert await store.get(("anna", "resp_1")) is not None
    await store.aclose()


async def test_a_write_is_finished_though_its_caller_left(tmp_path: Path) -> None:
    store = SqliteResponses(tmp_path / "responses.db")
    await put(store, "resp_0")
    writing = asyncio.create_task(put(store, "resp_1"))
    await asyncio.sleep(0)
    writing.cancel()
    await put(store, "resp_2")

    assert await store.get(("anna", "resp_2")) is not None
    await store.aclose()
