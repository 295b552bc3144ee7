"""What only a file can get wrong: other processes, too much in it, a file that is none."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.errors import ConfigError
from runtime.shared import SharedError, SharedState
from runtime.shared.base import SHORT_BYTES
from runtime.shared.memory import MemoryState
from runtime.shared.sqlite import SCHEMA, SqliteState
from runtime.shared.sqlite_file import check_file
from tests.support.shared import Clock


def claim_many(path: Path, name: bytes, count: int) -> None:
    async def main() -> int:
        state = SqliteState(path, time.time)
        won = 0
        for number in range(count):
            won += await state.claim("work", str(number), name, 60.0) is None
            await state.tell("work", name)
        await state.put("won", name.decode(), str(won).encode(), 60.0)
        await state.aclose()
        return won

    asyncio.run(main())


async def test_processes_make_one_file_at_once_and_each_claim_is_won_by_one(tmp_path: Path) -> None:
    path, context = tmp_path / "shared.db", multiprocessing.get_context("spawn")
    workers = [context.Process(target=claim_many, args=(path, name, 200)) for name in (b"one", b"two")]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join, 60)

    assert [0, 0] == [worker.exitcode for worker in workers]
    state = SqliteState(path, time.time)
    assert 200 == sum(int(value) for _, value in await state.entries("won"))
    assert [b"one"] * 200 + [b"two"] * 200 == sorted((await state.news("work", 0)).messages)
    await state.aclose()


async def test_what_is_over_leaves_the_file(tmp_path: Path) -> None:
    clock = Clock()
    state = SqliteState(tmp_path / "shared.db", clock)
    for number in range(200):
        await state.put("t", f"old{number}", b"", 10.0)
        await state.tell("t", b"old")
    clock.at_s += 1000.0
    for number in range(64):
        await state.put("t", f"new{number}", b"", 10.0)
    await state.aclose()

    with sqlite3.connect(tmp_path / "shared.db") as db:
        assert (64, 0) == db.execute("SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM news)").fetchone()
    db.close()


async def test_the_file_stays_within_its_limit_and_what_ends_last_stays(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "shared.db", Clock(), limit_bytes=2_000_000)
    for number in range(640):
        await state.put("t", f"{number:04}", bytes(10_000), 100.0 + number)
    left = [key for key, _ in await state.entries("t")]
    await state.aclose()

    assert (tmp_path / "shared.db").stat().st_size < 4_000_000
    assert "0639" == left[-1]
    assert 100 < len(left) < 300


async def test_memory_stays_within_its_limit_and_what_ends_last_stays() -> None:
    state = MemoryState(Clock(), limit_bytes=1_000_000)
    for number in range(640):
        await state.put("t", f"{number:04}", bytes(10_000), 100.0 + number)
    for _ in range(10_000):
        await state.put("t", "again", b"", 5.0)

    assert [f"{number:04}" for number in range(543, 640)] == [key for key, _ in await state.entries("t")][:97]
    assert len(state._ends) < 5000


@pytest.fixture(params=["memory", "file"])
async def small(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SharedState]:
    """It may take a million bytes."""
    limit, clock = 1_000_000, Clock()
    made = MemoryState(clock, limit) if request.param == "memory" else SqliteState(tmp_path / "shared.db", clock, limit)
    yield made
    await made.aclose()


async def test_long_values_that_last_do_not_push_out_short_ones_that_end_soon(small: SharedState) -> None:
    for number in range(20):
        assert await small.claim("idempotency", f"claim{number}", bytes(SHORT_BYTES), 3.0) is None
    for number in range(640):
        await small.put("idempotency", f"kept{number:04}", bytes(10_000 + number), 600.0)

    for number in range(20):
        assert bytes(SHORT_BYTES) == await small.claim("idempotency", f"claim{number}", b"other", 3.0)
    left = await small.entries("idempotency", "kept")
    assert "kept0639" == left[-1][0]
    assert 0 < len(left) < 200


async def test_short_values_alone_have_the_same_limit(small: SharedState) -> None:
    for number in range(6400):
        await small.put("t", f"{number:04}", bytes(SHORT_BYTES), 600.0 + number)
    left = [key for key, _ in await small.entries("t", limit=6400)]

    assert "6399" == left[-1]
    assert 500 < len(left) < 3000


def test_the_file_is_its_users_alone(tmp_path: Path) -> None:
    check_file(tmp_path / "data" / "shared.db", SCHEMA)

    assert 0o600 == stat.S_IMODE((tmp_path / "data" / "shared.db").stat().st_mode)


@pytest.mark.parametrize("content", [b"this is no database" * 100, os.urandom(10_000)])
async def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shared.db"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"shared\.db cannot be used: file is not a database; move it away"):
        check_file(path, SCHEMA)
    with pytest.raises(SharedError, match=r"shared\.db cannot be used"):
        await SqliteState(path, time.time).get("t", "a")
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shared.db")
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()

    with pytest.raises(ConfigError, match="it is a database of something else"):
        check_file(tmp_path / "shared.db", SCHEMA)


async def test_a_file_that_fails_says_so_and_the_next_question_is_asked(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "shared.db", time.time)
    await state.put("t", "a", b"1", 60.0)
    other = sqlite3.connect(tmp_path / "shared.db")
    other.execute("DROP TABLE news")
    other.close()

    with pytest.raises(SharedError, match=r"shared\.db: no such table"):
        await state.tell("t", b"")
    assert b"1" == await state.get("t", "a")
    await state.aclose()
