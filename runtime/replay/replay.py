"""All that may answer in a model's place, in its order: a request that came before, a cache, then the model.

One per worker. A request that asks for none of it, of a plan that has no cache, pays a look at three headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec

from runtime.call import Call, Complete, EmbedCall, Streaming
from runtime.replay.cache import Cache, prefix_of
from runtime.replay.idempotency import Once
from runtime.replay.progress import Form, told, wanted
from runtime.replay.shelf import ShelfStats
from runtime.resilience import Door
from runtime.telemetry import CallRecord

__all__ = ["Replay", "ReplayStats"]

Ask = Callable[[Call], Awaitable[Complete | Streaming]]


class _Clearable(Protocol):
    async def clear(self, prefix: str = "") -> int: ...


class ReplayStats(msgspec.Struct, frozen=True, kw_only=True):
    """As this worker knows it. A cache that is not configured is None."""

    exact: ShelfStats | None
    semantic: ShelfStats | None
    idempotent_running: int


class Replay:
    """``clock`` is that of the calls' records."""

    def __init__(self, once: Once, cache: Cache | None, door: Door, clock: Callable[[], float]) -> None:
        self._once = once
        self._cache = cache
        self._door = door
        self._clock = clock

    def infer(self, call: Call, ask: Ask) -> Awaitable[Complete | Streaming]:
        """The answer to ``call``: one that was given before, or ``ask``'s, with nothing between where none can have been."""
        if self._cache is not None:
            ask = partial(self._cache.infer, ask=ask)
        reply = self._once.infer(call, ask) if self._once.concerns(call.headers) else ask(call)
        form = wanted(call.headers) if call.envelope.stream else None
        return reply if form is None else self._told(reply, form, call.record)

    async def embed(self, call: EmbedCall, ask: Callable[[EmbedCall], Awaitable[Complete]]) -> Complete:
        """The same for vectors, which no cache keeps."""
        if not self._once.concerns(call.headers):
            return await ask(call)
        reply = await self._once.infer(call, ask)
        assert isinstance(reply, Complete), "vectors come in one piece"
        return reply

    async def _told(
        self, reply: Awaitable[Complete | Streaming], form: Form, record: CallRecord
    ) -> Complete | Streaming:
        return await told(await reply, form, record, self._door, self._clock)

    def stats(self) -> ReplayStats:
        """Hits, misses, entries, bytes and evictions of each cache."""
        exact = self._cache.exact if self._cache else None
        semantic = self._cache.semantic if self._cache else None
        return ReplayStats(
            exact=exact.shelf.stats() if exact else None,
            semantic=semantic.shelf.stats() if semantic else None,
            idempotent_running=self._once.running,
        )

    async def clear(self, model: str | None = None) -> int:
        """Forget what the caches keep, of one public name or of all, in every worker; how many answers. Raises SharedError."""
        prefix = "" if model is None else prefix_of(model)
        if self._cache is None:
            return 0
        counts = await asyncio.gather(*(each.clear(prefix) for each in self._clearable()))
        return sum(counts)

    def _clearable(self) -> list[_Clearable]:
        cache = self._cache
        if cache is None:
            return []
        return [each for each in (cache.exact.shelf if cache.exact else None, cache.semantic) if each is not None]
