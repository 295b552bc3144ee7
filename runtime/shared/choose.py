"""Which shared state the settings ask for, and opening it. Redis is imported only where it is asked for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from generated.config import SharedSettings
from runtime.shared.base import SharedState
from runtime.shared.memory import MemoryState

__all__ = ["Place", "open_state", "place_of", "url_complaint"]

Place: TypeAlias = Literal["memory", "file", "redis"]

_SCHEMES: Final = ("redis", "rediss", "unix")
_OPTIONS: Final = frozenset({"db", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


def place_of(settings: SharedSettings, workers: int) -> Place:
    """Where the state lies."""
    if settings.where != "auto":
        return settings.where
    if settings.url is not None:
        return "redis"
    return "file" if workers > 1 else "memory"


def open_state(
    settings: SharedSettings, workers: int, data_dir: Path, url: str | None, now: Callable[[], float] = time.time
) -> SharedState:
    """The state; nothing is reached yet. ``url`` is what `url` refers to, in which `url_complaint` found nothing.

    ``now`` gives seconds that only go on, the same in all workers.
    """
    place = place_of(settings, workers)
    if place == "redis":
        from runtime.shared.redis import RedisState

        assert url is not None, "checked at the start"
        return RedisState(url, settings.namespace, settings.timeout_ms / 1000)
    if place == "file":
        from runtime.shared.sqlite import SHARED_FILE, SqliteState

        return SqliteState(data_dir / SHARED_FILE, now, settings.limit_bytes)
    return MemoryState(time.monotonic, settings.limit_bytes)


def url_complaint(url: str) -> str | None:
    """Why ``url`` leads to no Redis, or None. Says nothing of what it holds beyond its scheme."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        return "it is no URL"
    if parts.scheme not in _SCHEMES:
        return f"its scheme is {parts.scheme!r}" if parts.scheme else "it has no scheme"
    if parts.scheme == "unix":
        if len(parts.path) < 2:
            return "it names no socket"
    elif not parts.hostname:
        return "it names no host"
    elif not re.fullmatch(r"/?|/[0-9]+", parts.path):
        return "behind its host stands no number of a database"
    unknown = sorted(options.keys() - _OPTIONS)
    return f"it has the option {unknown[0]!r}" if unknown else None
