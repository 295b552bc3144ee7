"""Whatever amounts somebody says were used, what comes after them is taken into the ledger, and sums end where 64 bits do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.stores.database import MOST, Database
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Settlement
from runtime.stores.history import History
from runtime.stores.ledger import SUMS, SqlLedger, Taken
from runtime.stores.spending import SqlSpending, post_spend
from runtime.stores.tables import days
from tests.support.database import prepared

Piece = Sequence[tuple[int, int]]
"""Tokens and nano-dollars of each call."""

HUGE: tuple[Piece, ...] = (
    [(3_000_000_000, 10**18)] * 12,
    [(1, MOST), (0, 0)],
    [(2**64 - 1, 2**64 - 1)],
    [(1, 1)],
)


def settlement(number: int, tokens: int, nano_usd: int) -> Settlement:
    counts = (tokens, *NO_COUNTS[1:])
    entry = AttemptEntry(number, 0.0, "p/m", "p", "main", "ok", 200, 1, counts, False, nano_usd, False, "")
    call = ("r", "d", "t", "k", "usage", "", "m", "", "p/m", "p", "main", "", False, "", 0, "ok", "", 200, 1, -1)
    return Settlement(f"s{number}", 0.0, *call, counts, False, nano_usd, False, (entry,))


async def take_all(database: Database, pieces: Sequence[Piece]) -> None:
    ledger, number, told = SqlLedger(database, post_spend), 0, [0, 0]
    for at, piece in enumerate(pieces):
        taken = [settlement(number + each, *amounts) for each, amounts in enumerate(piece)]
        number += len(piece)
        assert at + 1 == await ledger.take(Taken(file="j", begins=at, ends=at + 1, settlements=taken))
        told = [min(MOST, before + sum(each)) for before, each in zip(told, zip(*piece, strict=True), strict=True)]

    (total,) = await History(database).totals(None, by=("key",))
    assert (number, *told) == (total.requests, total.counts[0], total.cost_nano_usd)
    ((spent,),) = await SqlSpending(database).since([("key/k", "day", 0)])
    assert (number, *told) == (spent.requests, spent.tokens, spent.nano_usd)


async def test_sums_stay_at_the_most_that_they_hold(database: Database) -> None:
    await take_all(database, HUGE)


async def test_days_that_hold_the_most_can_be_added_up(database: Database) -> None:
    rows = [
        {
            each.name: {"day": day, "cost_nano_usd": MOST}.get(each.name, 0 if each.name in SUMS else "k")
            for each in days.c
        }
        for day in (1, 2)
    ]

    async def fill(db: AsyncConnection) -> None:
        await db.execute(days.insert(), rows)

    await database.write(fill)
    (total,) = await History(database).totals(None, by=("key",))
    assert 2 * MOST == total.cost_nano_usd


AMOUNTS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**31, MOST - 1, MOST, MOST + 1])


@settings(max_examples=20, deadline=None)
@example(pieces=HUGE)
@given(pieces=st.lists(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_amounts_are_taken(pieces: Sequence[Piece], tmp_path_factory: pytest.TempPathFactory) -> None:
    async def live(directory: Path) -> None:
        database = Database(prepared(directory))
        try:
            await take_all(database, pieces)
        finally:
            await database.aclose()

    asyncio.run(live(tmp_path_factory.mktemp("huge")))
