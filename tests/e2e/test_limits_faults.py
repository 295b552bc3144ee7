"""Limits when things go wrong: the counters are gone and come back, workers are killed, the clock of the ledger goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from runtime.limits.base import SHARE
from runtime.limits.reserves import ANSWER_S
from runtime.stores.database import DATABASE_FILE
from tests.support.gateway import Running, gateway
from tests.support.lines import a_worker, workers
from tests.support.redis_server import RedisServer, redis_server

KEYS = {"limited": "gw-limited-of-the-tests-0123456789", "free": "gw-free-of-the-tests-0123456789"}
SECRETS = {f"KEY_{name.upper()}": key for name, key in KEYS.items()}
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: {workers}}}
providers:
  sim:
    models:
      echo: {{prices: {{input: "1000", output: "2000", source: test, date: "2026-11-01"}}}}
keys:
  limited: {{key: "${{KEY_LIMITED}}", limits: [{{usd: "2.00", per: month}}, {{concurrency: 50}}]}}
  free: {{key: "${{KEY_FREE}}"}}
{more}
"""
LIMIT_NANO_USD = 2_000_000_000
CALL_NANO_USD = 100_000_000
"""What is kept aside for one call, at the most: with less than that left, there is no other."""
PATIENCE = 5
"""How often in succession a key is refused before its budget is held for spent: a busy machine gives back late."""


@pytest.fixture(scope="module")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def ask(running: Running, key: str, stream: bool = False) -> tuple[int, Any]:
    """Over a connection of its own, so that either worker may get it."""
    body = {
        "model": "sim/echo",
        "max_tokens": 20,
        "stream": stream,
        "messages": [{"role": "user", "content": "one two three four"}],
    }
    at = urlsplit(running.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    try:
        headers = {"authorization": f"Bearer {KEYS[key]}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def cost(body: Any) -> int:
    return int(body["usage"]["prompt_tokens"]) * 1_000_000 + int(body["usage"]["completion_tokens"]) * 2_000_000


def until(is_so: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(ConnectionResetError):  # the system resets what had queued at a worker that was killed
            if is_so():
                return
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def settled(running: Running) -> int:
    """How many calls the ledger has."""
    with contextlib.closing(sqlite3.connect(running.root / "data" / "gatewright.db", timeout=30)) as db:
        return int(db.execute("SELECT count(*) FROM settlements").fetchone()[0])


def counted(running: Running) -> tuple[int, Any]:
    """A busy machine counts for longer than a call waits; whoever is told so has spent nothing, and asks again."""
    deadline = time.monotonic() + 120
    while True:
        status, body = ask(running, "limited")
        if status != 503 or "cannot be counted" not in json.dumps(body) or time.monotonic() > deadline:
            return status, body
        time.sleep(0.3)


def spend_all(running: Running) -> int:
    """Call until the budget is spent, and what that came to."""
    spent = refused = 0
    while True:
        status, body = counted(running)
        if status == 200:
            refused = 0
            spent += cost(body)
            continue
        assert status == 429, body
        refused += 1
        if refused > PATIENCE:
            return spent
        time.sleep(0.3)  # what is kept aside elsewhere for calls that ended is given back


def test_fault_39_while_the_counters_are_gone_limited_keys_wait_and_nothing_is_exceeded(
    tmp_path: Path, redis_at: RedisServer
) -> None:
    more = "shared: {url: '${REDIS_URL}', timeout: 5s}"
    env = {**SECRETS, "REDIS_URL": redis_at.url}
    with gateway(tmp_path, CONFIG.format(workers=2, more=more), env) as running:
        spent = 0
        for _ in range(5):
            status, body = ask(running, "limited")
            assert 200 == status
            spent += cost(body)
        until(lambda: settled(running) == 5)
        redis_at.stop()
        try:
            until(lambda: ask(running, "limited")[0] == 503)
            refused = ask(running, "limited")
            assert "limits cannot be counted at the moment" in json.dumps(refused[1])
            assert {200} == {ask(running, "free")[0] for _ in range(6)}
            assert running.logged("limits_lost")
        finally:
            redis_at.start()
        until(lambda: "limits_resumed" in running.log and ask(running, "free")[0] == 200)
        until(lambda: {ask(running, "limited")[0] for _ in range(8)} <= {200, 429})
        found = spent + spend_all(running)
        assert found <= LIMIT_NANO_USD, "it began again with what the ledger knew, though the server forgot everything"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_fault_31_after_everything_was_killed_the_budget_is_what_was_left_of_it(tmp_path: Path) -> None:
    config = CONFIG.format(workers=1, more="")
    spent = 0
    with gateway(tmp_path, config, SECRETS) as running:
        for _ in range(10):
            status, body = ask(running, "limited")
            assert 200 == status
            spent += cost(body)
        main = running.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running.process.wait(10)
    with gateway(tmp_path, config, SECRETS) as running:
        time.sleep(1.0)
        spent += spend_all(running)
    assert spent <= LIMIT_NANO_USD
    assert spent > LIMIT_NANO_USD - CALL_NANO_USD


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_fault_33_a_worker_that_is_killed_takes_no_budget_with_it(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.format(workers=2, more=""), SECRETS) as running:
        spent = 0
        for _ in range(6):
            status, body = counted(running)
            assert 200 == status
            spent += cost(body)
        main = running.process.pid
        os.kill(killed := a_worker(main), signal.SIGKILL)
        until(lambda: killed not in workers(main))
        until(lambda: ask(running, "free")[0] == 200)
        spent += spend_all(running)
        in_advance = LIMIT_NANO_USD // SHARE  # which comes back when the dead is not heard of for long enough
        assert LIMIT_NANO_USD - CALL_NANO_USD - in_advance < spent <= LIMIT_NANO_USD


def test_fault_30_a_locked_store_keeps_limited_keys_waiting_for_a_moment_and_is_said_once(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.format(workers=2, more="logging: {format: json}"), SECRETS) as running:
        until(lambda: ask(running, "limited")[0] == 200)
        locked = sqlite3.connect(tmp_path / "data" / DATABASE_FILE, isolation_level=None)
        locked.execute("BEGIN EXCLUSIVE")
        try:
            waits: list[float] = []
            until_s = time.monotonic() + 8  # longer than a writer waits for the lock
            while time.monotonic() < until_s:
                began_s = time.monotonic()
                status, body = ask(running, "limited")
                waits.append(time.monotonic() - began_s)
                assert (503, True) == (status, "cannot be counted" in json.dumps(body))
                assert 200 == ask(running, "free")[0]
                time.sleep(0.1)
            assert max(waits) < 10, waits
            assert 2 * sum(wait >= ANSWER_S for wait in waits) < len(waits), (
                "one call waits in each worker, the others are refused at once"
            )
        finally:
            locked.execute("ROLLBACK")
            locked.close()
        until(lambda: ask(running, "limited")[0] == 200)
        until(lambda: {ask(running, "limited")[0] for _ in range(6)} == {200})
        said = [json.loads(line)["event"] for line in running.log.splitlines() if line.startswith("{")]
        for lost, resumed in (("store_lost", "store_resumed"), ("limits_lost", "limits_resumed")):
            assert 1 <= said.count(lost) <= 2 + said.count(resumed), "once in each worker, until it is there again"
        assert "Traceback" not in running.log
