"""Routing with time and chance in the test's hands."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from generated.config import BreakerSettings, CooldownSettings, RetrySettings, SessionSettings
from runtime.guide import Guide
from runtime.resilience import Health
from runtime.routing import Attempts, Pace
from runtime.sessions import Sessions
from runtime.shared.memory import MemoryState

__all__ = ["Time", "attempts", "guide"]


class Time:
    """A clock that stands still but for those who sleep. ``slept`` are their waits. Those who sleep at the same time would
    move it by the sum of their waits: ``moves`` is false where many do."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.slept: list[float] = []
        self.moves = True

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, wait_s: float) -> None:
        self.slept.append(wait_s)
        if self.moves:
            self.now_s += wait_s


def attempts(
    time: Time | None = None,
    *,
    retries: Mapping[str, Any] | None = None,
    breakers: Mapping[str, Any] | None = None,
    cooldowns: Mapping[str, Any] | None = None,
    places: Mapping[str, int] | None = None,
    total_ms: int = 60_000,
    queue_ms: int = 50,
    seed: int = 1,
) -> Attempts:
    """Attempts with a health of their own. Without ``retries`` nobody is asked twice."""
    time = time if time is not None else Time()
    health = Health(
        BreakerSettings(**(breakers or {})), CooldownSettings(**(cooldowns or {})), places or {}, time.clock
    )
    pace = Pace(retries=RetrySettings(**(retries or {"per_target": 0})), total_ms=total_ms, queue_ms=queue_ms)
    return Attempts(health, pace, time.sleep, Random(seed))


def guide(time: Time | None = None, **settings: Any) -> Guide:
    """What steers requests, with sessions of its own."""
    clock = (time if time is not None else Time()).clock
    said = SessionSettings(**settings)
    return Guide(Sessions(MemoryState(clock), said, clock), said.keep)
