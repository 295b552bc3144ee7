"""The books are gone through: what was changed by hand is found, and only that."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Update
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.accounting.audit import Examined, examine
from runtime.stores.database import Database
from runtime.stores.ledger_review import review
from runtime.stores.tables import attempts, days, prices, settlements
from tests.support.accounting import NOW_S, Books, answered, asked


async def filled(database: Database, directory: Path, calls: int = 3) -> Books:
    books = Books(directory, database)
    for _ in range(calls):
        record = books.begin()
        answered(asked(books, record), None, "rate_limit", 429)
        answered(asked(books, record, target="q/m"))
        books.ledger.settle(record)
    await books.drain.once()
    return books


async def changed(database: Database, change: Update) -> Examined:
    async def ask(db: AsyncConnection) -> None:
        await db.execute(change)

    await database.write(ask)
    return await review(database, examine)


async def test_what_was_written_by_the_ledger_differs_in_nothing(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path)
    found = await review(database, examine)

    assert (3, 6, 13_500_000, 0, ()) == (
        found.requests,
        found.attempts,
        found.cost_nano_usd,
        found.differing,
        found.differences,
    )
    assert (1, 1, None) == (found.price_versions, found.days_checked, found.days_unchecked_to)


async def test_a_cost_that_was_changed_is_found(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path, calls=1)
    change = attempts.update().where(attempts.c.target == "q/m").values(cost_nano_usd=1)
    found = await changed(database, change)

    assert ["cost", "sum", "day"] == [each.kind for each in found.differences]
    first = found.differences[0]
    assert ("1 nano-dollars", "4500000 nano-dollars") == (first.kept, first.found)


async def test_a_request_that_was_taken_out_is_missed_by_its_day(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path)
    found = await changed(database, days.update().where(days.c.model == "q/m").values(requests=2, output_tokens=0))

    assert [("day", "2", "3"), ("day", "0", "300")] == [
        (each.kind, each.kept, each.found) for each in found.differences
    ]


async def test_prices_that_are_not_those_of_their_version_are_found(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path, calls=1)
    found = await changed(database, prices.update().values(document=b'{"source":"s","date":"","input":1,"output":1}'))
    assert {"price", "cost"} == {each.kind for each in found.differences}

    found = await changed(database, prices.update().values(document=b"no JSON"))
    assert ["price"] == [each.kind for each in found.differences]


async def test_a_sum_that_was_changed_is_found(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path, calls=1)
    found = await changed(database, settlements.update().values(input_tokens=7))
    assert ["sum"] == [each.kind for each in found.differences]


async def test_days_whose_requests_went_with_age_are_left_alone(database: Database, tmp_path: Path) -> None:
    books = await filled(database, tmp_path)
    await books.store.prune(NOW_S, 10)
    found = await review(database, examine)

    assert (0, 0, 0) == (found.requests, found.differing, found.days_checked)
    assert int((NOW_S - 1) // 86_400) == found.days_unchecked_to
