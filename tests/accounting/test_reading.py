"""What came into the ledger is read back as it was settled, by those whose it is, a page at a time."""

from __future__ import annotations

from pathlib import Path

from runtime.accounting.price import price_version
from runtime.stores.database import Database
from runtime.stores.history import History, Wanted
from tests.support.accounting import NOW_S, PRICES, Books, answered, asked, call


async def test_a_request_is_read_back_as_it_was_settled(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    record = call(books)
    await books.drain.once()

    found = await History(database).request(None, record.settlement)
    assert found is not None
    assert (record.settlement, "r1", "smart", "p/m", "p/main", NOW_S - 1.0) == (
        found.settlement.id,
        found.settlement.request_id,
        found.settlement.model,
        found.settlement.target,
        found.settlement.connection,
        found.settlement.at_s,
    )
    assert [(4_500_000, price_version(PRICES))] == [
        (each.cost_nano_usd, each.price_version) for each in found.settlement.attempts
    ]
    assert 1100 == found.settlement.tokens


async def test_tenants_see_their_own(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    for tenant in ("a", "b", "a"):
        record = books.begin()
        record.tenant = tenant
        answered(asked(books, record))
        books.ledger.settle(record)
    await books.drain.once()
    history = History(database)

    assert [2, 1, 3] == [
        len((await history.requests(Wanted(tenant=tenant), limit=10)).requests) for tenant in ("a", "b", None)
    ]
    assert [2, 1, 3] == [(await history.totals(tenant))[0].requests for tenant in ("a", "b", None)]
    first = (await history.requests(Wanted(tenant="a"), limit=10)).requests[0].settlement
    assert await history.request("a", first.id) is not None
    assert await history.request("b", first.id) is None


async def test_pages_follow_each_other_newest_first(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    made = [call(books).settlement for _ in range(5)]
    await books.drain.once()
    history, seen, before = History(database), [], None
    while True:
        page = await history.requests(Wanted(tenant=None, key="k"), limit=2, before=before)
        seen += [each.settlement.id for each in page.requests]
        before = page.before
        if before is None:
            break

    assert made[::-1] == seen
