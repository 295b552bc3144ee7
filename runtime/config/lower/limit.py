"""Limits as they are written to limits as they are kept: one for each amount. What is odd about them is said by the check."""

from __future__ import annotations

from collections.abc import Iterable

from generated.config import UsageLimit
from runtime.window import Limit, Measure, read_window

__all__ = ["amounts", "lower_limits"]


def lower_limits(written: Iterable[UsageLimit]) -> tuple[Limit, ...]:
    """What ``written`` limits; nothing of what is incomplete."""
    limits: list[Limit] = []
    for each in written:
        window = None if each.per is None else read_window(each.per)
        for of, amount in amounts(each):
            if of == "concurrency":
                limits.append(Limit(of=of, amount=amount))
            elif window is not None:
                limits.append(Limit(of=of, amount=amount, length_ms=window[0], calendar=window[1]))
    return tuple(limits)


def amounts(written: UsageLimit) -> list[tuple[Measure, int]]:
    """What one entry names."""
    named: list[tuple[Measure, int | None]] = [
        ("requests", written.requests),
        ("tokens", written.tokens),
        ("usd", written.usd_nano_usd),
        ("concurrency", written.concurrency),
    ]
    return [(of, amount) for of, amount in named if amount is not None]
