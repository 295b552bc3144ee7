"""The machine's clock is set while two workers serve, an hour on or back, in a zone with summer time: who notices, and who must not."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.stores.database import DATABASE_FILE
from tests.support import clock
from tests.support.callers import CALLERS, Reply, said, send
from tests.support.gateway import Running, gateway, run_cli

KEYS = {"root": "gw-an-admin-of-the-tests-0123456789", "limited": "gw-limited-of-the-tests-0123456789"}
CONFIG = """version: 1
discovery: {providers: none}
server: {workers: 2}
providers: {sim: {models: {echo: {prices: {input: 1000, output: 2000}}}}}
keys:
  root: {key: "${KEY_ROOT}", scopes: [admin]}
  limited: {key: "${KEY_LIMITED}", limits: [{requests: 3, per: 10m}, {usd: "50.00", per: month}]}
idempotency: {window: 5m}
"""
HOUR_S = 3600.0


class Machine:
    """A gateway whose clock can be set."""

    def __init__(self, running: Running, clock: Path) -> None:
        self.running = running
        self._clock = clock

    def set(self, off_s: float) -> None:
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", off_s))

    def call(self, key: str = "root", dialect: str = "openai_chat", **headers: str) -> Reply:
        path, body = CALLERS[dialect]
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = dict(body) if dialect == "gemini" else {**body, "model": "sim/echo"}
        return send(self.running, "POST", path.format(model="sim/echo"), asked, key=KEYS[key], headers=sent)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    file = tmp_path / "clock"
    file.write_bytes(struct.pack("d", 0.0))
    env = {f"KEY_{name.upper()}": key for name, key in KEYS.items()}
    env |= {
        "GATEWRIGHT_TEST_CLOCK": str(file),
        "PYTHONPATH": str(Path(next(iter(clock.__path__)))),
        "TZ": "America/New_York",
    }
    with gateway(tmp_path, CONFIG, env) as running:
        yield Machine(running, file)


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_fault_34_a_clock_that_is_set_opens_nothing_twice_and_forgets_nothing(machine: Machine, jump_s: float) -> None:
    assert [200] * 3 == [machine.call("limited").status for _ in range(3)]
    full = machine.call("limited", "anthropic_messages")
    assert (429, "rate_limit_error") == (full.status, full.body["error"]["type"])
    first = machine.call(idempotency_key="once", x_omniroute_session_id="one")
    assert 200 == first.status

    machine.set(jump_s)
    began_s = time.monotonic()
    for dialect in CALLERS:
        assert 200 == machine.call("root", dialect).status, dialect
    assert time.monotonic() - began_s < 60, "nobody waits for an hour to pass"
    again = [machine.call(idempotency_key="once", x_omniroute_session_id="one") for _ in range(6)]
    assert {("true", first.raw)} == {(each.headers.get("x-omniroute-idempotent"), each.raw) for each in again}
    assert 1 == len(send(machine.running, "GET", "/api/sessions", key=KEYS["root"]).body["sessions"])
    if jump_s < 0:
        still = machine.call("limited", "gemini")
        assert 429 == still.status, "setting the clock back opens no window"
        assert said("gemini", still)
        assert int(still.headers["retry-after"]) <= 20 * 60
    else:
        assert 200 == machine.call("limited").status, "the window has passed, as far as anybody can tell"

    machine.set(0.0)
    assert 200 == machine.call(idempotency_key="once").status
    assert {200} == {machine.call("root", dialect).status for dialect in CALLERS}
    assert {200} == {send(machine.running, "GET", "/health/ready", key=KEYS["root"]).status for _ in range(4)}
    assert 0 == machine.running.stop()
    _books_are_right(machine.running.root)


def _books_are_right(root: Path) -> None:
    database = sqlite3.connect(root / "data" / DATABASE_FILE)
    try:
        least = "SELECT min(cost_nano_usd), min(duration_ms), min(input_tokens), count(*) FROM settlements"
        cost, duration, tokens, many = database.execute(least).fetchone()
        assert min(cost, duration, tokens) >= 0
        assert many >= 15
        spent = database.execute("SELECT min(nano_usd), min(tokens), min(requests) FROM spent").fetchone()
        assert min(spent) >= 0
    finally:
        database.close()
    told = run_cli("audit", root=root, env={f"KEY_{name.upper()}": key for name, key in KEYS.items()})
    assert 0 == told.returncode, told.stdout
