"""The disk is full while two workers serve: nothing is sent that cannot be noted, nothing is half-written, and all is well again.

The system refuses every write to a file, of the database, the journal, the audit log, the shared state and the log alike: what
a process may write into a file is limited to nothing, while it runs.
"""

from __future__ import annotations

import contextlib
import re
import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.stores.database import DATABASE_FILE
from tests.support.callers import CALLERS, Reply, ask, said, send
from tests.support.gateway import Running, gateway, run_cli

ADMIN = "gw-an-admin-of-the-tests-0123456789"
ENV = {"ADMIN_KEY": ADMIN}
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers: {{sim: {{models: {{echo: {{prices: {{input: 1000, output: 2000}}}}}}}}}}
keys: {{root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}}}
ledger: {{when_full: {when_full}}}
"""
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/api/keys", {"name": "made"}),
    ("POST", "/api/combos", {"name": "made", "models": ["sim/echo"]}),
    ("PATCH", "/api/resilience", {"retries": {"per_target": 3}}),
)


@pytest.fixture(params=["refuse", "continue"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Running, str]]:
    with gateway(tmp_path, CONFIG.format(when_full=request.param), ENV) as running:
        yield running, request.param


def _processes(parent: int) -> list[int]:
    found = [parent]
    for task in Path(f"/proc/{parent}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


@contextlib.contextmanager
def full(running: Running) -> Iterator[None]:
    """The disk takes nothing in the block."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in _processes(running.process.pid)}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
        assert before.keys() == set(_processes(running.process.pid)), "nobody died of it"
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def call(running: Running, dialect: str = "openai_chat") -> Reply:
    return ask(running, dialect, key=ADMIN)


def everywhere(running: Running, status: int) -> None:
    """Both workers answer so; which one gets a call is the system's choice."""
    deadline = time.monotonic() + 60
    while any(status != call(running).status for _ in range(8)):
        assert time.monotonic() < deadline, running.log


def told_in_metrics(running: Running, when_full: str) -> list[Reply]:
    """Calls until a worker's figures say that its journal takes nothing; a worker notes that at its first call, and may have had none."""
    deadline, answered = time.monotonic() + 60, list[Reply]()
    while not re.search(rb"gatewright_journal_up\S* 0\.0", send(running, "GET", "/metrics", key=ADMIN).raw):
        assert time.monotonic() < deadline, running.log
        reply = call(running)
        assert reply.status == (503 if when_full == "refuse" else 200)
        answered += [reply] if reply.status == 200 else []
    return answered


def books(root: Path) -> tuple[int, int]:
    """How many requests of the ledger were answered, and what they cost."""
    database = sqlite3.connect(root / "data" / DATABASE_FILE)
    try:
        assert [("ok",)] == database.execute("PRAGMA integrity_check").fetchall()
        found = database.execute("SELECT count(*), sum(cost_nano_usd) FROM settlements WHERE outcome = 'ok'").fetchone()
        return int(found[0]), int(found[1])
    finally:
        database.close()


def cost(reply: Reply) -> int:
    return int(float(reply.headers["x-gatewright-cost"]) * 1e9 + 0.5)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are set with prlimit")
def test_fault_29_a_full_disk_is_told_to_every_client_and_forgotten_when_there_is_room(
    served: tuple[Running, str],
) -> None:
    running, when_full = served
    answered = [call(running) for _ in range(4)]
    assert {200} == {each.status for each in answered}
    with full(running):
        for dialect in CALLERS:
            reply = call(running, dialect)
            if when_full == "refuse":
                assert (503, "1") == (reply.status, reply.headers["retry-after"]), dialect
                assert "cannot note what calls cost" in said(dialect, reply)
            else:
                assert 200 == reply.status, reply.raw
                answered.append(reply)
        for method, path, body in CHANGES:
            refused = send(running, method, path, body, key=ADMIN)
            assert (503, "unavailable") == (refused.status, refused.body["kind"]), refused.raw
        background = send(
            running, "POST", "/v1/responses", {"model": "sim/echo", "input": "?", "background": True}, key=ADMIN
        )
        assert 503 == background.status
        assert said("openai_responses", background)
        ready = {send(running, "GET", "/health/ready", key=ADMIN).status for _ in range(8)}
        assert (503 in ready) == (when_full == "refuse")
        assert {200} == {send(running, "GET", "/health", key=ADMIN).status for _ in range(4)}
        answered += told_in_metrics(running, when_full)
    everywhere(running, 200)
    answered += [call(running, dialect) for dialect in CALLERS]
    assert {200} == {each.status for each in answered}
    for method, path, body in CHANGES:
        assert send(running, method, path, body, key=ADMIN).status in {200, 201}
    assert running.logged("journal_resumed")
    assert 0 == running.stop()
    many, spent = books(running.root)
    assert many >= len(answered)
    assert spent >= sum(map(cost, answered))
    told = run_cli("audit", root=running.root, env=ENV)
    assert 0 == told.returncode, told.stdout
