"""How much may be used in which time: the limit of a key, a tenant, a combo or a policy, and the arithmetic of its window.

A window that is a length slides: in no stretch of that length is more used than the limit. It is told in sixtieths, of which
one counts until all of it is longer ago than the window, so never less is counted than was used. A window of the calendar is
one of UTC's days, weeks (from Monday) or months. Times are Unix milliseconds; what lies ahead, because a clock was set back,
counts too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = ["LONGEST_MS", "SHORTEST_MS", "Calendar", "Limit", "Measure", "calendar_start_ms", "dollars", "read_window"]

Measure: TypeAlias = Literal["requests", "tokens", "usd", "concurrency"]
Calendar: TypeAlias = Literal["day", "week", "month"]

SHORTEST_MS: Final = 1000
LONGEST_MS: Final = 31 * 86_400_000

_BUCKETS: Final = 60
_DAY_MS: Final = 86_400_000
_MONDAY: Final = 3
"""1970 began on a Thursday."""

_UNITS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": _DAY_MS, "w": 7 * _DAY_MS}
_CALENDAR: Final[Mapping[str, Calendar]] = MappingProxyType({"day": "day", "week": "week", "month": "month"})
_NAMED: Final = {"second": 1000, "minute": 60_000, "hour": 3_600_000}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d|w)")


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``amount`` of ``of``, money in nano-USD, in ``length_ms`` or in a ``calendar`` span; at the same time, with neither.

    ``warn_at`` is the part of it from which to warn; 0: nobody does.
    """

    of: Measure
    amount: int
    length_ms: int = 0
    calendar: Calendar | None = None
    warn_at: float = 0.0

    @property
    def span(self) -> str:
        """Its window in a word, that no other window has."""
        return self.calendar or (str(self.length_ms) if self.length_ms else "")

    def bucket(self, now_ms: int) -> int:
        """Where what is used now is counted."""
        match self.calendar:
            case None:
                return now_ms // self._width_ms
            case "day":
                return now_ms // _DAY_MS
            case "week":
                return (now_ms // _DAY_MS + _MONDAY) // 7
            case "month":
                day = datetime.fromtimestamp(now_ms // 1000, UTC)
                return day.year * 12 + day.month - 1

    def oldest(self, now_ms: int) -> int:
        """The first bucket that counts now; all after it do, too."""
        if self.calendar is not None:
            return self.bucket(now_ms)
        return (now_ms - self.length_ms) // self._width_ms

    def over_ms(self, bucket: int) -> int:
        """When what was used in ``bucket`` counts no more."""
        match self.calendar:
            case None:
                return (bucket + 1) * self._width_ms + self.length_ms
            case "day":
                return (bucket + 1) * _DAY_MS
            case "week":
                return ((bucket + 1) * 7 - _MONDAY) * _DAY_MS
            case "month":
                year, month = divmod(bucket + 1, 12)
                return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1000

    def warns(self, used: int) -> bool:
        """Whether so much of it is used that it is time to warn."""
        return self.warn_at > 0 and used >= self.warn_at * self.amount

    @property
    def kept_ms(self) -> int:
        """How long a bucket may matter after it was written, at the most."""
        return {"day": 2, "week": 9, "month": 33}[self.calendar] * _DAY_MS if self.calendar else 2 * self.length_ms

    @property
    def per(self) -> str:
        """Its window, as `read_window` reads it; empty with neither."""
        if self.calendar is not None or not self.length_ms:
            return self.calendar or ""
        unit = next(unit for unit in ("d", "h", "m", "s") if self.length_ms % _UNITS[unit] == 0)
        return f"{self.length_ms // _UNITS[unit]}{unit}"

    @property
    def words(self) -> str:
        """It, as people say it."""
        if self.of == "concurrency":
            return f"{self.amount} {'call' if self.amount == 1 else 'calls'} at the same time"
        if self.of == "usd":
            amount = f"${dollars(self.amount)}"
        else:
            amount = f"{self.amount} {self.of[:-1] if self.amount == 1 else self.of}"
        return f"{amount} per {self.calendar or _length_words(self.length_ms)}"

    @property
    def _width_ms(self) -> int:
        return max(1, self.length_ms // _BUCKETS)


def read_window(per: str) -> tuple[int, Calendar | None] | None:
    """The length in milliseconds, or the span of the calendar, that ``per`` names; None where it names neither."""
    if per in _CALENDAR:
        return 0, _CALENDAR[per]
    if per in _NAMED:
        return _NAMED[per], None
    found = _LENGTH.fullmatch(per)
    if found is None:
        return None
    length_ms = int(found[1]) * _UNITS[found[2]]
    return (length_ms, None) if SHORTEST_MS <= length_ms <= LONGEST_MS else None


def calendar_start_ms(calendar: Calendar, now_ms: int) -> int:
    """When the current day, week or month began."""
    limit = Limit(of="requests", amount=1, calendar=calendar)
    return limit.over_ms(limit.bucket(now_ms) - 1)


def dollars(nano_usd: int) -> str:
    """At least cents, and no more digits than it has."""
    whole, rest = divmod(nano_usd, 1_000_000_000)
    digits = f"{rest:09}".rstrip("0")
    return f"{whole}.{digits:0<2}"


def _length_words(length_ms: int) -> str:
    for name, each_ms in (("week", 7 * _DAY_MS), ("day", _DAY_MS), ("hour", 3_600_000), ("minute", 60_000)):
        if length_ms % each_ms == 0:
            number = length_ms // each_ms
            return ({"week": "7 days", "day": "24 hours"}.get(name, name)) if number == 1 else f"{number} {name}s"
    return f"{length_ms / 1000:g} s"
