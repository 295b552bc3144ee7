"""What was used, by the minute, the hour and the day: added to once, in the transaction of whoever settles."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from runtime.limits.rule import Rule
from runtime.stores.database import Database
from runtime.stores.spending import SpentRow, SqlSpending, post_spend, subjects_of
from runtime.stores.tables import ledger_marks
from runtime.window import Limit
from tests.support.database import prepared

NOON_S = 1_700_049_600
"""Of 15 November 2023, UTC."""


class Settled(msgspec.Struct, frozen=True):
    at_s: float
    tokens: int = 10
    nano_usd: int = 1000
    key: str = "k"
    tenant: str = "t"
    combo: str = ""
    counters: tuple[str, ...] = ()
    attempts: tuple[object, ...] = ("one",)
    admitted: int = 1
    let_in: bool = False


async def post(database: Database, *settled: Settled) -> None:
    await database.write(partial(post_spend, settlements=settled))


async def test_settlements_add_up_for_everybody_they_count_for(database: Database) -> None:
    await post(
        database,
        Settled(NOON_S, combo="smart", counters=("policy/p",)),
        Settled(NOON_S + 59, tokens=5, nano_usd=7),
        Settled(NOON_S + 60, tokens=1, nano_usd=1, key="other"),
    )
    await post(database, Settled(NOON_S + 61, tokens=2, nano_usd=1_000_000_000_000_000))
    spending, day_s = SqlSpending(database), NOON_S - 43_200
    found = await spending.since(
        [
            ("key/k", "minute", NOON_S), ("key/k", "hour", NOON_S), ("key/k", "day", day_s), ("tenant/t", "day", day_s),
            ("combo/smart", "day", day_s), ("policy/p", "minute", NOON_S), ("key/nobody", "day", 0),
            ("key/k", "minute", NOON_S + 1),
        ]
    )  # fmt: skip
    big = 1_000_000_000_000_000
    assert [
        [SpentRow("key/k", NOON_S, 2, 15, 1007), SpentRow("key/k", NOON_S + 60, 1, 2, big)],
        [SpentRow("key/k", NOON_S, 3, 17, 1007 + big)],
        [SpentRow("key/k", day_s, 3, 17, 1007 + big)],
        [SpentRow("tenant/t", day_s, 4, 18, 1008 + big)],
        [SpentRow("combo/smart", day_s, 1, 10, 1000)],
        [SpentRow("policy/p", NOON_S, 1, 10, 1000)],
        [],
        [SpentRow("key/k", NOON_S + 60, 1, 2, big)],
    ] == found


async def test_what_was_not_let_in_is_not_counted(database: Database) -> None:
    await post(database, Settled(NOON_S, attempts=()))
    assert [[]] == await SqlSpending(database).since([("key/k", "day", 0)])


async def test_what_was_let_in_is_a_request_though_nobody_was_asked(database: Database) -> None:
    await post(database, Settled(NOON_S, 0, 0, attempts=(), admitted=2, let_in=True))
    day_s = NOON_S - 43_200
    assert [[SpentRow("key/k", day_s, 2, 0, 0)]] == await SqlSpending(database).since([("key/k", "day", day_s)])


async def test_many_at_once_lose_nothing(database: Database) -> None:
    await post(database, *(Settled(NOON_S + number / 10, key=f"k{number % 300}") for number in range(900)))
    found = await SqlSpending(database).since([("tenant/t", "day", 0), ("key/k7", "day", 0)])
    assert [900, 3] == [rows[0].requests for rows in found]


async def test_minutes_and_hours_are_forgotten_when_no_limit_asks_for_them_and_days_are_not(database: Database) -> None:
    await post(database, Settled(NOON_S), Settled(NOON_S + 86_400))
    spending = SqlSpending(database)
    assert 0 == await spending.sweep(NOON_S + 3600)
    assert 0 < await spending.sweep(NOON_S + 4 * 86_400)
    found = await spending.since([("key/k", "minute", 0), ("key/k", "hour", 0), ("key/k", "day", 0)])
    assert [0, 1, 2] == [len(rows) for rows in found]


@pytest.mark.parametrize(
    "limit",
    [
        Limit(of="requests", amount=9, length_ms=60_000), Limit(of="requests", amount=9, length_ms=3_600_000),
        Limit(of="requests", amount=9, length_ms=86_400_000), Limit(of="requests", amount=9, length_ms=7 * 86_400_000),
        Limit(of="requests", amount=9, calendar="day"), Limit(of="requests", amount=9, calendar="week"),
        Limit(of="requests", amount=9, calendar="month"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ago_s", [0, 30, 59, 3000, 20_000, 80_000, 5 * 86_400, 40 * 86_400])
async def test_a_counter_never_begins_with_less_than_was_used_in_its_window(
    tmp_path: Path, limit: Limit, ago_s: int
) -> None:
    """Nor with what lies further back than the window and one of the spans in which sums are kept."""
    database = Database(prepared(tmp_path))
    used_s, now_ms = NOON_S - ago_s, NOON_S * 1000
    await post(database, Settled(used_s))
    rule = Rule("key/k", "this key", limit)
    seed = rule.seed((await SqlSpending(database).since([rule.wanted(now_ms)]))[0], now_ms)
    counted = sum(amount for bucket, amount in seed.buckets.items() if bucket >= limit.oldest(now_ms))
    span_ms = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}[rule.wanted(now_ms)[1]]
    if limit.calendar is not None:
        assert counted == (limit.bucket(used_s * 1000) == limit.bucket(now_ms))
    elif ago_s * 1000 < limit.length_ms:
        assert counted == 1
    elif ago_s * 1000 > limit.length_ms + 2 * span_ms:
        assert counted == 0
    await database.aclose()


def test_requests_count_for_their_key_their_tenant_their_combo_and_policies() -> None:
    assert ["key/k", "tenant/t", "combo/c", "policy/p/key/k"] == subjects_of("t", "k", "c", ("policy/p/key/k",))
    assert ["tenant/t"] == subjects_of("t", "", "")


async def test_days_of_many_are_read_at_once(database: Database) -> None:
    day_s = NOON_S - 43_200
    await post(
        database,
        Settled(NOON_S, nano_usd=7),
        Settled(NOON_S + 86_400),
        Settled(NOON_S - 86_400),
        Settled(NOON_S, key="z"),
    )
    found = await SqlSpending(database).days([*(f"key/{number}" for number in range(700)), "key/k", "key/z"], day_s)

    later = [SpentRow("key/k", day_s, 1, 10, 7), SpentRow("key/k", day_s + 86_400, 1, 10, 1000)]
    assert {"key/k": later, "key/z": [SpentRow("key/z", day_s, 1, 10, 1000)]} == found


async def test_of_many_who_see_a_budget_warn_one_is_the_first(database: Database) -> None:
    spending = SqlSpending(database)
    seen = await asyncio.gather(*(spending.first("5/0.8", "k/day", NOON_S) for _ in range(8)))
    assert [True] == [each for each in seen if each]
    assert await spending.first("9/0.8", "k/day", NOON_S), "another budget"
    assert await spending.first("5/0.8", "k/month", NOON_S), "another window"
    assert await spending.first("5/0.8", "kk/day", NOON_S), "another key"
    assert not await spending.first("9/0.8", "k/day", NOON_S)
    assert not await spending.first("5/0.8", "k/day", NOON_S - 86_400), "a clock that was set back"

    assert await spending.first("5/0.8", "k/day", NOON_S + 86_400), "the next day"
    marks = await database.read(lambda db: db.execute(select(ledger_marks.c.name)))
    assert {"told/k/day/5/0.8", "told/k/month/5/0.8", "told/kk/day/5/0.8"} == {row.name for row in marks}
