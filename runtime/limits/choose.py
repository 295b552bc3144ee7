"""Where limits are counted, and opening that. Redis is imported only where it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable

from generated.config import SharedSettings
from runtime.limits.base import Counters
from runtime.limits.memory import MemoryCounters
from runtime.shared.choose import place_of
from runtime.stores.database import Database

__all__ = ["open_counters"]


def open_counters(
    settings: SharedSettings,
    workers: int,
    url: str | None,
    database: Database,
    now_ms: Callable[[], int],
    steady: Callable[[], float],
) -> Counters:
    """In Redis where workers share one; else in the database, where other workers may use it; else in memory.

    ``steady`` gives seconds that only go on, the same in all workers of this machine, which alone use a file.

    Several machines use one PostgreSQL database, so a worker with one is never taken to be alone.
    """
    place = place_of(settings, workers)
    if place == "redis":
        from runtime.limits.redis import RedisCounters

        assert url is not None, "checked at the start"
        return RedisCounters(url, settings.namespace, settings.timeout_ms / 1000)
    if place == "file" or not database.sqlite:
        from runtime.limits.sql import SqlCounters
        from runtime.stores.counters import SqlCounterRows

        clock = steady if database.sqlite else time.time
        return SqlCounters(SqlCounterRows(database, lambda: int(clock() * 1000)))
    return MemoryCounters(now_ms)
