"""The end of every call: one log record, one set of metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runtime.telemetry.call import CallRecord
from runtime.telemetry.decisions import Decisions
from runtime.telemetry.latencies import Latencies
from runtime.telemetry.log import Log
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
        return CallRecord(
            id=id_, operation=operation, protocol=protocol, started_s=self._clock(), settlement=settlement
        )

    def admitted(self, call: CallRecord) -> str:
        """Its key is known now. The id under which the call can be explained, empty where none can."""
        return "" if self._decisions is None else self._decisions.add(call)

    def asking(self, call: CallRecord, attempt: AttemptRecord, input_tokens: int) -> None:
        """``attempt`` is sent now, with about so many tokens. Raises LedgerUnavailable where that cannot be noted."""
        if self._book is not None:
            self._book.open(call, attempt, input_tokens)

    def settle(self, call: CallRecord) -> None:
        """All of the answer is here, or all there will be: what it took is written down before its end goes out."""
        if self._book is not None:
            self._book.settle(call)

    def first_token(self, call: CallRecord) -> None:
        """A first piece of the answer is here. Only the first call counts."""
        if call.first_token_s is None:
            call.first_token_s = self._clock()

    def end(self, call: CallRecord) -> None:
        """The call is over. A second end of the same call is no event: the first one stands."""
        if call.ended_s:
            return
        self.settle(call)
        call.ended_s = self._clock()
        self._metrics.end(call)
        if self._latencies is not None:
            self._latencies.add(call)
        clients_fault = 400 <= call.status < 500
        failed = call.outcome == "error" and not clients_fault
        if failed or self._log.says("info"):
            level = self._log.warning if failed else self._log.info
            level("call_ended", **_facts(call))


def _facts(call: CallRecord) -> dict[str, object]:
    usage = call.usage
    facts: dict[str, object] = {
        "request_id": call.id,
        "decision": call.decision,
        "operation": call.operation,
        "key": call.key,
        "tenant": call.tenant if call.tenant != "default" else None,
        "session": call.session or None,
        "model": call.model,
        "served": call.served,
        "connection": call.connection,
        "protocol": call.protocol,
        "upstream_protocol": call.upstream_protocol,
        "passed_through": call.passed_through,
        "stream": call.stream,
        "status": call.status,
        "upstream_status": call.upstream_status,
        "outcome": call.outcome,
        "error": call.error,
        "duration_ms": round((call.ended_s - call.started_s) * 1000, 1),
        "first_token_ms": round((call.first_token_s - call.started_s) * 1000, 1) if call.first_token_s else None,
        "input_tokens": usage.total_input if usage else None,
        "output_tokens": usage.output if usage else None,
        "cost_nano_usd": call.cost_nano_usd or None,
        "unpriced": call.unpriced or None,
        "losses": list(call.losses) or None,
        "rescues": call.rescues or None,
        "replay": call.replay,
        "attempts": [_attempt(each) for each in call.attempts] if _tells(call) else None,
        "skipped": [f"{each.target} over {each.connection}: {each.reason}" for each in call.skipped] or None,
    }
    return {name: value for name, value in facts.items() if value is not None and value != ""}


def _tells(call: CallRecord) -> bool:
    """Whether the attempts say more than the call does: a single one that went well is the call."""
    return len(call.attempts) > 1 or any(each.outcome != "ok" for each in call.attempts)


def _attempt(attempt: AttemptRecord) -> dict[str, object]:
    facts: dict[str, object] = {
        "target": attempt.target,
        "connection": attempt.connection,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "duration_ms": round((attempt.ended_s - attempt.started_s) * 1000, 1),
        "output_tokens": attempt.usage.output if attempt.usage else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
