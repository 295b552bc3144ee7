"""Settling calls: what each used, from what its providers said or else from what was seen of it, at the prices of its plan.

An entry opens before an attempt is sent, and one settles the call before the bytes leave that complete its answer. Between
the two lies everything that can go wrong, so nothing that was paid for is ever unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, Literal

from runtime.accounting.frames import Opened, PriceTable, encode_frame
from runtime.accounting.journal import Journal
from runtime.accounting.price import NOTHING, price, price_version
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.errors import LedgerUnavailable
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Counts, Settlement, counts_of
from runtime.telemetry import AttemptRecord, CallRecord

__all__ = ["Ledger"]

MAX_BACKLOG: Final = 10_000
"""Settlements that are kept in memory while the journal cannot be written to."""

RETRY_S: Final = 1.0
_MAX_VERSIONS: Final = 4096
_REACHED: Final = frozenset({"cancelled", "diverged", "timeout"})
"""How attempts end that were under way without an answer: the provider may have worked, and charges what it was sent."""


class Ledger:
    """One worker's. ``clock`` is that of the records, ``now`` gives Unix seconds, ``on_fault`` hears of a failing journal.

    ``when_full`` says what becomes of calls while the journal cannot be written to or is full: `refuse` them, or `continue`.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Callable[[], float],
        now: Callable[[], float],
        *,
        when_full: Literal["refuse", "continue"] = "refuse",
        on_fault: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self.journal = journal
        self._clock = clock
        self._now = now
        self.refuses = when_full == "refuse"
        self._on_fault = on_fault
        self._numbers = count(1)
        self._attempts = count(1)
        self._versions: dict[int, tuple[Prices, str]] = {}
        self._backlog: deque[tuple[str, bytes]] = deque()
        self.trouble: str | None = None
        self.lost = 0

    def new_id(self) -> str:
        """Of a call: no other one ever has it."""
        return f"{self.journal.worker}-{next(self._numbers):x}"

    def open(self, record: CallRecord, attempt: AttemptRecord, input_tokens: int) -> None:
        """``attempt`` is about to be sent, with about so many tokens. Raises LedgerUnavailable."""
        attempt.number = next(self._attempts)
        if attempt.free:
            return
        version, prices = self._version(attempt.prices)
        frame = encode_frame(
            Opened(
                record.settlement,
                self._now() - (self._clock() - record.started_s),
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
                self._now(),
                attempt.target,
                attempt.provider,
                attempt.connection,
                version,
                input_tokens,
                self._ended(record) if len(record.attempts) > 1 else (),
                record.counters,
            )
        )
        try:
            self._demand_room()
            self.journal.open(record.settlement, frame, prices)
        except OSError as error:
            self._failed(f"the journal cannot be written to: {error.strerror or error}")
            self._refuse(attempt)
        else:
            self._recovered()

    def settle(self, record: CallRecord) -> None:
        """What ``record`` came to, so far as it has ended. The first time counts; a call whose key nobody knew is none."""
        if record.settled or record.part or not record.key:
            return
        record.settled = True
        settlement = self._settlement(record)
        record.cost_nano_usd, record.unpriced = settlement.cost_nano_usd, settlement.unpriced
        for held in (record.held, record.held_by_parts):
            if held is not None:
                held.settle(settlement.tokens, settlement.cost_nano_usd)
        self._write(settlement.id, encode_frame(settlement))

    def retry(self) -> None:
        """Write what could not be written before."""
        try:
            while self._backlog and not self.journal.overfull:
                self.journal.settle(*self._backlog[0])
                self._backlog.popleft()
        except OSError as error:
            self._failed(f"the journal cannot be written to: {error.strerror or error}")
            return
        if self.trouble is not None and not self.journal.full:
            self._recovered()

    # -- writing

    def _demand_room(self) -> None:
        if self._backlog:
            self.retry()
        if self._backlog or self.journal.full:
            raise OSError(0, "it holds as much as it may, and the store does not take it")

    def _write(self, id_: str, frame: bytes) -> None:
        try:
            if self._backlog:
                self.retry()
            if not self._backlog and not self.journal.overfull:
                self.journal.settle(id_, frame)
                return
        except OSError as error:
            self._failed(f"the journal cannot be written to: {error.strerror or error}")
        if len(self._backlog) >= MAX_BACKLOG:
            self.lost += 1
            return
        self._backlog.append((id_, frame))

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
        entries = self._entries(record)
        now_s = self._clock()
        duration_s = (record.ended_s or now_s) - record.started_s
        first_s = record.first_token_s
        return Settlement(
            record.settlement,
            self._now() - (now_s - record.started_s),
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
            _ms(duration_s),
            -1 if first_s is None else _ms(first_s - record.started_s),
            entries[0].counts if len(entries) == 1 else _sum(entries),
            any(each.estimated for each in entries),
            sum(each.cost_nano_usd for each in entries),
            any(each.unpriced for each in entries),
            entries,
            record.counters,
        )

    def _entries(self, record: CallRecord) -> tuple[AttemptEntry, ...]:
        """Of all that were sent."""
        found: list[AttemptEntry] = []
        for attempt in record.attempts:
            if attempt.number:
                found.append(self._entry(attempt))
            attempt.measure = attempt.received = None
        return tuple(found)

    def _ended(self, record: CallRecord) -> tuple[AttemptEntry, ...]:
        """Of those that were sent and have ended."""
        return tuple(self._entry(each) for each in record.attempts if each.number and each.outcome)

    def _entry(self, attempt: AttemptRecord) -> AttemptEntry:
        now_s = self._clock()
        usage, estimated = (None, False) if attempt.free else _used(attempt)
        cost, counts = NOTHING, NO_COUNTS
        if usage is not None:
            cost, counts = price(usage, attempt.prices, requests=attempt.requests), counts_of(usage)
        attempt.cost_nano_usd, attempt.unpriced = cost.nano_usd, cost.unpriced
        return AttemptEntry(
            attempt.number,
            self._now() - (now_s - attempt.started_s),
            attempt.target,
            attempt.provider,
            attempt.connection,
            attempt.outcome or "cancelled",
            attempt.status or 0,
            _ms((attempt.ended_s or now_s) - attempt.started_s),
            counts,
            estimated,
            cost.nano_usd,
            cost.unpriced,
            self._version(attempt.prices)[0],
            0 if usage is None else attempt.requests,
        )

    def _version(self, prices: Prices | None) -> tuple[str, tuple[str, bytes] | None]:
        """The version, and its frame where the journal does not have it yet."""
        if prices is None:
            return "", None
        known = self._versions.get(id(prices))
        if known is None:
            if len(self._versions) >= _MAX_VERSIONS:
                self._versions.clear()
            known = self._versions[id(prices)] = (prices, price_version(prices))  # which keeps the id its own
        version = known[1]
        if self.journal.knows(version):
            return version, None
        return version, (version, encode_frame(PriceTable(version, prices)))


def _used(attempt: AttemptRecord) -> tuple[Usage | None, bool]:
    """What an attempt used, None for nothing, and whether that is our estimate."""
    usage, status = attempt.usage, attempt.status
    if attempt.outcome == "ok" and usage is not None:
        return usage, usage.estimated
    if status is not None and status >= 300:
        return None, False  # refused: nobody charges for that
    if status is None and attempt.outcome and attempt.outcome not in _REACHED:
        return None, False
    came = 0 if attempt.received is None else attempt.received.tokens()
    if usage is None:
        sent = 0 if attempt.measure is None else attempt.measure()
        return Usage(input=sent, output=came, estimated=True), True
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
        ), True
    return usage, usage.estimated


def _sum(entries: Sequence[AttemptEntry]) -> Counts:
    return tuple(map(sum, zip(*(each.counts for each in entries), strict=True))) or NO_COUNTS


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
