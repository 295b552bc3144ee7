"""The store is locked, cut off or silent: calls go on, what needs it is refused in time, and nothing of it is lost afterwards."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from runtime.stores.database import DATABASE_FILE
from tests.support.callers import CALLERS, Reply, ask, said, send
from tests.support.gateway import Running, gateway, run_cli
from tests.support.postgres import Postgres
from tests.support.relay import Relay, relay

ADMIN = "gw-an-admin-of-the-tests-0123456789"
CONFIG = """version: 1
discovery: {{providers: none}}
providers: {{sim: {{models: {{echo: {{prices: {{input: 1000, output: 2000}}}}}}}}}}
keys: {{root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}}}
{more}
"""
IN_TIME_S = 25
"""What needs the store is answered by then. It is waited for 5 s; the machine may be busy."""

NEEDING: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/api/keys", {"name": "made"}),
    ("POST", "/api/combos", {"name": "made", "models": ["sim/echo"]}),
    ("POST", "/v1/responses", {"model": "sim/echo", "input": "?", "background": True}),
)
READING = (
    ("GET", "/api/keys", None),
    ("GET", "/v1/responses/resp_of_nobody", None),
    ("GET", "/api/usage/history", None),
)


@contextmanager
def behind_a_line(server: Postgres, root: Path) -> Iterator[tuple[Running, Relay]]:
    url = server.url()
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with relay(port) as line:
        env = {"ADMIN_KEY": ADMIN, "DATABASE_URL": url.replace(f":{port}/", f":{line.port}/")}
        with gateway(root, CONFIG.format(more="store: {url: '${DATABASE_URL}'}"), env) as running:
            yield running, line


def checks(running: Running) -> dict[str, bool]:
    return {each["name"]: each["ok"] for each in send(running, "GET", "/health", key=ADMIN).body["checks"]}


def until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def timed(running: Running, method: str, path: str, body: Any) -> Reply:
    began_s = time.monotonic()
    reply = send(running, method, path, body, key=ADMIN)
    assert time.monotonic() - began_s < IN_TIME_S, (path, "it waited too long")
    return reply


def refused(running: Running, *operations: tuple[str, str, Any]) -> None:
    """Each with 503 in the form of its surface, which says what is gone and when to ask again."""
    for method, path, body in operations:
        reply = timed(running, method, path, body)
        assert (503, "1") == (reply.status, reply.headers.get("retry-after")), (path, reply.raw)
        told = reply.body["detail"] if path.startswith("/api/") else said("openai_responses", reply)
        assert "cannot be" in told, told


def calls_go_on(running: Running) -> list[Reply]:
    """In every dialect, and without waiting for the store: five that waited their 5 s would take longer than that."""
    began_s = time.monotonic()
    answered = [ask(running, dialect, key=ADMIN) for dialect in CALLERS]
    assert {200} == {each.status for each in answered}, [each.raw for each in answered]
    assert time.monotonic() - began_s < 20
    return answered


def unknown_keys_are_not_called_wrong(running: Running) -> None:
    """Another worker may have made one a moment ago; what has not the form of a key is refused as ever."""
    for dialect in CALLERS:
        reply = ask(running, dialect, key="gw-a-key-that-nobody-could-look-up-0123456789")
        assert (503, "1") == (reply.status, reply.headers.get("retry-after")), reply.raw
        assert "cannot be looked up" in said(dialect, reply)
        assert 401 == ask(running, dialect, key="no-key-at-all").status


def all_is_well(running: Running, answered: list[Reply]) -> None:
    """What was refused works, and every call that was answered is in the ledger at its price."""
    until(lambda: all(checks(running).values()))
    assert 201 == send(running, "POST", "/api/keys", {"name": "made"}, key=ADMIN).status
    assert 201 == send(running, "POST", "/api/combos", {"name": "made", "models": ["sim/echo"]}, key=ADMIN).status
    assert 200 == ask(running, model="made", key=ADMIN).status
    keys = send(running, "GET", "/api/keys", key=ADMIN).body["keys"]
    assert 1 == [each["name"] for each in keys].count("made"), "what was refused was not half done"
    wanted = {each.id for each in answered}

    def settled() -> bool:
        rows = send(running, "GET", "/api/usage/call-logs?limit=200", key=ADMIN).raw.decode()
        return all(id_ in rows for id_ in wanted)

    until(settled)
    assert running.log.count('"ledger_behind"') == running.log.count('"ledger_resumed"') <= 3


def survives(server: Postgres, root: Path, spoil: Callable[[Relay], None]) -> None:
    """Without its database, which ``spoil`` takes away, the gateway does what it can; and afterwards all is there."""
    with behind_a_line(server, root) as (running, line):
        answered = calls_go_on(running)
        spoil(line)
        answered += calls_go_on(running)
        refused(running, *NEEDING, *READING)
        unknown_keys_are_not_called_wrong(running)
        kept = timed(running, "POST", "/v1/responses", {"model": "sim/echo", "input": "?"})
        assert (200, False) == (kept.status, kept.body["store"]), "it is answered, and says that it was not kept"
        answered += [*calls_go_on(running), kept]
        until(lambda: not checks(running)["store"])
        assert not checks(running)["ledger"] or running.logged("ledger_behind")
        assert 200 == send(running, "GET", "/health/ready", key=ADMIN).status
        assert running.logged("ledger_behind")
        assert b"gatewright_ledger_up 0.0" in send(running, "GET", "/metrics", key=ADMIN).raw
        line.mend()
        all_is_well(running, answered)


def test_fault_30_without_its_database_calls_go_on_and_afterwards_all_is_there(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    survives(postgres_server, tmp_path, Relay.cut)


def test_fault_30_while_another_process_holds_the_file_calls_go_on(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.format(more=""), {"ADMIN_KEY": ADMIN}) as running:
        locked = sqlite3.connect(tmp_path / "data" / DATABASE_FILE, isolation_level=None)
        locked.execute("BEGIN EXCLUSIVE")
        answered = calls_go_on(running)
        refused(running, *NEEDING)
        for method, path, body in READING:
            assert timed(running, method, path, body).status in {200, 404}, "it can be read"
        assert running.logged("ledger_behind")
        assert 200 == send(running, "GET", "/health/ready", key=ADMIN).status
        locked.execute("ROLLBACK")
        locked.close()
        all_is_well(running, answered)
        assert 0 == run_cli("audit", root=tmp_path, env={"ADMIN_KEY": ADMIN}).returncode


REFUSES = """
CREATE TRIGGER a_rule BEFORE INSERT ON settlements WHEN NEW.model = 'odd' BEGIN SELECT RAISE(ABORT, 'no odd ones here'); END
"""


def statement(root: Path, words: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(root / "data" / DATABASE_FILE, timeout=30)) as database, database:
        return database.execute(words).fetchall()


def settled(root: Path, calls: list[Reply]) -> bool:
    found = {row[0] for row in statement(root, "SELECT request_id FROM settlements")}
    return {each.id for each in calls} <= found


def test_fault_30_rows_that_the_database_refuses_are_in_nobodys_way_and_can_be_brought_in(tmp_path: Path) -> None:
    config = CONFIG.format(more="server: {workers: 2}\naliases: {odd: sim/echo}")
    env = {"ADMIN_KEY": ADMIN}
    good: list[Reply] = []
    odd: list[Reply] = []
    for start in (1, 2):
        with gateway(tmp_path, config, env) as running:
            if start == 1:
                statement(tmp_path, REFUSES)
            for _ in range(4):
                odd.append(ask(running, model="odd", key=ADMIN))
                good.append(ask(running, key=ADMIN))
            until(lambda: settled(tmp_path, good))
            until(lambda: 4 == running.log.count('"row_refused"'))
            assert all(checks(running).values())
            said_of = [json.loads(line) for line in running.logged('"row_refused"')]
            assert {each.id for each in odd[-4:]} == {each["request_id"] for each in said_of}
            assert {("no odd ones here", True)} == {
                (each["reason"].split(": ")[-1], each["counted"]) for each in said_of
            }
            assert b"gatewright_rows_refused_total" in send(running, "GET", "/metrics", key=ADMIN).raw
    files = sorted((tmp_path / "data" / "journal").glob("*.refused"))
    assert {0o600} == {each.stat().st_mode & 0o777 for each in files}
    audited = run_cli("audit", root=tmp_path, env=env)
    assert (2, True) == (audited.returncode, "8 requests, $" in audited.stdout), audited.stdout
    facts = json.loads(run_cli("audit", "--json", root=tmp_path, env=env).stdout)
    assert (8, 0) == (facts["refused"], facts["differing"])
    told = run_cli("doctor", root=tmp_path, env=env).stdout
    assert f"8 calls, ${facts['refused_nano_usd'] / 1e9:g}" in told
    assert all(str(each) in told for each in files)

    statement(tmp_path, "DROP TRIGGER a_rule")
    (again := tmp_path / "data" / "journal" / "again").mkdir()
    for number, path in enumerate(files, 1):
        path.rename(again / f"{number:08d}.log")
    (again / "lock").touch()
    with gateway(tmp_path, config, env):
        until(lambda: settled(tmp_path, [*good, *odd]))
    assert 0 == run_cli("audit", root=tmp_path, env=env).returncode
    (spent,) = statement(
        tmp_path, "SELECT sum(requests), sum(nano_usd) FROM spent WHERE subject = 'key/root' AND span = 'day'"
    )
    assert (16, 2 * facts["refused_nano_usd"]) == spent, "once each"
