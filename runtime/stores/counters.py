"""Rows of the counters of limits, for the workers of one machine (SQLite) or of several (PostgreSQL). Knows no rule.

A change is one transaction, and changes come one after the other: it loads what it is about, lets its caller work on that, and
writes back what is different. Workers say many things in one change, so that few are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from sqlalchemy import Table, delete, select, text

from runtime.stores.database import Database, insert_or
from runtime.stores.tables import limit_counters, limit_holders, limit_holds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["CounterRows", "SqlCounterRows"]

_LOCK: Final = 0x67776C69
"""Any number, the same in every process: who has it in PostgreSQL has the turn."""

_BATCH: Final = 200

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")


class CounterRows(msgspec.Struct):
    """``buckets`` are (used, until_ms) by counter and bucket, ``holds`` by counter and holder, ``holders`` (seen_ms, number)."""

    buckets: dict[tuple[str, int], tuple[int, int]] = {}
    holds: dict[tuple[str, str], int] = {}
    holders: dict[str, tuple[int, int]] = {}


class SqlCounterRows:
    """``now_ms`` is the clock of the machine; several machines go by the server's. Every method may raise StoreError."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def change(self, counters: Collection[str], holder: str, work: Callable[[CounterRows, int], T]) -> T:
        """What ``work`` answers, which is given the rows of ``counters``, changes them, and is told the time."""
        names = sorted(counters)
        return await self._database.write(partial(_change, names=names, holder=holder, work=work, here_ms=self._now_ms))

    async def sweep(self, absent_ms: int, forgotten_ms: int) -> None:
        """Forget counters that are over, what the dead kept, and after ``forgotten_ms`` the dead themselves."""
        await self._database.write(
            partial(_sweep, here_ms=self._now_ms, absent_ms=absent_ms, forgotten_ms=forgotten_ms)
        )


async def _change(
    db: AsyncConnection,
    names: Sequence[str],
    holder: str,
    work: Callable[[CounterRows, int], T],
    here_ms: Callable[[], int],
) -> T:
    now_ms = await _time(db, here_ms)
    before = await _load(db, names, holder)
    after = CounterRows(dict(before.buckets), dict(before.holds), dict(before.holders))
    answer = work(after, now_ms)
    buckets = [
        {"counter": counter, "bucket": bucket, "used": used, "until_ms": until_ms}
        for (counter, bucket), (used, until_ms) in _changed(before.buckets, after.buckets)
    ]
    holds = [
        {"counter": counter, "holder": name, "amount": amount}
        for (counter, name), amount in _changed(before.holds, after.holds)
    ]
    holders = [
        {"holder": name, "seen_ms": seen_ms, "number": number}
        for name, (seen_ms, number) in _changed(before.holders, after.holders)
    ]
    for table, rows in ((limit_counters, buckets), (limit_holds, holds), (limit_holders, holders)):
        await _put(db, table, rows)
    for counter, name in before.holds.keys() - after.holds.keys():
        await db.execute(delete(limit_holds).where(limit_holds.c.counter == counter, limit_holds.c.holder == name))
    for counter, bucket in before.buckets.keys() - after.buckets.keys():
        over = (limit_counters.c.counter == counter, limit_counters.c.bucket == bucket)
        await db.execute(delete(limit_counters).where(*over))
    return answer


async def _time(db: AsyncConnection, here_ms: Callable[[], int]) -> int:
    """The time, once it is our turn."""
    if db.dialect.name == "sqlite":  # a writer is alone there
        return here_ms()
    await db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    seconds = await db.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
    return int(float(seconds or 0) * 1000)


async def _load(db: AsyncConnection, names: Sequence[str], holder: str) -> CounterRows:
    rows = CounterRows()
    for first in range(0, len(names), _BATCH):
        some = names[first : first + _BATCH]
        counters = limit_counters.c
        for counter, bucket, used, until_ms in await db.execute(
            select(counters.counter, counters.bucket, counters.used, counters.until_ms).where(
                counters.counter.in_(some)
            )
        ):
            rows.buckets[counter, bucket] = (used, until_ms)
        holds = limit_holds.c
        for counter, name, amount in await db.execute(
            select(holds.counter, holds.holder, holds.amount).where(holds.counter.in_(some))
        ):
            rows.holds[counter, name] = amount
    wanted = sorted({holder, *(name for _, name in rows.holds)})
    found = limit_holders.c
    for name, seen_ms, number in await db.execute(
        select(found.holder, found.seen_ms, found.number).where(found.holder.in_(wanted))
    ):
        rows.holders[name] = (seen_ms, number)
    return rows


def _changed(before: Mapping[K, V], after: Mapping[K, V]) -> list[tuple[K, V]]:
    return [(key, value) for key, value in after.items() if before.get(key) != value]


async def _put(db: AsyncConnection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    keys = [column.name for column in table.primary_key]
    for first in range(0, len(rows), _BATCH):
        put = insert_or(db, table).values(rows[first : first + _BATCH])
        values = {column.name: put.excluded[column.name] for column in table.columns if not column.primary_key}
        await db.execute(put.on_conflict_do_update(index_elements=keys, set_=values))


async def _sweep(db: AsyncConnection, here_ms: Callable[[], int], absent_ms: int, forgotten_ms: int) -> None:
    now_ms = await _time(db, here_ms)
    living = select(limit_holders.c.holder).where(limit_holders.c.seen_ms >= now_ms - absent_ms)
    await db.execute(delete(limit_holds).where(limit_holds.c.holder.not_in(living)))
    await db.execute(delete(limit_holders).where(limit_holders.c.seen_ms < now_ms - forgotten_ms))
    held = select(limit_holds.c.counter)
    over = limit_counters.c.until_ms < now_ms
    await db.execute(delete(limit_counters).where(over, limit_counters.c.counter.not_in(held)))
