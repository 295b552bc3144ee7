"""Workers are killed at random moments under load, two hundred times; the ledger equals the provider's own books.

Nothing lost: whatever the provider was asked for is in the ledger, and what a client had all of is there at exactly what the
provider says. Nothing double: one settlement and one attempt each. What a worker took with it into death is there as lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import NamedTuple, TypeVar

import pytest

from runtime.stores.database import DATABASE_FILE
from tests.slow.billing import Biller, Crowd, biller
from tests.support.gateway import Running, gateway, run_cli

T = TypeVar("T")

KILLS = int(os.environ.get("GATEWRIGHT_TEST_KILLS", "200"))
CLIENTS = 12
WORKERS = 3
SEED = 20261129

CONFIG = """\
version: 1
discovery: {{providers: none}}
server: {{workers: {workers}}}
providers:
  books:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    auth: {{scheme: none}}
    connections: [{{id: main}}]
    models: {{m: {{prices: {{input: 3, output: 15}}}}}}
retries: {{per_target: 0}}
cooldowns: {{max: 0s}}
breakers: {{mode: ignore}}
explain: {{keep: 0}}
logging: {{level: error}}
"""


class Row(NamedTuple):
    outcome: str
    cost_nano_usd: int
    attempts: int
    settlements: int


class Provider:
    """The provider, in a thread of its own."""

    def __init__(self) -> None:
        self.books: Biller | None = None
        self._ready, self._stop = Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Biller:
        self._thread.start()
        assert self._ready.wait(10)
        assert self.books is not None
        return self.books

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with biller(SEED) as self.books:
            self._ready.set()
            await self._stop.wait()


def test_after_two_hundred_kills_the_ledger_equals_the_provider_s_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.gateway.START_LIMIT_S", 120.0)
    with Provider() as books:
        config = CONFIG.format(url=books.url, workers=WORKERS)
        with gateway(tmp_path, config) as running:
            crowd = asyncio.run(_call_and_kill(running))
            for pid in (running.process.pid, *_workers(running.process.pid)):
                os.kill(pid, signal.SIGKILL)
            running.process.wait(10)
        with gateway(tmp_path, config):  # adopts what is left
            rows = _settled(tmp_path)
        told = run_cli("audit", root=tmp_path)
        _compare(books, crowd, rows)
        assert 0 == told.returncode, told.stdout


async def _call_and_kill(running: Running) -> Crowd:
    crowd = Crowd(running.url, running.key, "books/m", CLIENTS)
    calls = asyncio.create_task(crowd.run())
    rng = Random(SEED)
    for number in range(KILLS):
        had = len(crowd.whole)
        await asyncio.sleep(rng.random() * 0.4)
        # Never the one that came last: a worker that dies twice in a few seconds is a fault to Granian, and it gives up.
        workers = (await _until(lambda: _all_of(_workers(running.process.pid))))[:-1]
        with suppress(ProcessLookupError):  # it was dying already
            os.kill(rng.choice(workers), signal.SIGKILL)
        await _until(lambda had=had: len(crowd.whole) >= had + 2 or None)  # type: ignore[misc]
        if number % 20 == 19:
            sys.stdout.write(f"{number + 1} kills, {len(crowd.whole)} whole answers, {crowd.broken} broken\n")
    crowd.stop()
    await calls
    return crowd


async def _until(look: Callable[[], T]) -> T:
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing is answered any more"
        await asyncio.sleep(0.01)
    return found


def _all_of(workers: list[int]) -> list[int]:
    return workers if len(workers) == WORKERS else []


def _workers(parent: int) -> list[int]:
    """Those that serve, the oldest first: Granian's, not Python's own tracker of resources."""
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        children = ""
        with suppress(FileNotFoundError, ProcessLookupError):  # threads end, too
            children = (task / "children").read_text()
        for child in children.split():
            with suppress(FileNotFoundError, ProcessLookupError):
                command = Path(f"/proc/{child}/cmdline").read_bytes()
                state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                if b"resource_tracker" not in command and state != "Z":
                    found.append(int(child))
    return sorted(found)


def _settled(root: Path) -> dict[str, Row]:
    """By the request's id, once every journal of the dead is taken in."""
    deadline = time.monotonic() + 60
    while True:
        journals = [each for each in (root / "data" / "journal").iterdir() if each.is_dir()]
        if len(journals) == 0:
            break
        assert time.monotonic() < deadline, f"{len(journals)} journals are left"
        time.sleep(0.2)
    database = sqlite3.connect(root / "data" / DATABASE_FILE)
    query = """
        SELECT request_id, min(outcome), sum(s.cost_nano_usd), sum(a.many), count(*) FROM settlements s
        LEFT JOIN (SELECT settlement, count(*) AS many FROM attempts GROUP BY settlement) a ON a.settlement = s.id
        GROUP BY request_id
    """
    try:
        return {row[0]: Row(row[1], row[2], row[3] or 0, row[4]) for row in database.execute(query)}
    finally:
        database.close()


def _compare(books: Biller, crowd: Crowd, rows: dict[str, Row]) -> None:
    bills = books.bills
    settled = {id_: row for id_, row in rows.items() if row.attempts}
    exact = [id_ for id_, row in settled.items() if row.outcome == "ok"]
    lost = [id_ for id_, row in settled.items() if row.outcome == "lost"]
    other = [id_ for id_, row in settled.items() if row.outcome not in {"ok", "lost"}]
    sys.stdout.write(
        f"{KILLS} kills: the provider was asked {len(bills):,} times and sent {sum(b.sent for b in bills.values()):,} "
        f"answers; clients had {len(crowd.whole):,} whole ones, {crowd.broken:,} broke; the ledger has {len(exact):,} "
        f"exact, {len(lost):,} lost with a worker, {len(other):,} otherwise\n"
    )
    assert set() == bills.keys() - settled.keys(), "asked for, and not in the ledger"
    assert set() == {id_ for id_ in settled.keys() - bills.keys() if settled[id_].outcome == "ok"}, "never asked for"
    assert {1} == {row.attempts for row in settled.values()} | {row.settlements for row in settled.values()}
    assert {1} == {bill.times for bill in bills.values()}
    assert set() == crowd.whole - set(exact), "a client had all of it"
    assert [] == [id_ for id_ in exact if rows[id_].cost_nano_usd != bills[id_].nano_usd]
    assert len(lost) <= KILLS * CLIENTS + CLIENTS
