"""What the caches hold, and forgetting it; in all workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from generated.types.cache import CacheCleared, CachedModel, CacheFigures, CacheReport, IdempotencyFigures
from runtime.errors import RouteUnavailable
from runtime.replay.replay import Replay, ReplayStats
from runtime.replay.shelf import ShelfStats
from runtime.routing import RouteTable
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues

__all__ = ["CACHES", "Caching", "told_caches"]

CACHES: Final = "caches"


def told_caches(replay: Replay) -> Callable[[bytes], bytes]:
    """What a worker answers to CACHES."""
    return lambda _: msgspec.msgpack.encode(replay.stats())


class Caching:
    """Implements `generated.api.cache.CacheService`. ``window_ms`` is that of idempotency."""

    def __init__(self, replay: Replay, colleagues: Colleagues, window_ms: int, routes: RouteTable) -> None:
        self._replay = replay
        self._routes = routes
        self._colleagues = colleagues
        self._window_ms = window_ms

    async def get_cache(self) -> CacheReport:
        answers = await self._colleagues.ask(CACHES, b"")
        found = [msgspec.msgpack.decode(answer, type=ReplayStats) for answer in answers.answers]
        running = sum(each.idempotent_running for each in found)
        return CacheReport(
            exactCache=_figures([each.exact for each in found if each.exact is not None]),
            semanticCache=_figures([each.semantic for each in found if each.semantic is not None]),
            idempotency=IdempotencyFigures(activeKeys=running, windowMs=self._window_ms),
            workers=answers.workers,
            heard=answers.heard,
        )

    async def get_cache_stats(self) -> CacheReport:
        return await self.get_cache()

    async def clear_cache(self, model: str | None = None) -> CacheCleared:
        name = None if model is None else self._routes.public(model)
        try:
            entries = await self._replay.clear(name)
        except SharedError as error:
            raise RouteUnavailable("the caches cannot be reached now", retry_after_s=1) from error
        if name is not None and not entries and not self._routes.knows(name):
            raise self._routes.unknown(name)
        of = "" if model is None else f" for {model}"
        return CacheCleared(success=True, entries=entries, message=f"Forgot {entries} answer(s){of}")

    async def clear_cache_stats(self) -> CacheCleared:
        return await self.clear_cache()


def _figures(workers: Sequence[ShelfStats]) -> CacheFigures | msgspec.UnsetType:
    """The sum of the workers; what they may hold they share."""
    if not workers:
        return UNSET
    hits, misses = sum(each.hits for each in workers), sum(each.misses for each in workers)
    models: dict[str, CachedModel] = {}
    for each in workers:
        for name, stats in each.models.items():
            model = models.setdefault(name, CachedModel(model=name, hits=0, misses=0))
            model.hits += stats.hits
            model.misses += stats.misses
    return CacheFigures(
        memorySize=sum(each.entries for each in workers),
        memoryMaxSize=sum(each.max_entries for each in workers),
        bytes=sum(each.bytes for each in workers),
        maxBytes=sum(each.max_bytes for each in workers),
        hits=hits,
        misses=misses,
        evictions=sum(each.evictions for each in workers),
        hitRate=round(hits / (hits + misses), 4) if hits + misses else 0.0,
        models=[models[name] for name in sorted(models)],
    )
