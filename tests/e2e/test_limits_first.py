"""A worker that takes connections has asked what counts limits, and knows what was used before. It starts without them, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis import Redis

from runtime.stores.database import DATABASE_FILE
from tests.support import gateway as gateways
from tests.support.callers import ask
from tests.support.gateway import Running, gateway
from tests.support.lines import HELLO, Line, a_worker, lines
from tests.support.postgres import Postgres
from tests.support.redis_server import RedisServer, redis_server

ADMIN = "gw-an-admin-of-the-tests-0123456789"
LIMITED = "gw-limited-of-the-tests-0123456789"
SECRETS = {"ADMIN_KEY": ADMIN, "LIMITED_KEY": LIMITED}
CONFIG = """version: 1
discovery: {providers: none}
server: {workers: 2}
providers: {sim: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin]}
  limited: {key: "${LIMITED_KEY}", limits: [{requests: 100, per: 1h}]}
"""
REDIS = "shared: {url: '${REDIS_URL}', namespace: first}\n"
POSTGRES = "store: {url: '${DATABASE_URL}'}\n"


@pytest.fixture(scope="module")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def heard_of_by_file(root: Path) -> int:
    with contextlib.closing(sqlite3.connect(root / "data" / DATABASE_FILE, timeout=30)) as db:
        return int(db.execute("SELECT count(*) FROM limit_holders").fetchone()[0])


def heard_of_by_postgres(url: str) -> int:
    async def count() -> int:
        db = await asyncpg.connect(url)
        try:
            return int(await db.fetchval("SELECT count(*) FROM limit_holders"))
        finally:
            await db.close()

    return asyncio.run(count())


def test_the_file_has_heard_of_every_worker_before_there_is_a_limited_call(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG, SECRETS) as running, lines(running):
        assert 2 == heard_of_by_file(tmp_path)


def test_postgresql_has_heard_of_every_worker_before_there_is_a_limited_call(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    url = postgres_server.url()
    with gateway(tmp_path, CONFIG + POSTGRES, {**SECRETS, "DATABASE_URL": url}) as running, lines(running):
        assert 2 == heard_of_by_postgres(url)


def test_redis_has_heard_of_every_worker_before_there_is_a_limited_call(redis_at: RedisServer, tmp_path: Path) -> None:
    with (
        gateway(tmp_path, CONFIG + REDIS, {**SECRETS, "REDIS_URL": redis_at.url}) as running,
        lines(running),
        Redis.from_url(redis_at.url) as client,
    ):
        assert 2 == client.hlen("first:{limits}:seen")
        assert [b"first:{limits}:seen"] == client.keys("first:{limits}:*"), "and of nobody's counters"


def test_workers_start_without_the_redis_that_counts_limits(redis_at: RedisServer, tmp_path: Path) -> None:
    redis_at.stop()
    try:
        with gateway(tmp_path, CONFIG + REDIS, {**SECRETS, "REDIS_URL": redis_at.url}) as running, lines(running):
            assert 200 == ask(running, key=ADMIN).status
            assert 503 == ask(running, key=LIMITED).status
    finally:
        redis_at.start()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_a_worker_starts_while_the_file_that_counts_limits_is_locked(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG, SECRETS) as running:
        with lines(running) as before:
            locked = sqlite3.connect(tmp_path / "data" / DATABASE_FILE, isolation_level=None)
            locked.execute("BEGIN EXCLUSIVE")
            os.kill(a_worker(running.process.pid), signal.SIGKILL)
        try:
            with lines(running) as after:  # two answer again
                assert 1 == len(after.keys() - before.keys())
        finally:
            locked.execute("ROLLBACK")
            locked.close()


def wait_until_open(running: Running) -> None:
    """In place of waiting until it says that it is ready."""
    deadline = time.monotonic() + gateways.START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", running.port), 5).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens:\n{running.log}"
            time.sleep(0.002)
        else:
            return


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_what_a_worker_used_that_was_killed_is_counted_by_its_successors_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in its journal is in the ledger by then, however much that is."""
    config = CONFIG.replace("workers: 2", "workers: 1").replace("requests: 100", "requests: 5")
    with (
        gateway(tmp_path, config, SECRETS) as running,
        contextlib.closing(sqlite3.connect(tmp_path / "data" / DATABASE_FILE, isolation_level=None)) as locked,
    ):
        locked.execute("BEGIN IMMEDIATE")  # so that all of it stays in the journal
        assert [200] * 5 + [429] == [ask(running, key=LIMITED).status for _ in range(6)]
        with contextlib.closing(Line(running)) as line:
            for _ in range(300):
                line.call("POST", "/v1/chat/completions", HELLO)
        for pid in (running.process.pid, a_worker(running.process.pid)):
            os.kill(pid, signal.SIGKILL)
        running.process.wait(10)
        locked.execute("ROLLBACK")
    monkeypatch.setattr(gateways, "_wait_until_ready", wait_until_open)
    with gateway(tmp_path, config, SECRETS) as running:
        assert [429] * 5 == [ask(running, key=LIMITED).status for _ in range(5)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_what_a_killed_worker_used_cannot_be_used_again_however_long_it_takes_to_take_that_in(tmp_path: Path) -> None:
    config = CONFIG.replace("workers: 2", "workers: 1").replace("requests: 100", "requests: 5")
    with (
        gateway(tmp_path, config, SECRETS) as running,
        contextlib.closing(sqlite3.connect(tmp_path / "data" / DATABASE_FILE, isolation_level=None)) as locked,
    ):
        locked.execute("BEGIN IMMEDIATE")  # the journal is not taken in until this ends, and everything can be read
        assert [200] * 5 + [429] == [ask(running, key=LIMITED).status for _ in range(6)]
        os.kill(a_worker(running.process.pid), signal.SIGKILL)
        assert 200 == answered(running, key=ADMIN), "what nothing limits goes on"
        assert [503] * 3 == [ask(running, key=LIMITED).status for _ in range(3)]
        locked.execute("ROLLBACK")
        deadline = time.monotonic() + gateways.START_LIMIT_S
        while (status := ask(running, key=LIMITED).status) == 503:
            assert time.monotonic() < deadline
        assert 429 == status


def answered(running: Running, key: str) -> int:
    """The first status that somebody gives."""
    deadline = time.monotonic() + gateways.START_LIMIT_S
    while True:
        try:
            return ask(running, key=key).status
        except OSError:
            assert time.monotonic() < deadline, f"nobody answers:\n{running.log}"
            time.sleep(0.01)
