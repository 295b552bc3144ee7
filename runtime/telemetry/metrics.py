"""Prometheus metrics, named after the OpenTelemetry GenAI conventions where those have a name.

Conventions: `gen_ai.server.request.duration`, `gen_ai.server.time_to_first_token`, `gen_ai.client.token.usage`, as of
2026-11 (status: development), with dots as underscores and the unit appended as Prometheus does. What they do not name
carries the prefix `gatewright_`. Labels come from the plan, never from what a client sends.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from runtime.canonical import Usage
from runtime.telemetry.call import CallRecord
from runtime.telemetry.families import (
    CONTENT_TYPE,
    NONE,
    Count,
    Counters,
    Family,
    Gauge,
    Histograms,
    Spread,
    exposition,
)
from runtime.telemetry.trail import AttemptRecord, Skipped

__all__ = ["METRICS", "Metrics"]

METRICS: Final = (
    ("gen_ai_server_request_duration_seconds", "Time from a request's first byte to its answer's last."),
    ("gen_ai_server_time_to_first_token_seconds", "Time from a request's first byte to the first piece of its answer."),
    ("gen_ai_client_token_usage", "Tokens per call, by type: input, output, cache_read, cache_write, reasoning."),
    ("gatewright_requests_total", "Calls by operation, provider, model, outcome and error kind."),
    (
        "gatewright_attempts_total",
        "Attempts by provider, model and outcome: `ok`, `cancelled`, `diverged`, or the kind of the error.",
    ),
    (
        "gatewright_rescues_total",
        "Streams that another target went on with, by provider and model of the last, and outcome.",
    ),
    ("gatewright_skipped_total", "Targets that were not asked, by provider, model and reason."),
    (
        "gatewright_replays_total",
        "Calls with an idempotency key's earlier answer, or to a cache, by operation and kind.",
    ),
    ("gatewright_sessions_total", "Answered calls of sessions, by step: `new`, `kept`, `moved`, `away` for once only."),
    ("gatewright_requests_in_flight", "Calls being answered now."),
    ("gatewright_refused_total", "Calls refused before a target was chosen, by error kind."),
    ("gatewright_shared_up", "Whether the state that workers share can be reached: 1 or 0."),
    ("gatewright_shared_failures_total", "Questions to the shared state that were not answered, by topic."),
    ("gatewright_cost_usd_total", "Dollars that attempts cost, by provider and model."),
    ("gatewright_unpriced_total", "Attempts that used something that has no price, by provider and model."),
    ("gatewright_journal_up", "Whether what calls cost can be written into the journal: 1 or 0."),
    ("gatewright_journal_waiting_bytes", "What of the journal the store has not taken in yet."),
    ("gatewright_ledger_up", "Whether the store takes in what the journal holds: 1 or 0."),
    ("gatewright_journal_lost", "Settlements that could not be written anywhere since the start."),
    (
        "gatewright_rows_refused_total",
        "Rows of the ledger that the database refused; they are kept in files beside the journals.",
    ),
    (
        "gatewright_limits_reached_total",
        "Calls refused or stopped by a limit, by what it limits (`requests`, `tokens`, `usd`, `concurrency`) and of whom.",
    ),
    ("gatewright_limits_up", "Whether what workers count together of limits can be reached: 1 or 0."),
    ("gatewright_log_lines_lost_total", "Lines of the log that were lost because nobody read it."),
    ("gatewright_build_info", "The build that is served; its value is 1."),
    ("gatewright_overrides", "Changes of the management API that lie over the build."),
)
"""Every metric with its help; ``docs/guide/observability.md`` is checked against this table."""

_DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_CALL_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


class _Ends:
    """Where calls are counted that ended alike: of one operation, provider, model, outcome and error."""

    __slots__ = ("duration", "first_token", "labels", "requests", "tokens")

    def __init__(self, labels: tuple[str, str, str], requests: Count, duration: Spread) -> None:
        self.labels = labels
        self.requests = requests
        self.duration = duration
        self.first_token: Spread | None = None
        self.tokens: dict[str, Spread] = {}


class _Tries:
    """Where attempts are counted that ended alike: of one provider, model and outcome."""

    __slots__ = ("attempts", "cost")

    def __init__(self, attempts: Count) -> None:
        self.attempts = attempts
        self.cost: Count | None = None


class Metrics:
    """The process's metrics. What is looked up by labels is looked up once, and kept. ``now`` gives Unix seconds."""

    content_type: Final = CONTENT_TYPE

    def __init__(self, build: str, version: str, now: Callable[[], float] = time.time) -> None:
        helps = dict(METRICS)
        self._families: list[Family] = []
        self._ends: dict[tuple[str, str, str, str, str], _Ends] = {}
        self._tries: dict[tuple[str, str, str], _Tries] = {}
        self._build, self._version, self._overrides = build, version, 0
        self._running = 0
        self._journal_up = self._ledger_up = self._limits_up = self._shared_up = True

        def histograms(name: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Histograms:
            made = Histograms(name, helps[name], labels, bounds, now)
            self._families.append(made)
            return made

        def counters(name: str, *labels: str) -> Counters:
            made = Counters(name, helps[f"{name}_total"], labels, now)
            self._families.append(made)
            return made

        def gauge(name: str, read: Callable[[], float]) -> Gauge:
            made = Gauge(name, helps[name], read)
            self._families.append(made)
            return made

        self._duration = histograms(
            "gen_ai_server_request_duration_seconds", (*_CALL_LABELS, "error_type"), _DURATION_BUCKETS
        )
        self._first_token = histograms("gen_ai_server_time_to_first_token_seconds", _CALL_LABELS, _FIRST_TOKEN_BUCKETS)
        self._tokens = histograms("gen_ai_client_token_usage", (*_CALL_LABELS, "gen_ai_token_type"), _TOKEN_BUCKETS)
        self._requests = counters("gatewright_requests", *_CALL_LABELS, "outcome", "error_type")
        self._refused = counters("gatewright_refused", "operation", "error_type")
        self._attempts = counters("gatewright_attempts", "provider", "model", "outcome")
        self._skipped = counters("gatewright_skipped", "provider", "model", "reason")
        self._replays = counters("gatewright_replays", "operation", "kind")
        self._sessions = counters("gatewright_sessions", "step")
        self._rescues = counters("gatewright_rescues", "provider", "model", "outcome")
        gauge("gatewright_requests_in_flight", lambda: self._running)
        gauge("gatewright_shared_up", lambda: self._shared_up)
        self._shared_failures = counters("gatewright_shared_failures", "topic")
        self._cost = counters("gatewright_cost_usd", "provider", "model")
        self._unpriced = counters("gatewright_unpriced", "provider", "model")
        gauge("gatewright_journal_up", lambda: self._journal_up)
        self._waiting_bytes = gauge("gatewright_journal_waiting_bytes", int)
        self._lost = gauge("gatewright_journal_lost", int)
        gauge("gatewright_ledger_up", lambda: self._ledger_up)
        self._rows_refused = counters("gatewright_rows_refused")
        self._limits_reached = counters("gatewright_limits_reached", "limit", "of")
        gauge("gatewright_limits_up", lambda: self._limits_up)
        self._log_lines_lost = counters("gatewright_log_lines_lost")
        info = gauge("gatewright_build_info", lambda: 1)
        info.labels = lambda: {"build": self._build, "version": self._version}
        gauge("gatewright_overrides", lambda: self._overrides)

    def serving(self, build: str, overrides: int) -> None:
        """New calls are answered by ``build``, of which so many ``overrides`` are a part."""
        self._build, self._overrides = build, overrides

    def begin(self) -> None:
        """A call arrived."""
        self._running += 1

    def end(self, call: CallRecord) -> None:
        """A call is over, however it went."""
        self._running -= 1
        for attempt in call.attempts:
            self._count_attempt(attempt)
        if call.skipped:
            self._count_skipped(call.skipped)
        if call.session_step:
            self._sessions.of(call.session_step).value += 1
        if call.replay:
            self._replays.of(call.operation, call.replay).value += 1
        if not call.provider or (call.replay and call.replay != "miss"):
            self._end_unasked(call)
            return
        if call.rescues:
            self._rescues.of(call.provider, call.served, call.outcome).value += 1
        key = (call.operation, call.provider, call.served, call.outcome, call.error or "")
        ends = self._ends.get(key)
        if ends is None:
            labels = key[:3]
            ends = self._ends[key] = _Ends(labels, self._requests.of(*key), self._duration.of(*labels, key[4]))
        ends.requests.value += 1
        ends.duration.observe(call.ended_s - call.started_s)
        if call.first_token_s is not None:
            if ends.first_token is None:
                ends.first_token = self._first_token.of(*ends.labels)
            ends.first_token.observe(call.first_token_s - call.started_s)
        if call.usage is not None:
            self._count_usage(ends, call.usage)

    def _end_unasked(self, call: CallRecord) -> None:
        """One for which nobody was asked, or that was answered with what another one had asked for."""
        if call.outcome == "error":
            self._refused.of(call.operation, call.error or "").value += 1
        elif call.replay in {"", "miss"}:  # answered here, as where tokens are estimated, or left by its client
            self._requests.of(call.operation, "", "", call.outcome, "").value += 1

    def journal_changed(self, reason: str | None) -> None:
        """The journal cannot be written to, for ``reason``, or can be again."""
        self._journal_up = reason is None

    def ledger_changed(self, reason: str | None) -> None:
        """The store does not take in what the journal holds, for ``reason``, or does again."""
        self._ledger_up = reason is None

    def row_refused(self) -> None:
        """The store takes in what the journal holds, without this row."""
        self._rows_refused.of().value += 1

    def watch_journal(self, waiting_bytes: Callable[[], int], lost: Callable[[], int]) -> None:
        """Asked when the metrics are read."""
        self._waiting_bytes.read, self._lost.read = waiting_bytes, lost

    def limit_reached(self, limit: str, of: str) -> None:
        """A call was refused or stopped by a ``limit`` of a key, a tenant, a combo or a policy."""
        self._limits_reached.of(limit, of).value += 1

    def limits_changed(self, reason: str | None) -> None:
        """What workers count together is gone, for ``reason``, or back."""
        self._limits_up = reason is None

    def log_lines_lost(self, count: int) -> None:
        """Whoever should read the log does not."""
        self._log_lines_lost.of().value += count

    def shared_changed(self, reason: str | None) -> None:
        """The shared state is gone, for ``reason``, or back."""
        self._shared_up = reason is None

    def shared_failed(self, topic: str) -> None:
        """A question to the shared state was not answered. Topics are words of ours."""
        self._shared_failures.of(topic).value += 1

    def render(self, whose: Mapping[str, str] = NONE) -> bytes:
        """The exposition text, with the labels ``whose`` in each line."""
        return exposition(self._families, whose)

    def _count_attempt(self, attempt: AttemptRecord) -> None:
        label = attempt.label
        key = (attempt.provider, label, attempt.outcome)
        tries = self._tries.get(key)
        if tries is None:
            count = self._attempts.of(label.partition("/")[0], label, attempt.outcome)
            tries = self._tries[key] = _Tries(count)
        tries.attempts.value += 1
        if attempt.cost_nano_usd:
            if tries.cost is None:
                tries.cost = self._cost.of(attempt.provider, label)
            tries.cost.value += attempt.cost_nano_usd / 1e9
        if attempt.unpriced:
            self._unpriced.of(attempt.provider, label).value += 1

    def _count_skipped(self, skipped: Iterable[Skipped]) -> None:
        for each in skipped:
            self._skipped.of(each.label.partition("/")[0], each.label, each.reason).value += 1

    def _count_usage(self, ends: _Ends, usage: Usage) -> None:
        read, written, thought = usage.cache_read, usage.cache_write_5m + usage.cache_write_1h, usage.reasoning
        if sent := usage.input + read + written:
            self._count_tokens(ends, "input", sent)
        if usage.output:
            self._count_tokens(ends, "output", usage.output)
        if read:
            self._count_tokens(ends, "cache_read", read)
        if written:
            self._count_tokens(ends, "cache_write", written)
        if thought:
            self._count_tokens(ends, "reasoning", thought)

    def _count_tokens(self, ends: _Ends, kind: str, count: int) -> None:
        spread = ends.tokens.get(kind)
        if spread is None:
            spread = ends.tokens[kind] = self._tokens.of(*ends.labels, kind)
        # `observe` in place: Python makes code fast either for seconds or for whole numbers
        spread.counts[bisect_left(_TOKEN_BUCKETS, count)] += 1
        spread.sum += count
