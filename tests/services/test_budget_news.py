"""A budget that is spent as far as its threshold is told of once in its window, by one of all workers."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.services.budget_news import BudgetNews
from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.spending import SqlSpending, post_spend
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger
from runtime.web.key import KeyRecord
from runtime.window import Calendar, Limit
from tests.support.database import prepared

NOON_S = 1_700_049_600.0
"""Of Wednesday, 15 November 2023, UTC."""
DAY_S = 86_400.0


class Cost(msgspec.Struct, frozen=True):
    at_s: float
    nano_usd: int
    key: str = "k"
    tenant: str = "t"
    combo: str = ""
    counters: tuple[str, ...] = ()
    tokens: int = 0
    attempts: tuple[object, ...] = ("one",)
    admitted: int = 1
    let_in: bool = True


class Desk:
    """A store, and workers that look."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys: list[KeyRecord] = []
        self.now_s = NOON_S
        self.sink = io.StringIO()
        self.workers = [self.worker() for _ in range(3)]

    def worker(self) -> BudgetNews:
        log = logger("info", "json", "b", Lines(self.sink))
        return BudgetNews(lambda: self.keys, SqlSpending(self.database), lambda: self.now_s, lambda: log)

    def budget(self, *limits: Limit) -> None:
        self.keys = [KeyRecord(id="k", scopes=frozenset({"chat"}), tenant="t", limits=limits)]

    async def spend(self, nano_usd: int) -> None:
        await self.database.write(partial(post_spend, settlements=[Cost(self.now_s, nano_usd)]))

    async def told(self) -> list[dict[str, Any]]:
        """What was said since this was asked before, once all have looked twice."""
        for worker in self.workers * 2:
            await worker.look()
        lines = self.sink.getvalue().splitlines()
        self.sink.truncate(0)
        self.sink.seek(0)
        return [json.loads(line) for line in lines]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = Database(prepared(tmp_path))
    yield Desk(database)
    await database.aclose()


def usd(amount: float, calendar: Calendar, warn_at: float = 0.8) -> Limit:
    return Limit(of="usd", amount=int(amount * 10**9), calendar=calendar, warn_at=warn_at)


async def test_it_is_said_when_so_much_is_spent_once_in_each_window(desk: Desk) -> None:
    desk.budget(usd(1, "day"))
    assert [] == await desk.told()
    await desk.spend(799_999_999)
    assert [] == await desk.told()
    await desk.spend(1)
    (told,) = await desk.told()
    del told["timestamp"]
    assert {
        "level": "warning",
        "event": "budget_warning",
        "build": "b",
        "key": "k",
        "tenant": "t",
        "budget": "$1.00 per day",
        "used_usd": "0.80",
        "threshold": 0.8,
    } == told
    await desk.spend(500_000_000)
    desk.workers.append(desk.worker())  # one that was started anew
    assert [] == await desk.told()

    desk.now_s += DAY_S
    assert [] == await desk.told()
    await desk.spend(900_000_000)
    assert ["0.90"] == [each["used_usd"] for each in await desk.told()]


async def test_each_budget_of_a_key_is_told_of_by_its_own_threshold(desk: Desk) -> None:
    desk.budget(
        usd(1, "day", 0.9), usd(2, "week", 0.1), usd(1, "month", 0.0), Limit(of="tokens", amount=1, calendar="day")
    )
    await desk.spend(500_000_000)

    assert ["$2.00 per week"] == [each["budget"] for each in await desk.told()]


async def test_a_budget_that_was_made_larger_is_another_one(desk: Desk) -> None:
    desk.budget(usd(1, "month"))
    await desk.spend(800_000_000)
    assert 1 == len(await desk.told())
    desk.budget(usd(2, "month"))
    assert [] == await desk.told()
    await desk.spend(800_000_000)

    assert ["$2.00 per month"] == [each["budget"] for each in await desk.told()]


async def test_what_was_spent_before_the_window_does_not_count(desk: Desk) -> None:
    desk.budget(usd(1, "week"))
    await desk.spend(900_000_000)
    desk.now_s += 5 * DAY_S  # on Monday

    assert [] == await desk.told()


async def test_a_store_that_fails_is_asked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.budget(usd(1, "day"))
    await desk.spend(900_000_000)
    with monkeypatch.context() as patched:

        async def gone(*_: object) -> None:
            raise StoreError("gone")

        patched.setattr(SqlSpending, "first", gone)
        with pytest.raises(StoreError):
            await desk.told()

    assert 1 == len(await desk.told())
