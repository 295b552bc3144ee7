"""Shared states for tests: every backend behind one shape, with a clock that a test turns on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from redis.asyncio import Redis

from runtime.shared import SharedState
from runtime.shared.memory import MemoryState
from runtime.shared.redis import RedisState
from runtime.shared.sqlite import SqliteState

BACKENDS = ("memory", "sqlite", "redis")
_NUMBERS = itertools.count()


class Clock:
    """Seconds that go on when a test says so."""

    def __init__(self, at_s: float = 1_000_000.0) -> None:
        self.at_s = at_s

    def __call__(self) -> float:
        return self.at_s


class Backend:
    """One place where state lies, and the handles on it: each as another worker has it."""

    def __init__(self, open_: Callable[[], SharedState], clock: Clock) -> None:
        self._open = open_
        self._opened: list[SharedState] = []
        self.clock = clock

    def handle(self) -> SharedState:
        self._opened.append(self._open())
        return self._opened[-1]

    async def later(self, seconds: float) -> None:
        """Let time pass for the state."""
        self.clock.at_s += seconds

    async def aclose(self) -> None:
        for each in self._opened:
            await each.aclose()


class RedisBackend(Backend):
    """Redis has a clock of its own; instead of it going on, all that lies there ends earlier."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._namespace = f"test{next(_NUMBERS)}"
        super().__init__(lambda: RedisState(url, self._namespace, 5.0), clock)

    async def later(self, seconds: float) -> None:
        await super().later(seconds)
        async with Redis.from_url(self._url) as client:
            async for key in client.scan_iter(f"{self._namespace}:*"):
                left_ms = await client.pttl(key) - round(seconds * 1000)
                if left_ms > 0:
                    await client.pexpire(key, left_ms)
                else:
                    await client.delete(key)
                if key.endswith(b":ends"):
                    for name in await client.zrange(key, 0, -1):
                        await client.zincrby(key, -round(seconds * 1000), name)


def backend(kind: str, directory: Path, url: str = "") -> Backend:
    """``url`` is that of a Redis, where ``kind`` says so."""
    clock = Clock()
    if kind == "memory":
        only = MemoryState(clock)
        return Backend(lambda: only, clock)
    if kind == "sqlite":
        return Backend(lambda: SqliteState(directory / "shared.db", clock), clock)
    return RedisBackend(url, clock)
