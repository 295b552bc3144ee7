"""The database is silent, or slow: as `tests/e2e/test_store_faults.py`, where every wait goes to its limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_store_faults import all_is_well, behind_a_line, calls_go_on, checks, survives, timed
from tests.support.postgres import Postgres, postgres
from tests.support.relay import Relay


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as made:
        yield made


def test_fault_30_a_database_that_is_silent_holds_up_no_call(server: Postgres, tmp_path: Path) -> None:
    survives(server, tmp_path, Relay.freeze)


def test_fault_30_a_slow_database_slows_no_call(server: Postgres, tmp_path: Path) -> None:
    with behind_a_line(server, tmp_path) as (running, line):
        line.slow(0.05)
        answered = calls_go_on(running)
        assert 201 == timed(running, "POST", "/api/keys", {"name": "slowly"}).status
        assert checks(running)["ledger"]
        line.mend()
        all_is_well(running, answered)
