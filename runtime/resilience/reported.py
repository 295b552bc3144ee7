"""What is left of an account's quotas, as providers say it in the headers of their answers.

OpenAI and those like it: `x-ratelimit-remaining-requests` with `x-ratelimit-reset-requests: 6m0s`. Anthropic:
`anthropic-ratelimit-tokens-remaining` with a time of day, which is read by the answer's own `Date`, not by our clock. Some
others: `x-ratelimit-remaining` with seconds, or with a time in seconds or milliseconds since 1970. What cannot be read says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["Reported", "read_reports"]

_REMAINING: Final = re.compile(r"x-ratelimit-remaining(-[a-z-]+)?|anthropic-ratelimit-([a-z-]+)-remaining")
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS_S: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_EPOCH_S: Final = 1_000_000_000
"""Numbers above are moments, not waits: the wait would be thirty years."""

_MOST_DIGITS: Final = 18


class Reported(msgspec.Struct, frozen=True):
    """``of`` names the quota; ``left`` is the part of it that is left, 0 to 1; in ``reset_s`` seconds all of it is back."""

    of: str
    left: float
    reset_s: float


def read_reports(headers: Mapping[str, str]) -> tuple[Reported, ...]:
    """The quotas that lower-case ``headers`` speak of with all that is needed: what is left, and when it is back."""
    named = _named(tuple(headers))
    if not named:
        return ()
    found: list[Reported] = []
    for of, name, limit, reset in named:
        remaining, most = _number(headers[name]), _number(headers.get(limit, ""))
        reset_s = _wait_s(headers[reset], headers.get("date", "")) if headers[reset] else None
        if remaining is None or reset_s is None or reset_s <= 0:
            continue
        left = 0.0 if remaining <= 0 else min(1.0, remaining / most) if most else 1.0
        found.append(Reported(of, left, reset_s))
    return tuple(found)


@lru_cache(maxsize=256)
def _named(headers: tuple[str, ...]) -> tuple[tuple[str, str, str, str], ...]:
    """The quotas that names of headers are of, with the headers of what is left, of all, and of when it is back.

    Remembered: a provider names the same ones in every answer.
    """
    found: list[tuple[str, str, str, str]] = []
    for name in headers:
        match = _REMAINING.fullmatch(name)
        reset = name.replace("remaining", "reset")
        if match is not None and reset in headers:
            found.append((match[1] or match[2] or "", name, name.replace("remaining", "limit"), reset))
    return tuple(found)


def _number(text: str) -> float | None:
    text = text.strip()
    if len(text) > _MOST_DIGITS or not text.isascii():
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < 10**_MOST_DIGITS else None


def _wait_s(reset: str, date: str) -> float | None:
    """Seconds from the answer to ``reset``; None when it cannot be read."""
    number = _number(reset)
    if number is not None and number < _EPOCH_S:
        return number
    moment_s = (number / 1000 if number > _EPOCH_S * 1000 else number) if number is not None else _moment_s(reset)
    if moment_s is None:
        return _duration_s(reset.strip())
    try:
        return moment_s - parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _moment_s(text: str) -> float | None:
    """A time of day as RFC 3339 has it, with its zone."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _duration_s(text: str) -> float | None:
    match = _DURATION.fullmatch(text) if 0 < len(text) <= 2 * _MOST_DIGITS else None
    if match is None:
        return None
    return sum(float(amount) * unit_s for amount, unit_s in zip(match.groups(), _UNITS_S, strict=True) if amount)
