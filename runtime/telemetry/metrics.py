"""Prometheus metrics, named after the OpenTelemetry GenAI conventions where those have a name.

Conventions: `gen_ai.server.request.duration`, `gen_ai.server.time_to_first_token`, `gen_ai.client.token.usage`, as of
2026-11 (status: development), with dots as underscores and the unit appended as Prometheus does. What they do not name
carries the prefix `gatewright_`. Labels come from the plan, never from what a client sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runtime.telemetry.call import CallRecord

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
        "gatewright_limits_reached_total",
        "Calls refused or stopped by a limit, by what it limits (`requests`, `tokens`, `usd`, `concurrency`) and of whom.",
    ),
    ("gatewright_limits_up", "Whether what workers count together of limits can be reached: 1 or 0."),
    ("gatewright_build_info", "The build that is served; its value is 1."),
    ("gatewright_overrides", "Changes of the management API that lie over the build."),
)
"""Every metric with its help; ``docs/guide/observability.md`` is checked against this table."""

_DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_CALL_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


Child = TypeVar("Child", Counter, Histogram)


class _By(Generic[Child]):
    """A metric's children by their labels: the library checks and locks at every look, which costs more than the count."""

    def __init__(self, metric: Child) -> None:
        self._metric: Child = metric
        self._known: dict[tuple[str, ...], Child] = {}

    def __call__(self, *labels: str) -> Child:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._metric.labels(*labels)
        return child


class Metrics:
    """The process's metrics, in a registry of their own."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, build: str, version: str) -> None:
        helps = dict(METRICS)
        self._registry = CollectorRegistry()

        def histogram(name: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, helps[name], labels, buckets=buckets, registry=self._registry)

        self._duration = _By(
            histogram("gen_ai_server_request_duration_seconds", (*_CALL_LABELS, "error_type"), _DURATION_BUCKETS)
        )
        self._first_token = _By(
            histogram("gen_ai_server_time_to_first_token_seconds", _CALL_LABELS, _FIRST_TOKEN_BUCKETS)
        )
        self._tokens = _By(histogram("gen_ai_client_token_usage", (*_CALL_LABELS, "gen_ai_token_type"), _TOKEN_BUCKETS))
        self._requests = _By(Counter(
            "gatewright_requests", helps["gatewright_requests_total"], (*_CALL_LABELS, "outcome", "error_type"),
            registry=self._registry,
        ))  # fmt: skip
        self._refused = _By(
            Counter(
                "gatewright_refused",
                helps["gatewright_refused_total"],
                ("operation", "error_type"),
                registry=self._registry,
            )
        )
        self._attempts = _By(Counter(
            "gatewright_attempts", helps["gatewright_attempts_total"], ("provider", "model", "outcome"),
            registry=self._registry,
        ))  # fmt: skip
        self._skipped = _By(Counter(
            "gatewright_skipped", helps["gatewright_skipped_total"], ("provider", "model", "reason"),
            registry=self._registry,
        ))  # fmt: skip
        self._replays = _By(
            Counter(
                "gatewright_replays", helps["gatewright_replays_total"], ("operation", "kind"), registry=self._registry
            )
        )
        self._sessions = _By(
            Counter("gatewright_sessions", helps["gatewright_sessions_total"], ("step",), registry=self._registry)
        )
        self._rescues = _By(Counter(
            "gatewright_rescues", helps["gatewright_rescues_total"], ("provider", "model", "outcome"),
            registry=self._registry,
        ))  # fmt: skip
        self._in_flight = Gauge(
            "gatewright_requests_in_flight", helps["gatewright_requests_in_flight"], registry=self._registry
        )
        self._shared_up = Gauge("gatewright_shared_up", helps["gatewright_shared_up"], registry=self._registry)
        self._shared_up.set(1)
        self._shared_failures = Counter(
            "gatewright_shared_failures", helps["gatewright_shared_failures_total"], ("topic",), registry=self._registry
        )
        by_model = ("provider", "model")
        self._cost = _By(
            Counter("gatewright_cost_usd", helps["gatewright_cost_usd_total"], by_model, registry=self._registry)
        )
        self._unpriced = _By(
            Counter("gatewright_unpriced", helps["gatewright_unpriced_total"], by_model, registry=self._registry)
        )
        self._journal_up, self._journal_waiting, self._journal_lost, self._ledger_up = (
            Gauge(name, helps[name], registry=self._registry)
            for name in (
                "gatewright_journal_up",
                "gatewright_journal_waiting_bytes",
                "gatewright_journal_lost",
                "gatewright_ledger_up",
            )
        )
        self._journal_up.set(1)
        self._ledger_up.set(1)
        self._limits_reached = Counter(
            "gatewright_limits_reached",
            helps["gatewright_limits_reached_total"],
            ("limit", "of"),
            registry=self._registry,
        )
        self._limits_up = Gauge("gatewright_limits_up", helps["gatewright_limits_up"], registry=self._registry)
        self._limits_up.set(1)
        self._info = Gauge(
            "gatewright_build_info", helps["gatewright_build_info"], ("build", "version"), registry=self._registry
        )
        self._version = version
        self._overrides = Gauge("gatewright_overrides", helps["gatewright_overrides"], registry=self._registry)
        self.serving(build, 0)

    def serving(self, build: str, overrides: int) -> None:
        """New calls are answered by ``build``, of which so many ``overrides`` are a part."""
        self._overrides.set(overrides)
        self._info.clear()
        self._info.labels(build, self._version).set(1)

    def begin(self) -> None:
        """A call arrived."""
        self._in_flight.inc()

    def end(self, call: CallRecord) -> None:
        """A call is over, however it went."""
        self._in_flight.dec()
        for attempt in call.attempts:
            self._attempts(attempt.label.partition("/")[0], attempt.label, attempt.outcome).inc()
            if attempt.cost_nano_usd:
                self._cost(attempt.provider, attempt.label).inc(attempt.cost_nano_usd / 1e9)
            if attempt.unpriced:
                self._unpriced(attempt.provider, attempt.label).inc()
        for each in call.skipped:
            self._skipped(each.label.partition("/")[0], each.label, each.reason).inc()
        if call.session_step:
            self._sessions(call.session_step).inc()
        if call.replay:
            self._replays(call.operation, call.replay).inc()
        if not call.provider:
            if call.replay and call.outcome != "error":
                return
            self._refused(call.operation, call.error or "").inc()
            return
        if call.rescues:
            self._rescues(call.provider, call.served, call.outcome).inc()
        labels = (call.operation, call.provider, call.served)
        self._requests(*labels, call.outcome, call.error or "").inc()
        self._duration(*labels, call.error or "").observe(call.ended_s - call.started_s)
        if call.first_token_s is not None:
            self._first_token(*labels).observe(call.first_token_s - call.started_s)
        if call.usage is not None:
            self._count_tokens(labels, call)

    def journal_changed(self, reason: str | None) -> None:
        """The journal cannot be written to, for ``reason``, or can be again."""
        self._journal_up.set(0 if reason is not None else 1)

    def ledger_changed(self, reason: str | None) -> None:
        """The store does not take in what the journal holds, for ``reason``, or does again."""
        self._ledger_up.set(0 if reason is not None else 1)

    def watch_journal(self, waiting_bytes: Callable[[], int], lost: Callable[[], int]) -> None:
        """Asked when the metrics are read."""
        self._journal_waiting.set_function(waiting_bytes)
        self._journal_lost.set_function(lost)

    def limit_reached(self, limit: str, of: str) -> None:
        """A call was refused or stopped by a ``limit`` of a key, a tenant, a combo or a policy."""
        self._limits_reached.labels(limit, of).inc()

    def limits_changed(self, reason: str | None) -> None:
        """What workers count together is gone, for ``reason``, or back."""
        self._limits_up.set(0 if reason is not None else 1)

    def shared_changed(self, reason: str | None) -> None:
        """The shared state is gone, for ``reason``, or back."""
        self._shared_up.set(0 if reason is not None else 1)

    def shared_failed(self, topic: str) -> None:
        """A question to the shared state was not answered. Topics are words of ours."""
        self._shared_failures.labels(topic).inc()

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)

    def _count_tokens(self, labels: tuple[str, str, str], call: CallRecord) -> None:
        usage = call.usage
        assert usage is not None
        counts = {
            "input": usage.total_input,
            "output": usage.output,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write_5m + usage.cache_write_1h,
            "reasoning": usage.reasoning,
        }
        for kind, count in counts.items():
            if count:
                self._tokens(*labels, kind).observe(count)
