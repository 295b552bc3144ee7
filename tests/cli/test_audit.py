"""``gatewright audit``: exit codes, and what it says of a ledger that is sound, changed, or not there."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from runtime.stores.database import DATABASE_FILE, Database
from tests.cli.conftest import SOUND, Run
from tests.support.accounting import Books, answered, asked
from tests.support.database import prepared


@pytest.fixture
def root(tmp_path: Path, run: Run) -> Path:
    (tmp_path / "gateway.yaml").write_text(SOUND)
    assert run("build", "--root", tmp_path).code == 0
    return tmp_path


async def _fill(data: Path) -> None:
    database = Database(prepared(data))
    books = Books(data, database)
    record = books.begin()
    answered(asked(books, record))
    books.ledger.settle(record)
    await books.drain.aclose()
    await database.aclose()


def test_a_sound_ledger_differs_in_nothing(root: Path, run: Run) -> None:
    asyncio.run(_fill(root / "data"))
    told = run("audit", "--root", root)

    assert 0 == told.code
    assert "1 requests, 1 attempts, $0.0045" in told.out
    assert told.out.endswith("nothing differs\n")


def test_a_ledger_that_was_changed_exits_2_and_says_where(root: Path, run: Run) -> None:
    asyncio.run(_fill(root / "data"))
    database = sqlite3.connect(root / "data" / DATABASE_FILE)
    database.execute("UPDATE attempts SET cost_nano_usd = 5")
    database.commit()
    database.close()

    told = run("audit", "--root", root)
    assert 2 == told.code
    assert "the ledger has 5 nano-dollars, it should be 4500000 nano-dollars" in told.out
    facts = json.loads(run("audit", "--root", root, "--json").out)
    assert ["cost", "sum", "day"] == [each["kind"] for each in facts["differences"]]


def test_without_a_database_it_is_a_fault(root: Path, run: Run) -> None:
    told = run("audit", "--root", root)

    assert 1 == told.code
    assert "there is no database" in told.err
