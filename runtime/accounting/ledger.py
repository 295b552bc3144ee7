"""Settling calls: what each used, from what its providers said or else from what was seen of it, at the prices of its plan.

An entry opens before an attempt is sent, and one settles the call before the bytes leave that complete its answer. Between
the two lies everything that can go wrong, so nothing that was paid for is ever unknown.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import floor
from typing import Final, Literal

import msgspec

from runtime.accounting.call_id import call_ids
from runtime.accounting.frames import Opened, PriceTable, encode_frame
from runtime.accounting.journal import Journal
from runtime.accounting.price import NOTHING, Rates, price, price_version, rates_of
from runtime.canonical import Usage
from runtime.catalog import Prices, Tier
from runtime.errors import LedgerUnavailable
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Counts, Settlement, counts_of
from runtime.telemetry import AttemptRecord, CallRecord

__all__ = ["Ledger"]

MAX_BACKLOG: Final = 10_000
"""Settlements that are kept in memory while the journal cannot be written to."""

RETRY_S: Final = 1.0
_MAX_PRICED: Final = 1024
"""Prices are kept as a plan holds them, and every change of the plan brings new ones: of those of before, a megabyte at most."""
_TIERS: Final[tuple[Tier, ...]] = ("flex", "priority", "fast")
_REACHED: Final = frozenset({"cancelled", "diverged", "timeout"})
"""How attempts end that were under way without an answer: the provider may have worked, and charges what it was sent."""


class Priced(msgspec.Struct, frozen=True):
    """Prices that calls name, with what is the same for all of these.

    ``told`` is their version, and the journal's frames of them and of those of their ``tiers``, which stand by their names.
    """

    prices: Prices
    rates: Rates
    version: str
    told: tuple[str, bytes]
    tiers: Mapping[str, Priced]


class Ledger:
    """One worker's. ``clock`` is that of the records, ``now`` gives Unix seconds, ``on_fault`` hears of a failing journal.

    ``when_full`` says what becomes of calls while the journal cannot be written to or is full: `refuse` them, or `continue`.
    ``random`` gives so many random bytes, for ids.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Callable[[], float],
        now: Callable[[], float],
        *,
        when_full: Literal["refuse", "continue"] = "refuse",
        on_fault: Callable[[str | None], None] = lambda _: None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.journal = journal
        self._clock = clock
        self._now = now
        self.refuses = when_full == "refuse"
        self._on_fault = on_fault
        self._ids = call_ids(journal.worker, random)
        self._attempts = count(1)
        self._priced: dict[int, Priced] = {}
        self._backlog: deque[tuple[str, bytes]] = deque()
        self.trouble: str | None = None
        self.lost = 0

    def new_id(self) -> str:
        """Of a call: no other one ever has it."""
        return next(self._ids)

    def open(self, record: CallRecord, attempt: AttemptRecord, input_tokens: int) -> None:
        """``attempt`` is about to be sent, with about so many tokens. Raises LedgerUnavailable."""
        attempt.number = next(self._attempts)
        if attempt.free:
            return
        prices = attempt.prices
        priced = None if prices is None else self._priced.get(id(prices)) or self._prepare(prices)
        now_s = self._now()
        frame = encode_frame(
            Opened(
                record.settlement,
                now_s - (self._clock() - record.started_s),
                record.id,
                record.decision,
                record.tenant,
                record.key,
                record.operation,
                record.protocol,
                record.model,
                record.combo,
                record.stream,
                attempt.number,
                now_s,
                attempt.target,
                attempt.provider,
                attempt.connection,
                "" if priced is None else priced.version,
                input_tokens,
                self._ended(record) if len(record.attempts) > 1 else (),
                record.counters,
            )
        )
        try:
            if self._backlog:
                self._write_what_waits()
            self.journal.open(record.settlement, frame, None if priced is None else priced.told)
        except OSError as error:
            self._failed(f"the journal cannot be written to: {error.strerror or error}")
            self._refuse(attempt)
        else:
            if self.trouble is not None:
                self._recovered()

    def settle(self, record: CallRecord) -> None:
        """What ``record`` came to, so far as it has ended. The first time counts; a call whose key nobody knew is none."""
        if record.settled or record.part or not record.key:
            return
        record.settled = True
        settlement = self._settlement(record)
        if settlement.cost_nano_usd:
            record.cost_nano_usd = settlement.cost_nano_usd
        if settlement.unpriced:
            record.unpriced = True
        if record.held is not None:
            record.held.settle(settlement.tokens, settlement.cost_nano_usd)
        if record.held_by_parts is not None:
            record.held_by_parts.settle(settlement.tokens, settlement.cost_nano_usd)
        id_, frame = settlement.id, encode_frame(settlement)
        try:
            if self._backlog:
                self.retry()
            if not self._backlog and self.journal.settle(id_, frame):
                return
        except OSError as error:
            self._failed(f"the journal cannot be written to: {error.strerror or error}")
        if len(self._backlog) >= MAX_BACKLOG:
            self.lost += 1
            return
        self._backlog.append((id_, frame))

    def retry(self) -> None:
        """Write what could not be written before."""
        try:
            while self._backlog and self.journal.settle(*self._backlog[0]):
                self._backlog.popleft()
        except OSError as error:
            self._failed(f"the journal cannot be written to: {error.strerror or error}")
            return
        if self.trouble is not None and not self.journal.full:
            self._recovered()

    # -- writing

    def _write_what_waits(self) -> None:
        """Before anything else is let in. Raises OSError."""
        self.retry()
        if self._backlog:
            raise OSError(0, "it holds as much as it may, and the store does not take it")

    def _refuse(self, attempt: AttemptRecord) -> None:
        if self.refuses:
            attempt.number = 0
            raise LedgerUnavailable(
                "the gateway cannot note what calls cost at the moment; try again", retry_after_s=RETRY_S
            )

    def _failed(self, why: str) -> None:
        if self.trouble is None:
            self._on_fault(why)
        self.trouble = why

    def _recovered(self) -> None:
        if self.trouble is not None and not self._backlog:
            self.trouble = None
            self._on_fault(None)

    # -- what it came to

    def _settlement(self, record: CallRecord) -> Settlement:
        now_s, unix_s = self._clock(), self._now()
        entries: list[AttemptEntry] = []
        cost_nano_usd, estimated, unpriced = 0, False, False
        for attempt in record.attempts:
            if attempt.number:
                entry = self._entry(attempt, now_s, unix_s)
                entries.append(entry)
                cost_nano_usd += entry.cost_nano_usd
                estimated = estimated or entry.estimated
                unpriced = unpriced or entry.unpriced
            attempt.measure = None
            if attempt.received is not None:
                attempt.received = None
        started_s, first_s = record.started_s, record.first_token_s
        return Settlement(
            record.settlement,
            unix_s - (now_s - started_s),
            record.id,
            record.decision,
            record.tenant,
            record.key,
            record.operation,
            record.protocol,
            record.model,
            record.combo,
            record.served,
            record.provider,
            record.connection,
            record.session,
            record.stream,
            "" if record.replay == "miss" else record.replay,
            record.rescues,
            record.outcome,
            record.error or "",
            record.status or (200 if record.outcome == "ok" else 0),
            floor(((record.ended_s or now_s) - started_s) * 1000 + 0.5),
            -1 if first_s is None else floor((first_s - started_s) * 1000 + 0.5),
            entries[0].counts if len(entries) == 1 else _sum(entries),
            estimated,
            cost_nano_usd,
            unpriced,
            tuple(entries),
            record.counters,
            record.admitted,
            record.let_in,
        )

    def _ended(self, record: CallRecord) -> tuple[AttemptEntry, ...]:
        """Of those that were sent and have ended."""
        now_s, unix_s = self._clock(), self._now()
        return tuple(self._entry(each, now_s, unix_s) for each in record.attempts if each.number and each.outcome)

    def _entry(self, attempt: AttemptRecord, now_s: float, unix_s: float) -> AttemptEntry:
        """At ``now_s`` of the clock, which is ``unix_s`` in Unix seconds."""
        usage, prices = attempt.usage, attempt.prices
        if usage is not None and attempt.outcome == "ok" and not attempt.free:
            if not usage.output or not (usage.input or usage.total_input):
                usage = _filled(attempt, usage)
            estimated = usage.estimated
        else:
            usage, estimated = _used(attempt)
        priced = None if prices is None else self._priced.get(id(prices)) or self._prepare(prices)
        requests, counts, cost = 0, NO_COUNTS, NOTHING
        if usage is not None:
            requests, counts = attempt.requests, counts_of(usage)
            if usage.tier and priced is not None:
                priced = priced.tiers.get(usage.tier, priced)
            cost = price(usage, None) if priced is None else priced.rates.cost(usage, requests)
        nano_usd, unpriced = cost.nano_usd, cost.unpriced
        if nano_usd:
            attempt.cost_nano_usd = nano_usd
        if unpriced:
            attempt.unpriced = True
        return AttemptEntry(
            attempt.number,
            unix_s - (now_s - attempt.started_s),
            attempt.target,
            attempt.provider,
            attempt.connection,
            attempt.outcome or "cancelled",
            attempt.status or 0,
            floor(((attempt.ended_s or now_s) - attempt.started_s) * 1000 + 0.5),
            counts,
            estimated,
            nano_usd,
            unpriced,
            "" if priced is None else priced.version,
            requests,
        )

    def _prepare(self, prices: Prices) -> Priced:
        """With the first call at these prices."""
        if len(self._priced) >= _MAX_PRICED:
            self._priced.clear()
        made = self._priced[id(prices)] = _priced(prices)  # keeps the id its own
        return made


def _priced(prices: Prices) -> Priced:
    version = price_version(prices)
    tiers: dict[str, Priced] = {
        tier: _priced(theirs) for tier in _TIERS if (theirs := prices.of_tier(tier)) is not prices
    }
    told = b"".join((encode_frame(PriceTable(version, prices)), *(each.told[1] for each in tiers.values())))
    return Priced(prices, rates_of(prices), version, (version, told), tiers)


def _filled(attempt: AttemptRecord, usage: Usage) -> Usage:
    """``usage`` with our count of what its provider said nothing of: no prompt is empty, and no answer that has text."""
    sent = 0 if usage.total_input or attempt.measure is None else attempt.measure()
    came = 0 if usage.output or attempt.received is None else attempt.received.tokens()
    if not sent and not came:
        return usage
    return msgspec.structs.replace(usage, input=usage.input + sent, output=usage.output + came, estimated=True)


def _used(attempt: AttemptRecord) -> tuple[Usage | None, bool]:
    """What an attempt used that did not end well or said nothing of it, None for nothing, and whether that is our estimate."""
    usage, status = attempt.usage, attempt.status
    if attempt.free:
        return None, False
    if status is not None and status >= 300:
        return None, False  # refused: nobody charges for that
    if status is None and attempt.outcome and attempt.outcome not in _REACHED:
        return None, False
    came = 0 if attempt.received is None else attempt.received.tokens()
    if usage is None:
        sent = 0 if attempt.measure is None else attempt.measure()
        return Usage(input=sent, output=came, estimated=True), True
    usage = _filled(attempt, usage)
    if came > usage.output:  # what it said at the beginning, and what came since
        return Usage(
            input=usage.input,
            output=came,
            cache_read=usage.cache_read,
            cache_write_5m=usage.cache_write_5m,
            cache_write_1h=usage.cache_write_1h,
            audio_input=usage.audio_input,
            image_input=usage.image_input,
            search_requests=usage.search_requests,
            estimated=True,
            tier=usage.tier,
        ), True
    return usage, usage.estimated


def _sum(entries: Sequence[AttemptEntry]) -> Counts:
    return tuple(map(sum, zip(*(each.counts for each in entries), strict=True))) or NO_COUNTS
