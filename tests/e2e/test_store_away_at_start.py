"""A worker that starts while the database is away does what those do that lived when it went."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.stores.heard import KNOWN_KEYS
from tests.support.callers import CALLERS, ask, said, send
from tests.support.gateway import Running, gateway
from tests.support.postgres import Postgres
from tests.support.relay import relay

ROOT = "gw-root-of-the-tests-0123456789"
REVOKED = "gw-revoked-of-the-tests-0123456789"
CONFIG = """version: 1
discovery: {providers: none}
providers: {sim: {models: {echo: {prices: {input: 1000, output: 2000}}}}}
keys:
  root: {key: "${ROOT_KEY}", scopes: [admin]}
  old: {key: "${OLD_KEY}", scopes: [chat]}
store: {url: '${DATABASE_URL}'}
"""


def workers(running: Running) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def serves(running: Running) -> bool:
    """Whether somebody answers, whatever is said."""
    try:
        return send(running, "GET", "/health/live", key=ROOT).status == 200
    except OSError:
        return False


def die(running: Running) -> None:
    """All workers at once, so that none is left which knows anything."""
    for pid in workers(running):
        os.kill(pid, signal.SIGKILL)
    until(lambda: serves(running))


@pytest.mark.parametrize("known", [True, False], ids=["what was heard is there", "what was heard is gone"])
def test_fault_30_a_worker_that_starts_without_its_database_serves(
    postgres_server: Postgres, tmp_path: Path, known: bool
) -> None:
    url = postgres_server.url()
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with relay(port) as line:
        env = {"ROOT_KEY": ROOT, "OLD_KEY": REVOKED, "DATABASE_URL": url.replace(f":{port}/", f":{line.port}/")}
        with gateway(tmp_path, CONFIG, env) as running:
            made = send(running, "POST", "/api/keys", {"name": "made"}, key=ROOT).body
            limited = {"name": "limited", "limits": [{"usd": "5.00", "per": "day"}]}
            limited_key = send(running, "POST", "/api/keys", limited, key=ROOT).body["key"]
            assert 200 == ask(running, key=REVOKED).status
            assert 200 == send(running, "POST", "/api/keys/old/revoke", key=ROOT).status
            assert [200, 401] == [ask(running, key=each).status for each in (made["key"], REVOKED)]
            file = tmp_path / "data" / KNOWN_KEYS
            until(lambda: b'"limited"' in file.read_bytes())
            told = file.read_bytes()
            assert made["key"].encode() not in told
            assert 0o600 == file.stat().st_mode & 0o777
            if not known:
                file.write_bytes(
                    told.replace(b'"limited"', b'"LIMITED"')
                )  # not what was written: as if it were not there
            line.cut()
            die(running)

            ready = send(running, "GET", "/health/ready", key=ROOT)
            if known:
                assert [200, 200, 401] == [ask(running, key=each).status for each in (ROOT, made["key"], REVOKED)]
                assert 503 == ask(running, key=limited_key).status, "its limit begins with what the ledger has"
                assert 200 == ready.status
            else:
                for dialect in CALLERS:
                    for key in (ROOT, made["key"], REVOKED):
                        reply = ask(running, dialect, key=key)
                        assert (503, "1") == (reply.status, reply.headers.get("retry-after")), reply.raw
                        assert "cannot be looked up" in said(dialect, reply)
                assert (503, "1") == (ready.status, ready.headers.get("retry-after"))
            line.mend()
            until(lambda: 200 == send(running, "GET", "/health/ready", key=ROOT).status)
            until(lambda: 200 == ask(running, key=limited_key).status)
            assert [200, 200, 401] == [ask(running, key=each).status for each in (ROOT, made["key"], REVOKED)]
