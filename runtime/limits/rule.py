"""One limit for one whom, as a counter has it: what is asked of it, what it begins with, when there is something left again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from runtime.limits.base import Ask, Seed, Used
from runtime.stores.spending import SPAN_S, Span, SpentRow
from runtime.window import Limit, calendar_start_ms

__all__ = ["Rule", "Want"]

_HELD_MS: Final = 120_000
"""How long a counter is remembered of which nothing but what is kept aside matters."""

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000


class Rule(msgspec.Struct, frozen=True):
    """``subject`` is whom it is counted for, as the ledger's sums call it; ``whose`` says it to a client.

    ``counter`` is its name, that no other has.
    """

    subject: str
    whose: str
    limit: Limit
    counter: str = ""

    def __post_init__(self) -> None:
        name = f"{self.subject}|{self.limit.of}|{self.limit.span}"
        msgspec.structs.force_setattr(self, "counter", name)

    def ask(self, amount: int, now_ms: int, extra: int = 0, used_ms: int = 0) -> Ask:
        """For so much more, and ``extra`` in advance, which will have been used by ``used_ms``."""
        limit = self.limit
        if limit.of == "concurrency":
            return Ask(
                self.counter, limit.amount, amount, 0, 0, held=True, lasting=False, kept_ms=_HELD_MS, extra=extra
            )
        return Ask(
            self.counter, limit.amount, amount, limit.bucket(max(now_ms, used_ms)), limit.oldest(now_ms),
            held=limit.of != "requests", lasting=True, kept_ms=limit.kept_ms, extra=extra,
        )  # fmt: skip

    def used(self, amount: int, bucket: int) -> Used:
        return Used(self.counter, bucket, amount, self.limit.kept_ms)

    def wanted(self, now_ms: int) -> tuple[str, Span, int]:
        """What of the ledger's sums it begins with: spans from a time on, in seconds."""
        limit = self.limit
        if limit.calendar is not None:
            return self.subject, "day", calendar_start_ms(limit.calendar, now_ms) // 1000
        span: Span = "minute" if limit.length_ms <= _HOUR_MS else "hour" if limit.length_ms <= _DAY_MS else "day"
        return self.subject, span, (now_ms - limit.length_ms) // 1000 - SPAN_S[span]

    def seed(self, rows: Iterable[SpentRow], now_ms: int) -> Seed:
        """As late as it can have been used, so that nothing is let go too early."""
        limit, buckets = self.limit, dict[int, int]()
        span_ms = SPAN_S[self.wanted(now_ms)[1]] * 1000
        for row in rows:
            amount = {"requests": row.requests, "tokens": row.tokens, "usd": row.nano_usd}[limit.of]
            start_ms = row.start_s * 1000
            at_ms = start_ms if limit.calendar is not None else max(start_ms, min(start_ms + span_ms - 1, now_ms))
            bucket = limit.bucket(at_ms)
            buckets[bucket] = buckets.get(bucket, 0) + amount
        return Seed(self.counter, buckets, limit.kept_ms)

    def due_ms(self, buckets: Mapping[int, int], held: int, amount: int, now_ms: int) -> int | None:
        """When ``amount`` may be asked for again, if nobody else uses it; None: only when a call ends that runs now."""
        limit = self.limit
        if limit.of == "concurrency":
            return None
        used = sum(buckets.values())
        if held + amount > limit.amount:
            return None
        for bucket in sorted(buckets):
            used -= buckets[bucket]
            if used + held + amount <= limit.amount:
                return max(limit.over_ms(bucket), now_ms)
        return None

    def full_ms(self, now_ms: int) -> int:
        """When all of it is there again at the latest, if nobody uses it."""
        limit = self.limit
        return now_ms if limit.of == "concurrency" else limit.over_ms(limit.bucket(now_ms))


class Want(msgspec.Struct, frozen=True):
    """So much of one limit."""

    rule: Rule
    amount: int
