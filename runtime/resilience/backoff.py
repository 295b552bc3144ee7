"""How long to wait before a target is asked again."""

from __future__ import annotations

from random import Random

from generated.config import RetrySettings

__all__ = ["backoff_s"]


def backoff_s(settings: RetrySettings, retry: int, rng: Random) -> float:
    """Seconds before the ``retry``-th retry, counted from 1: a random part of a wait that doubles each time."""
    longest_ms = min(settings.backoff_ms << min(retry - 1, 32), settings.max_backoff_ms)
    return rng.random() * longest_ms / 1000
