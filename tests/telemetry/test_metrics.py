"""What `/metrics` says, to the letter: whoever has drawn a curve from it goes on drawing it."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from runtime.canonical import Usage
from runtime.telemetry import AttemptRecord, CallRecord, Metrics, Skipped
from runtime.telemetry.families import Histograms, beside, exposition
from runtime.telemetry.metrics import METRICS

FOLDER = Path(__file__).parent / "golden"
SINCE_S = 1_796_000_000.25


def call(**said: object) -> CallRecord:
    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=100.0)
    for name, value in said.items():
        setattr(record, name, value)
    record.ended_s = record.ended_s or 100.02
    return record


def tried(label: str, outcome: str = "ok", cost: int = 0, *, unpriced: bool = False) -> AttemptRecord:
    return AttemptRecord(
        target=label, label=label, connection="c", started_s=100.0, outcome=outcome, provider=label.partition("/")[0],
        cost_nano_usd=cost, unpriced=unpriced,
    )  # fmt: skip


def go_on(metrics: Metrics) -> None:
    """Everything that is counted happens, with labels that must be escaped and figures on the edges of buckets."""
    alpha = {"provider": "alpha", "served": "alpha/small"}
    used = Usage(input=10, output=4, cache_read=2, cache_write_5m=1, cache_write_1h=1, reasoning=3)
    calls = [
        call(**alpha, usage=used, first_token_s=100.01, attempts=[tried("alpha/small", cost=1_500_000)]),
        call(**alpha, usage=Usage(input=67_108_865, output=16), attempts=[tried("alpha/small", cost=250)], ended_s=200.0),
        call(**alpha, usage=Usage(), first_token_s=111.0, ended_s=111.5, outcome="client_closed", session_step="new"),
        call(
            provider='be"ta', served='be"ta/*', outcome="error", error="timeout", rescues=1, session_step="kept",
            attempts=[tried("alpha/small", "timeout", 7, unpriced=True), tried('be"ta/*', "timeout", unpriced=True)],
            skipped=[Skipped("x", "alpha/small", "c", "busy"), Skipped("y", "a\\b\nc/d", "c", "quota")],
        ),
        call(operation="embeddings", outcome="error", error="model_not_found"),
        call(outcome="error"),
        call(**alpha, replay="exact"),
        call(**alpha, replay="idempotent", outcome="error", error="conflict"),
        call(**alpha, replay="miss"),
    ]  # fmt: skip
    for each in calls:
        metrics.begin()
        metrics.end(each)
    metrics.begin()
    metrics.limit_reached("usd", "keys.team")
    metrics.limit_reached("usd", "keys.team")
    metrics.shared_failed("sessions")
    metrics.shared_changed("gone")
    metrics.limits_changed("gone")
    metrics.ledger_changed("gone")
    metrics.row_refused()
    metrics.row_refused()
    metrics.watch_journal(lambda: 12_345_678, lambda: 3)
    metrics.log_lines_lost(4)
    metrics.log_lines_lost(3)
    metrics.serving("build-2", 4)


def test_the_text_is_what_it_always_was() -> None:
    """It was written by Prometheus's own client, of the same calls."""
    metrics = Metrics("build-1", "0.1.0", lambda: SINCE_S)
    go_on(metrics)

    assert (FOLDER / "metrics.txt").read_text(encoding="utf-8").splitlines() == metrics.render().decode().splitlines()


def test_before_the_first_call_every_metric_has_its_help_already() -> None:
    text = Metrics("build-1", "0.1.0").render().decode()

    assert (FOLDER / "metrics_fresh.txt").read_text(encoding="utf-8") == text
    assert [name for name, _ in sorted(METRICS)] == sorted(re.findall(r"# HELP (\S+)", text))


def test_prometheus_own_parser_reads_it() -> None:
    metrics = Metrics("build-1", "0.1.0", lambda: SINCE_S)
    go_on(metrics)
    families = {each.name: each for each in text_string_to_metric_families(metrics.render().decode())}

    skipped = families["gatewright_skipped"].samples
    assert {"a\\b\nc/d", "alpha/small"} == {each.labels["model"] for each in skipped}
    (busy,) = (each.value for each in skipped if each.labels["reason"] == "busy")
    assert 1.0 == busy
    assert 12_345_678.0 == families["gatewright_journal_waiting_bytes"].samples[0].value


def test_the_texts_of_several_workers_are_one_that_prometheus_own_parser_reads() -> None:
    one, two = (Metrics("build-1", "0.1.0", lambda: SINCE_S) for _ in range(2))
    for _ in range(2):
        go_on(one)
    two.serving("build-2", 1)
    texts = one.render({"worker": "a"}), two.render({"worker": "b"})
    together = list(text_string_to_metric_families(beside(texts).decode()))

    alone = [each for text in texts for each in text_string_to_metric_families(text.decode())]
    assert sorted({each.name for each in alone}) == sorted(each.name for each in together), "each family once"
    for each in together:
        apart = [sample for family in alone if family.name == each.name for sample in family.samples]
        assert apart == each.samples
    assert {"a", "b"} == {sample.labels["worker"] for each in together for sample in each.samples}
    assert beside([texts[0]]) == texts[0]


@given(
    values=st.lists(st.floats(0, 1e9, allow_subnormal=False), max_size=20),
    bounds=st.lists(st.integers(1, 10**9), min_size=1, max_size=5, unique=True).map(sorted),
)
def test_a_histogram_is_that_of_prometheus_own_client(values: list[float], bounds: list[int]) -> None:
    registry = CollectorRegistry()
    theirs = Histogram("h", "Help.", ("l",), buckets=bounds, registry=registry).labels("x")
    ours = Histograms("h", "Help.", ("l",), bounds, lambda: SINCE_S)
    for each in values:
        theirs.observe(each)
        ours.of("x").observe(each)

    told = generate_latest(registry).decode().splitlines()
    expected = [line for line in told if not line.startswith("h_created")]
    if values:
        assert expected == [
            line for line in exposition([ours]).decode().splitlines() if not line.startswith("h_created")
        ]
