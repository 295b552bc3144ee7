"""The end of every call: one log record, one set of metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runtime.errors import GatewayError, failed_inside
from runtime.telemetry.call import CallRecord
from runtime.telemetry.decisions import Decisions
from runtime.telemetry.ended import call_ended
from runtime.telemetry.latencies import Latencies
from runtime.telemetry.log import Level, Log
from runtime.telemetry.metrics import Metrics
from runtime.telemetry.trail import AttemptRecord

__all__ = ["Book", "Recorder"]


class Book(Protocol):
    """Where what calls use is written down (`runtime.accounting.ledger`)."""

    def new_id(self) -> str: ...
    def open(self, record: CallRecord, attempt: AttemptRecord, input_tokens: int) -> None: ...
    def settle(self, record: CallRecord) -> None: ...


class Recorder:
    """Told of each call's begin and end, each once, and in between of what must be written down before it goes on."""

    def __init__(
        self,
        metrics: Metrics,
        log: Log,
        clock: Callable[[], float],
        decisions: Decisions | None = None,
        latencies: Latencies | None = None,
        book: Book | None = None,
    ) -> None:
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._decisions = decisions
        self._latencies = latencies
        self._book = book

    def begin(self, id_: str, operation: str, protocol: str) -> CallRecord:
        """A call arrived; the record to fill in."""
        self._metrics.begin()
        settlement = "" if self._book is None else self._book.new_id()
        return CallRecord(id_, operation, protocol, self._clock(), settlement)

    def admitted(self, call: CallRecord) -> str:
        """Its key is known now. The id under which the call can be explained, empty where none can."""
        return "" if self._decisions is None else self._decisions.add(call)

    def asking(self, call: CallRecord, attempt: AttemptRecord, input_tokens: int) -> None:
        """``attempt`` is sent now, with about so many tokens. Raises LedgerUnavailable where that cannot be noted."""
        if self._book is not None:
            self._book.open(call, attempt, input_tokens)

    def settle(self, call: CallRecord) -> None:
        """All of the answer is here, or all there will be: what it took is written down before its end goes out."""
        if self._book is not None and not call.settled:
            self._book.settle(call)

    def first_token(self, call: CallRecord) -> None:
        """A first piece of the answer is here. Only the first call counts."""
        if call.first_token_s is None:
            call.first_token_s = self._clock()

    def told(self, call: CallRecord, fault: Exception) -> GatewayError:
        """What the client is told of ``fault``: of one of ours, which is logged, only that there was one."""
        if isinstance(fault, GatewayError):
            return fault
        self._log.error("call_failed_inside", request_id=call.id, fault=fault)
        return failed_inside()

    def end(self, call: CallRecord) -> None:
        """The call is over. A second end of the same call is no event: the first one stands."""
        if call.ended_s:
            return
        if self._book is not None and not call.settled:
            self._book.settle(call)
        call.ended_s = self._clock()
        self._metrics.end(call)
        if self._latencies is not None:
            self._latencies.add(call)
        failed = call.outcome == "error" and not 400 <= call.status < 500  # that is the client's fault
        level: Level = "warning" if failed else "info"
        log = self._log
        if level in log.said:
            log.write(call_ended(call, log.timestamp(), level, log.build))
