"""Calls and their attempts as the ledger is told of them, and a ledger to tell."""

from __future__ import annotations

import itertools
from pathlib import Path

from runtime.accounting.drain import Drain
from runtime.accounting.journal import JOURNAL, ROTATE_BYTES, Journal
from runtime.accounting.ledger import Ledger
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.stores.database import Database
from runtime.stores.ledger import Post, SqlLedger
from runtime.telemetry import AttemptRecord, CallRecord

__all__ = ["NOW_S", "PRICES", "USED", "Books", "answered", "asked", "attempt", "call"]

NOW_S = 1_800_000_000.0
PRICES = Prices(source="s", date="2026-01-01", input=3_000_000_000, output=15_000_000_000)
USED = Usage(input=1000, output=100)
"""4.5 thousandths of a dollar by `PRICES`."""


class Books:
    """A worker's ledger below ``directory``, and its drain into ``database``. Time stands still."""

    def __init__(
        self,
        directory: Path,
        database: Database,
        worker: str = "w1",
        *,
        limit_bytes: int = 1 << 30,
        rotate_bytes: int = ROTATE_BYTES,
        refuse: bool = True,
        post: Post | None = None,
        keep: tuple[float, int] = (1e9, 10**9),
    ) -> None:
        self.told: list[str | None] = []
        self.behind: list[str | None] = []
        self.journal = Journal(directory / JOURNAL, worker, limit_bytes, rotate_bytes)
        self.ledger = Ledger(
            self.journal,
            lambda: 100.0,
            lambda: NOW_S,
            when_full="refuse" if refuse else "continue",
            on_fault=self.told.append,
        )
        self.store = SqlLedger(database, post)
        self.drain = Drain(self.ledger, self.store, lambda: keep, lambda: NOW_S, self.behind.append)
        self._requests = itertools.count(1)

    def begin(self, key: str = "k") -> CallRecord:
        id_ = f"r{next(self._requests)}"
        record = CallRecord(id=id_, operation="chat", protocol="openai_chat", started_s=99.0, key=key)
        record.settlement, record.model = self.ledger.new_id(), "smart"
        return record

    def die(self) -> None:
        """As a process does: what was written is there, the lock is free, nothing else is done."""
        self.journal.close_files()


def attempt(record: CallRecord, prices: Prices | None = PRICES, target: str = "p/m") -> AttemptRecord:
    """Another target is asked."""
    provider = target.partition("/")[0]
    row = AttemptRecord(
        target=target, label=target, connection=f"{provider}/main", started_s=99.5, provider=provider, prices=prices
    )
    record.attempted(row)
    record.served, record.provider, record.connection = target, provider, row.connection
    return row


def asked(books: Books, record: CallRecord, prices: Prices | None = PRICES, target: str = "p/m") -> AttemptRecord:
    """And sent."""
    row = attempt(record, prices, target)
    books.ledger.open(record, row, 1000)
    return row


def answered(row: AttemptRecord, usage: Usage | None = USED, outcome: str = "ok", status: int | None = 200) -> None:
    row.outcome, row.usage, row.status, row.ended_s = outcome, usage, status, 99.9


def call(books: Books, *, settle: bool = True) -> CallRecord:
    """One that was answered, and is in the ledger unless it is not to ``settle``."""
    record = books.begin()
    answered(asked(books, record))
    if settle:
        books.ledger.settle(record)
    return record
