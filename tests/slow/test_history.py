"""A million requests in the ledger: calls are as quick as with none, and so are questions about them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import pytest

from runtime.accounting.price import price_version
from runtime.stores.database import DATABASE_FILE, Database, database_url
from runtime.stores.history import History, Wanted
from runtime.stores.ledger import DAY_S
from tests.support.accounting import PRICES
from tests.support.database import prepared
from tests.support.gateway import CLI, Running, gateway

REQUESTS = 1_000_000
ROUNDS = 40
CALLS = 50
MAX_RATIO = 1.10
MAX_QUESTION_MS = 50.0

CONFIG = "version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\nlogging: {level: error}\n"

FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many),
row AS (SELECT i, 'old-' || i AS id, :begin + i * 7.0 AS at_s, 'k' || (i % 50) AS key, 't' || (i % 5) AS tenant,
               'm' || (i % 20) AS model, 'p' || (i % 4) AS provider FROM n)
"""
"""Table expressions, which SQLite wants in front of the insert."""

SETTLEMENTS = """
INSERT INTO settlements
SELECT i, id, at_s, 'r-' || i, '', tenant, key, 'chat', 'openai_chat', model, '', provider || '/' || model, provider,
       provider || '/main', '', 0, '', 0, 'ok', '', 200, 100, -1, 1000, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4500000
FROM row
"""
ATTEMPTS = """
INSERT INTO attempts
SELECT id, i, at_s, provider || '/' || model, provider, provider || '/main', 'ok', 200, 100, 1000, 100, 0, 0, 0, 0, 0, 0,
       0, 0, 0, 0, 0, 0, 4500000, :version, 1, 0
FROM row
"""
DAYS = """
INSERT INTO days
SELECT CAST(at_s / 86400 AS INTEGER) AS day, tenant, key, target, provider, connection, count(*), 0, 0, count(*),
       sum(input_tokens), sum(output_tokens), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, sum(cost_nano_usd)
FROM settlements GROUP BY 1, 2, 3, 4, 5, 6
"""


def fill(data: Path, many: int) -> None:
    """So many requests, over the last three months, of fifty keys and twenty models."""
    prepared(data)
    database = sqlite3.connect(data / DATABASE_FILE)
    version = price_version(PRICES)
    given = {"many": many, "begin": time.time() - many * 7.0, "version": version}
    for statement in (SETTLEMENTS, ATTEMPTS):
        database.execute(FILL + statement.lstrip(), given)
    database.execute(DAYS)
    database.execute("INSERT INTO prices VALUES (?, ?)", (version, msgspec.json.encode(PRICES)))
    database.commit()
    database.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("full")
    fill(root / "data", REQUESTS)
    return root


@pytest.fixture(scope="module")
def served(full: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    with ExitStack() as stack:
        empty = stack.enter_context(gateway(tmp_path_factory.mktemp("empty"), CONFIG))
        yield empty, stack.enter_context(gateway(full, CONFIG))


def test_a_call_takes_no_longer_with_a_million_requests_behind_it(served: tuple[Running, Running]) -> None:
    lines = [(HTTPConnection("127.0.0.1", each.port), each.key) for each in served]
    for line in lines:
        _timed(line, CALLS)
    taken_s: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        for which in (0, 1) if number % 2 else (1, 0):
            taken_s[which].extend(_timed(lines[which], CALLS))
    for connection, _ in lines:
        connection.close()
    empty_ms, full_ms = (statistics.median(each) * 1000 for each in taken_s)
    sys.stdout.write(f"p50 {empty_ms:.3f} ms with none, {full_ms:.3f} ms with {REQUESTS:,} requests\n")

    assert full_ms / empty_ms <= MAX_RATIO


def _timed(line: tuple[HTTPConnection, str], calls: int) -> list[float]:
    connection, key = line
    body = json.dumps({"model": "sim/echo", "messages": [{"role": "user", "content": "hello"}]})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    taken_s = []
    for _ in range(calls):
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        response.read()
        taken_s.append(time.perf_counter() - began)
        assert response.status == 200
    return taken_s


QUESTIONS: dict[str, Callable[[History], Awaitable[object]]] = {
    "the last hundred": lambda history: history.requests(Wanted(tenant=None), limit=100),
    "the last hundred of a tenant": lambda history: history.requests(Wanted(tenant="t3"), limit=100),
    "of a key": lambda history: history.requests(Wanted(tenant="t1", key="k1"), limit=100),
    "of a connection": lambda history: history.requests(Wanted(tenant=None, connection="p1/main"), limit=100),
    "of a model, far back": lambda history: history.requests(Wanted(tenant=None, model="m7"), limit=100, before=5000),
    "one request": lambda history: history.request(None, "r-500000"),
    "today by provider": lambda history: history.totals(
        None, by=("provider",), since_day=int(time.time() // DAY_S) - 1
    ),
    "thirty days by model": lambda history: history.totals(
        "t2", by=("model",), since_day=int(time.time() // DAY_S) - 30
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_a_million_requests_is_answered_at_once(full: Path, question: str) -> None:
    async def ask() -> float:
        database = Database(database_url(None, full / "data"))
        taken_s = []
        for _ in range(11):
            began = time.perf_counter()
            await QUESTIONS[question](History(database))
            taken_s.append(time.perf_counter() - began)
        await database.aclose()
        return statistics.median(taken_s) * 1000

    taken_ms = asyncio.run(ask())
    sys.stdout.write(f"{question}: {taken_ms:.1f} ms\n")
    assert taken_ms <= MAX_QUESTION_MS


def test_the_books_of_a_million_requests_can_be_gone_through(served: tuple[Running, Running], full: Path) -> None:
    began = time.monotonic()
    told = subprocess.run(
        [*CLI, "audit", "--root", str(full)], capture_output=True, text=True, timeout=600, check=False
    )
    sys.stdout.write(f"audited in {time.monotonic() - began:.0f} s\n")

    assert 0 == told.returncode, told.stdout + told.stderr
