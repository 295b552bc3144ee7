"""How limits stand, as headers of a client's dialect. Anthropic's have a form of their own; everybody else reads OpenAI's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from runtime.limits.admission import Standing

__all__ = ["RATE_HEADERS", "limit_headers"]

RATE_HEADERS: Final = ("x-ratelimit-", "anthropic-ratelimit-")
"""How those begin that a provider sends, which say nothing to a client that has limits of its own."""


def limit_headers(protocol: str, standings: Iterable[Standing], now_s: float) -> tuple[tuple[str, str], ...]:
    """``protocol`` is the client's."""
    found: list[tuple[str, str]] = []
    for each in standings:
        if protocol == "anthropic_messages":
            name = f"anthropic-ratelimit-{each.of}"
            reset = datetime.fromtimestamp(math.ceil(now_s + each.reset_s), UTC).isoformat(timespec="seconds")
            values = (("limit", each.limit), ("remaining", each.left), ("reset", reset.replace("+00:00", "Z")))
            found += [(f"{name}-{what}", str(value)) for what, value in values]
        else:
            values = (("limit", each.limit), ("remaining", each.left), ("reset", _duration(each.reset_s)))
            found += [(f"x-ratelimit-{what}-{each.of}", str(value)) for what, value in values]
    return tuple(found)


def _duration(seconds: float) -> str:
    """As OpenAI says it: `1s`, `6m0s`, `82ms`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
