"""Shared state of one process: nobody to share with, so it lies in memory."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from runtime.shared.base import SHORT_BYTES, News, SharedState

__all__ = ["MemoryState"]

_STALE: Final = 1024
"""How many ends of entries that were overwritten or removed may lie in the heap beside as many as there are entries."""

_NEWS_S: Final = 60.0
_NEWS: Final = 10_000
_ENTRY_BYTES: Final = 256
"""What an entry takes beside its key and value."""


class MemoryState(SharedState):
    """``now`` gives seconds that only go on. What is over is swept as entries are added.

    Beyond ``limit_bytes`` what would end first goes before its time, long values before short ones.
    """

    def __init__(self, now: Callable[[], float], limit_bytes: int = 1 << 28) -> None:
        self._now = now
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._topics: dict[str, dict[str, tuple[bytes, float]]] = {}
        self._told: dict[str, deque[tuple[int, float, bytes]]] = {}
        self._ends: list[tuple[float, str, str]] = []
        self._long_ends: list[tuple[float, str, str]] = []
        self._count = 0
        self._cursor = 0

    @override
    async def get(self, topic: str, key: str) -> bytes | None:
        return self._live(topic, key)

    @override
    async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        self._set(topic, key, value, ttl_s)

    @override
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        found = self._live(topic, key)
        if found is None:
            self._set(topic, key, value, ttl_s)
        return found

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        if self._live(topic, key) != expected:
            return False
        self._set(topic, key, value, ttl_s)
        return True

    @override
    async def remove(self, topic: str, key: str, expected: bytes | None = None) -> bool:
        found = self._live(topic, key)
        if found is None or (expected is not None and found != expected):
            return False
        self._drop(topic, key)
        return True

    @override
    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        now_s = self._now()
        live = (
            (key, value)
            for key, (value, until_s) in self._topics.get(topic, {}).items()
            if until_s > now_s and key.startswith(prefix)
        )
        return sorted(live)[:limit]

    @override
    async def clear(self, topic: str, prefix: str = "") -> int:
        found = await self.entries(topic, prefix, limit=len(self._topics.get(topic, {})))
        for key, _ in found:
            self._drop(topic, key)
        return len(found)

    @override
    async def tell(self, topic: str, message: bytes) -> None:
        self._cursor += 1
        told = self._told.setdefault(topic, deque(maxlen=_NEWS))
        told.append((self._cursor, self._now(), message))
        while told[0][1] < self._now() - _NEWS_S:
            told.popleft()

    @override
    async def news(self, topic: str, cursor: int | None) -> News:
        messages: list[bytes] = []
        if cursor is not None:
            for at, _, message in reversed(self._told.get(topic, ())):
                if at <= cursor:
                    break
                messages.append(message)
        return News(cursor=self._cursor, messages=tuple(reversed(messages)))

    @override
    async def aclose(self) -> None:
        self._topics.clear()
        self._told.clear()
        self._ends.clear()
        self._long_ends.clear()
        self._bytes = self._count = 0

    def _live(self, topic: str, key: str) -> bytes | None:
        found = self._topics.get(topic, {}).get(key)
        return found[0] if found is not None and found[1] > self._now() else None

    def _set(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        self._drop(topic, key)
        if ttl_s > 0:
            until_s = self._now() + ttl_s
            self._topics.setdefault(topic, {})[key] = (value, until_s)
            self._bytes += _size(key, value)
            self._count += 1
            heapq.heappush(self._ends_like(value), (until_s, topic, key))
        self._sweep()

    def _drop(self, topic: str, key: str) -> None:
        found = self._topics.get(topic, {}).pop(key, None)
        if found is not None:
            self._bytes -= _size(key, found[0])
            self._count -= 1

    def _ends_like(self, value: bytes) -> list[tuple[float, str, str]]:
        return self._ends if len(value) <= SHORT_BYTES else self._long_ends

    def _sweep(self) -> None:
        now_s = self._now()
        for ends in (self._long_ends, self._ends):
            while ends and (ends[0][0] <= now_s or self._bytes > self._limit_bytes):
                until_s, topic, key = heapq.heappop(ends)
                found = self._topics[topic].get(key)
                if found is not None and found[1] == until_s:
                    self._drop(topic, key)
        if len(self._ends) + len(self._long_ends) > 2 * self._count + _STALE:
            self._forget_stale()

    def _forget_stale(self) -> None:
        self._ends, self._long_ends = [], []
        for topic, values in self._topics.items():
            for key, (value, until_s) in values.items():
                self._ends_like(value).append((until_s, topic, key))
        heapq.heapify(self._ends)
        heapq.heapify(self._long_ends)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES
