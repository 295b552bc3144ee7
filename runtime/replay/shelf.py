"""Kept answers of one cache: in the shared state, so that every worker finds them; bounded by the worker that put them.

Each worker knows what it has put and removes of it what was not asked for longest, so that all workers together stay
within the limits they share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from runtime.replay.kept import Kept
from runtime.shared import SharedError, SharedState

__all__ = ["ModelStats", "Shelf", "ShelfStats"]


class ModelStats(msgspec.Struct, kw_only=True):
    """What happened with one public name, by this worker."""

    hits: int = 0
    misses: int = 0


class ShelfStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of one cache, as this worker knows it: entries and bytes are those it has put."""

    hits: int
    misses: int
    entries: int
    bytes: int
    evictions: int
    max_entries: int
    max_bytes: int
    models: dict[str, ModelStats]


class Held(msgspec.Struct, frozen=True):
    size_bytes: int
    until_s: float


class Shelf:
    """``now`` gives seconds that only go on. A shared state that fails is told to ``on_fault``, and is a miss.

    ``index`` is the topic of what answers are found by, where keys alone do not tell: it comes and goes with its answer.
    """

    MAX_MODELS = 1000

    def __init__(
        self,
        topic: str,
        shared: SharedState,
        max_entries: int,
        max_bytes: int,
        ttl_s: float,
        now: Callable[[], float],
        on_fault: Callable[[Exception, str], None],
        index: str | None = None,
    ) -> None:
        self._topic = topic
        self._index = index
        self._shared = shared
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._now = now
        self._on_fault = on_fault
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0
        self._evictions = 0
        self._models: dict[str, ModelStats] = {}

    def configure(self, max_entries: int, max_bytes: int, ttl_s: float) -> None:
        """From now on by other limits; what is too much goes when the next comes."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s

    async def get(self, key: str) -> Kept | None:
        try:
            found = await self._shared.get(self._topic, key)
        except SharedError as error:
            self._on_fault(error, "")
            return None
        if key in self._held:
            if found is None:
                self._forget(key)
            else:
                self._held.move_to_end(key)
        return msgspec.msgpack.decode(found, type=Kept) if found is not None else None

    async def put(self, key: str, kept: Kept, entry: bytes = b"") -> None:
        """``entry`` is for the index."""
        value = msgspec.msgpack.encode(kept)
        size = len(value) + len(entry)
        if size > self._max_bytes:
            return
        try:
            await self._shared.put(self._topic, key, value, self._ttl_s)
            self._forget(key)
            self._held[key] = Held(size, self._now() + self._ttl_s)
            self._bytes += size
            if self._index is not None:
                await self._shared.put(self._index, key, entry, self._ttl_s)
            await self._make_room()
        except SharedError as error:
            self._on_fault(error, "")

    async def clear(self, prefix: str = "") -> int:
        """Remove all whose keys begin with ``prefix``, whoever put them; how many there were. Raises SharedError."""
        for key in [key for key in self._held if key.startswith(prefix)]:
            self._forget(key)
        if self._index is not None:
            await self._shared.clear(self._index, prefix)
        return await self._shared.clear(self._topic, prefix)

    def count(self, model: str, *, hit: bool) -> None:
        """One look into the cache for ``model``."""
        if model not in self._models and len(self._models) >= self.MAX_MODELS:
            del self._models[next(iter(self._models))]
        stats = self._models.setdefault(model, ModelStats())
        if hit:
            stats.hits += 1
        else:
            stats.misses += 1

    def stats(self) -> ShelfStats:
        self._drop_old()
        return ShelfStats(
            hits=sum(each.hits for each in self._models.values()),
            misses=sum(each.misses for each in self._models.values()),
            entries=len(self._held),
            bytes=self._bytes,
            evictions=self._evictions,
            max_entries=self._max_entries,
            max_bytes=self._max_bytes,
            models={name: msgspec.structs.replace(each) for name, each in self._models.items()},
        )

    async def _make_room(self) -> None:
        if len(self._held) > self._max_entries or self._bytes > self._max_bytes:
            self._drop_old()
        while len(self._held) > self._max_entries or self._bytes > self._max_bytes:
            key = next(iter(self._held))
            self._forget(key)
            self._evictions += 1
            await self._shared.remove(self._topic, key)
            if self._index is not None:
                await self._shared.remove(self._index, key)

    def _drop_old(self) -> None:
        """Forget what the shared state has let go of by itself."""
        now_s = self._now()
        for key in [key for key, held in self._held.items() if held.until_s <= now_s]:
            self._forget(key)

    def _forget(self, key: str) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self._bytes -= held.size_bytes
