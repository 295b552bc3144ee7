"""Counters of limits for tests: every backend behind one shape, each handle as another worker has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from redis.asyncio import Redis

from runtime.limits.base import Counters
from runtime.limits.memory import MemoryCounters
from runtime.limits.redis import RedisCounters
from runtime.limits.sql import SqlCounters
from runtime.stores.counters import SqlCounterRows
from runtime.stores.database import Database, database_url
from tests.support.database import prepared

BACKENDS = ("memory", "sqlite", "postgresql", "redis")
_NUMBERS = itertools.count()


class Clock:
    """Milliseconds that go on when a test says so."""

    def __init__(self, at_ms: int = 1_700_000_000_000) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms


class Place:
    """Where counters lie. ``later`` lets time pass for them."""

    def __init__(self, clock: Clock, open_: Callable[[], Counters], database: Database | None = None) -> None:
        self.clock = clock
        self._open = open_
        self._opened: list[Counters] = []
        self._database = database

    def handle(self) -> Counters:
        self._opened.append(self._open())
        return self._opened[-1]

    async def later(self, ms: int) -> None:
        self.clock.at_ms += ms

    async def forget(self) -> None:
        """Lose all of it, as a server does that is started anew."""
        raise NotImplementedError

    async def aclose(self) -> None:
        for each in self._opened:
            await each.aclose()
        if self._database is not None:
            await self._database.aclose()


class RedisPlace(Place):
    """Redis has a clock of its own: instead of it going on, those who were seen were seen earlier."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._namespace = f"test{next(_NUMBERS)}"
        super().__init__(Clock(), lambda: RedisCounters(url, self._namespace, 5.0))

    async def later(self, ms: int) -> None:
        await super().later(ms)
        await self._age("seen", ms)

    async def forget(self) -> None:
        async with Redis.from_url(self._url) as client:
            async for key in client.scan_iter(f"{self._namespace}:*"):
                await client.delete(key)

    async def _age(self, name: str, ms: int) -> None:
        key = f"{self._namespace}:{{limits}}:{name}"
        async with Redis.from_url(self._url) as client:
            for holder, seen in (await client.hgetall(key)).items():
                await client.hset(key, holder, str(int(seen) - ms))


class PostgresPlace(Place):
    """Its clock is the server's, too."""

    async def later(self, ms: int) -> None:
        await super().later(ms)
        assert self._database is not None
        from sqlalchemy import text

        statement = text("UPDATE limit_holders SET seen_ms = seen_ms - :ms")
        await self._database.write(lambda db: db.execute(statement, {"ms": ms}))


def place(kind: str, directory: Path, url: str = "") -> Place:
    """``url`` is that of a Redis or of a PostgreSQL database in its present shape, where ``kind`` says so."""
    clock = Clock()
    if kind == "memory":
        only = MemoryCounters(clock)
        return Place(clock, lambda: only)
    if kind == "redis":
        return RedisPlace(url)
    if kind == "sqlite":
        database = Database(prepared(directory))
        return Place(clock, lambda: SqlCounters(SqlCounterRows(database, clock)), database)
    database = Database(database_url(url, directory))
    return PostgresPlace(clock, lambda: SqlCounters(SqlCounterRows(database, clock)), database)
