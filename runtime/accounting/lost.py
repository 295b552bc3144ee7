"""Calls that were under way when their worker died: the most that is known of them is that they were sent. Pure.

What they took is estimated from what was sent. Of an answer that nobody noted nothing can be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from runtime.accounting.frames import Opened
from runtime.accounting.price import price
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Settlement, counts_of

__all__ = ["LOST", "lost_settlements"]

LOST: Final = "lost"


def lost_settlements(opened: Iterable[Mapping[int, Opened]], prices: Mapping[str, Prices]) -> tuple[Settlement, ...]:
    """One for each call of ``opened``, which maps its attempts by their numbers."""
    return tuple(_lost(attempts, prices) for attempts in opened)


def _lost(attempts: Mapping[int, Opened], prices: Mapping[str, Prices]) -> Settlement:
    """Attempts that had ended before the last one was sent are known; the others are lost."""
    ended = {entry.number: entry for opened in attempts.values() for entry in opened.ended}
    entries = tuple(ended.get(number) or _entry(opened, prices) for number, opened in sorted(attempts.items())) + tuple(
        entry for number, entry in sorted(ended.items()) if number not in attempts
    )
    last = attempts[max(attempts)]
    counts = tuple(map(sum, zip(*(each.counts for each in entries), strict=True))) or NO_COUNTS
    return Settlement(
        last.id,
        last.at_s,
        last.request_id,
        last.decision,
        last.tenant,
        last.key,
        last.operation,
        last.protocol,
        last.model,
        last.combo,
        last.target,
        last.provider,
        last.connection,
        "",
        last.stream,
        "",
        0,
        LOST,
        "",
        0,
        0,
        -1,
        counts,
        any(each.estimated for each in entries),
        sum(each.cost_nano_usd for each in entries),
        any(each.unpriced for each in entries),
        entries,
        last.counters,
    )


def _entry(opened: Opened, prices: Mapping[str, Prices]) -> AttemptEntry:
    usage = Usage(input=opened.input_tokens, estimated=True)
    cost = price(usage, prices.get(opened.price_version))
    return AttemptEntry(
        opened.number,
        opened.sent_s,
        opened.target,
        opened.provider,
        opened.connection,
        LOST,
        0,
        0,
        counts_of(usage),
        True,
        cost.nano_usd,
        cost.unpriced,
        opened.price_version,
    )
