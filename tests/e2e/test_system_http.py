"""What the gateway says of itself, and the orders to restart and to stop, over a real server of two workers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.stores.migrate import SCHEMA
from tests.support.asking import FOREIGN, GUEST, KEYS, TWO_TENANTS, ask
from tests.support.gateway import Running, gateway

CHAT = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"authorization": f"Bearer {GUEST}", "content-type": "application/json"}
PAUSE_S = 0.05
"""Between the calls of one caller. Without it callers take the processor from the workers that are to start meanwhile."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("system"), TWO_TENANTS, KEYS) as running:
        whole_info(running)  # or the other one may not be ready yet
        yield running


def whole_info(served: Running) -> dict[str, Any]:
    """What it says of itself once both workers are heard: one that is busy may answer too late to be."""
    deadline = time.monotonic() + 60
    while len((info := ask(served, "GET", "/api/system-info")[1])["workers"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return dict(info)


def workers(served: Running) -> set[int]:
    return {each["pid"] for each in whole_info(served)["workers"]}


def stream(served: Running, words: int) -> Any:
    """A stream that began."""
    body = {"model": "sim/slow", "stream": True, "messages": [{"role": "user", "content": "w " * words}]}
    request = urllib.request.Request(f"{served.url}/v1/chat/completions", json.dumps(body).encode(), HEADERS)
    opened = urllib.request.urlopen(request, timeout=60)
    opened.readline()
    return opened


def test_it_says_what_it_runs_on(served: Running) -> None:
    info = whole_info(served)

    assert (info["schema"], info["store"]["schema"], info["store"]["kind"]) == (SCHEMA, SCHEMA, "sqlite")
    assert info["store"]["ok"] is True
    assert info["store"]["size_bytes"] > 0
    assert (info["expected"], info["heard"], len({each["pid"] for each in info["workers"]})) == (2, 2, 2)
    assert all(each["memory_bytes"] > 1_000_000 for each in info["workers"])
    assert info["disk"]["free_bytes"] <= info["disk"]["total_bytes"]
    assert info["backups"]["count"] == 0
    assert info["loginRequired"] is True
    assert not [secret for secret in KEYS.values() if secret in json.dumps(info)]


def test_it_says_how_all_parts_are(served: Running) -> None:
    status, health = ask(served, "GET", "/api/monitoring/health", key=GUEST)

    assert (status, health["status"]) == (200, "healthy")
    assert {"open", "halfOpen", "closed", "total"} == set(health["circuitBreakers"])
    summary = health["providerSummary"]
    assert (summary["configuredCount"], summary["activeCount"]) == (1, 1)
    assert summary["catalogCount"] > 50
    assert health["setupComplete"] is False
    assert {"models", "shared", "ledger", "store"} <= {check["name"] for check in health["checks"]}
    assert ask(served, "DELETE", "/api/monitoring/health", key=GUEST)[0] == 403
    assert ask(served, "DELETE", "/api/monitoring/health")[1]["ok"] is True


def test_the_document_is_whole_and_has_both_names(served: Running) -> None:
    document = ask(served, "GET", "/api/openapi/spec", key=None)[1]

    assert document["openapi"].startswith("3.1")
    assert document == ask(served, "GET", "/openapi.json", key=None)[1]
    assert {"/api/openapi/spec", "/api/auth/login", "/api/db-backups", "/v1/chat/completions"} <= set(document["paths"])


@pytest.mark.parametrize(("key", "status"), [(None, 401), (GUEST, 403), (FOREIGN, 403)])
def test_orders_are_the_operators(served: Running, key: str | None, status: int) -> None:
    before = workers(served)

    calls = [("POST", "/api/restart"), ("POST", "/api/shutdown"), ("GET", "/api/system-info")]
    assert {status} == {ask(served, method, path, key=key)[0] for method, path in calls}
    assert ask(served, "GET", "/api/monitoring/health", key=None)[0] == 401
    time.sleep(0.5)
    assert before == workers(served)


def unsent(error: Exception) -> bool:
    """Whether the connection was closed before the call was on it, which a server may do that is told to stop just then."""
    return isinstance(error, urllib.error.URLError) and isinstance(error.reason, BrokenPipeError | ConnectionResetError)


def ordered_restart(served: Running) -> None:
    status, ordered = ask(served, "POST", "/api/restart")
    assert (status, ordered["ordered"]) == (202, True)


def hang_up(served: Running) -> None:
    served.process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("order", [ordered_restart, hang_up])
def test_a_restart_replaces_every_worker_and_no_call_fails(served: Running, order: Callable[[Running], None]) -> None:
    before = workers(served)
    streams = [stream(served, 25) for _ in range(4)]
    stop, failed, answered = threading.Event(), list[object](), list[int]()

    def call() -> None:
        while not stop.wait(PAUSE_S):
            try:
                status = ask(served, "POST", "/v1/chat/completions", CHAT, GUEST)[0]
            except (OSError, ValueError) as error:
                if not unsent(error):
                    failed.append(repr(error))
                continue
            (answered if status == 200 else failed).append(status)

    def call_again_and_again() -> None:
        """Over one connection, until it is closed while no call is on it, which is no fault."""
        while not stop.is_set():
            kept = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
            with closing(kept), suppress(BrokenPipeError, ConnectionResetError):
                while not stop.wait(PAUSE_S):
                    kept.request("POST", "/v1/chat/completions", json.dumps(CHAT), HEADERS)
                    with kept.getresponse() as response:
                        response.read()
                    (answered if response.status == 200 else failed).append(response.status)

    callers = [threading.Thread(target=each) for each in (call, call, call, call_again_and_again, call_again_and_again)]
    for caller in callers:
        caller.start()
    try:
        order(served)
        deadline = time.monotonic() + 100
        while before & (now := workers(served)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        stop.set()
        for caller in callers:
            caller.join()

    assert len(now) == 2
    assert all(b"[DONE]" in each.read() for each in streams)
    assert len(answered) > 20
    assert not failed
    assert served.process.poll() is None


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_a_worker_whose_successor_does_not_start_serves_on(tmp_path: Path) -> None:
    with gateway(tmp_path, TWO_TENANTS.replace("workers: 2", "workers: 1"), KEYS) as running:
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        before = set(children.read_text().split())
        hang_up(running)
        while not (started := set(children.read_text().split()) - before):
            assert running.process.poll() is None
            time.sleep(0.005)
        os.kill(int(started.pop()), signal.SIGKILL)
        running.logged("could not be replaced")

        assert before == {str(each["pid"]) for each in ask(running, "GET", "/api/system-info")[1]["workers"]}
        hang_up(running)  # and another try succeeds
        deadline = time.monotonic() + 60
        while before & set(children.read_text().split()):
            assert time.monotonic() < deadline
            try:
                assert ask(running, "POST", "/v1/chat/completions", CHAT, GUEST)[0] == 200
            except urllib.error.URLError as error:
                if not unsent(error):
                    raise
            time.sleep(PAUSE_S)
        assert ask(running, "POST", "/v1/chat/completions", CHAT, GUEST)[0] == 200


def test_a_stop_while_workers_are_replaced_does_not_wait_for_that(tmp_path: Path) -> None:
    """Answers under way have their grace all the same."""
    with gateway(tmp_path, TWO_TENANTS, KEYS) as running:
        streams = [stream(running, 12) for _ in range(4)]
        hang_up(running)
        running.process.send_signal(signal.SIGTERM)

        assert all(b"[DONE]" in each.read() for each in streams)
        assert running.process.wait(60) == 0


def test_a_shutdown_lets_running_calls_end_and_is_audited(tmp_path: Path) -> None:
    with gateway(tmp_path, TWO_TENANTS, KEYS) as running:
        running_stream = stream(running, 8)
        assert ask(running, "POST", "/api/shutdown")[0] == 202

        assert b"[DONE]" in running_stream.read()
        assert running.process.wait(60) == 0
    with closing(sqlite3.connect(tmp_path / "data" / "gatewright.db")) as db:
        assert db.execute("SELECT actor, action FROM audit_log").fetchall() == [("root", "system.stopped")]


def test_readiness_knows_the_schema_of_the_store(tmp_path: Path) -> None:
    with gateway(tmp_path, TWO_TENANTS.replace("workers: 2", "workers: 1"), KEYS) as running:
        assert ask(running, "GET", "/health/ready", key=None)[0] == 200
        file = tmp_path / "data" / "gatewright.db"
        for version, status in (("0001", 503), (SCHEMA, 200), ("9999", 200)):
            with closing(sqlite3.connect(file)) as db:
                db.execute("UPDATE schema_version SET version_num = ?", (version,))
                db.commit()
            deadline = time.monotonic() + 60
            while True:
                found, told = ask(running, "GET", "/health/ready", key=None)
                if found == status and version in json.dumps(told):
                    break
                assert time.monotonic() < deadline, (found, told)
                time.sleep(0.05)
