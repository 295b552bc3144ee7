"""Every call leaves one log record and one set of metrics, with neither prompts nor secrets."""

from __future__ import annotations

import io
import itertools

import orjson
import pytest

from runtime.canonical import Usage
from runtime.telemetry import AttemptRecord, CallRecord, Metrics, Recorder
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger
from runtime.telemetry.metrics import METRICS


class Desk:
    """A recorder with a clock that ticks a second a look, and what it wrote."""

    def __init__(self) -> None:
        self.sink = io.StringIO()
        ticks = itertools.count(1)
        self.metrics = Metrics("build-1", "0.1.0")
        self.recorder = Recorder(
            self.metrics, logger("info", "json", "build-1", Lines(self.sink)), lambda: float(next(ticks))
        )

    @property
    def records(self) -> list[dict[str, object]]:
        return [orjson.loads(line) for line in self.sink.getvalue().splitlines()]

    def served(self) -> CallRecord:
        call = self.recorder.begin("id-1", "chat", "openai_chat")
        call.key, call.model, call.served, call.provider = "team", "smart", "alpha/small", "alpha"
        call.status = 200
        return call


def test_served_call_is_logged_with_its_times_and_tokens() -> None:
    desk = Desk()
    call = desk.served()
    call.usage = Usage(input=10, output=4, cache_read=2, reasoning=1)
    desk.recorder.first_token(call)
    desk.recorder.first_token(call)
    desk.recorder.end(call)

    (record,) = desk.records
    assert record["event"] == "call_ended"
    assert record["build"] == "build-1"
    assert (record["first_token_ms"], record["duration_ms"]) == (1000.0, 2000.0)
    assert (record["input_tokens"], record["output_tokens"]) == (12, 4)


def test_second_end_of_a_call_is_no_event() -> None:
    desk = Desk()
    call = desk.served()
    desk.recorder.end(call)
    desk.recorder.end(call)

    assert len(desk.records) == 1
    assert "gatewright_requests_in_flight 0.0" in desk.metrics.render().decode()


def test_metrics_count_calls_tokens_and_times_under_conventional_names() -> None:
    desk = Desk()
    call = desk.served()
    call.usage = Usage(input=10, output=4, cache_read=2)
    desk.recorder.first_token(call)
    desk.recorder.end(call)

    text = desk.metrics.render().decode()
    labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="alpha",gen_ai_request_model="alpha/small"'
    assert f'gatewright_requests_total{{error_type="",{labels},outcome="ok"}} 1.0' in text
    assert f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="input"}} 12.0' in text
    assert f"gen_ai_server_time_to_first_token_seconds_count{{{labels}}} 1.0" in text
    assert 'gatewright_build_info{build="build-1",version="0.1.0"} 1.0' in text


def test_metrics_count_what_attempts_cost_and_what_has_no_price() -> None:
    desk = Desk()
    call = desk.served()
    for cost, unpriced in ((1_500_000_000, False), (250_000_000, True)):
        row = AttemptRecord(target="alpha/small", label="alpha/small", connection="c", started_s=0.0, provider="alpha")
        row.outcome, row.cost_nano_usd, row.unpriced = "ok", cost, unpriced
        call.attempted(row)
    call.cost_nano_usd, call.unpriced = 1_750_000_000, True
    desk.recorder.end(call)

    text = desk.metrics.render().decode()
    assert 'gatewright_cost_usd_total{model="alpha/small",provider="alpha"} 1.75' in text
    assert 'gatewright_unpriced_total{model="alpha/small",provider="alpha"} 1.0' in text
    assert (1_750_000_000, True) == (desk.records[0]["cost_nano_usd"], desk.records[0]["unpriced"])


def test_metrics_tell_of_the_journal() -> None:
    desk = Desk()
    desk.metrics.watch_journal(lambda: 700, lambda: 3)
    desk.metrics.journal_changed("full")

    text = desk.metrics.render().decode()
    assert "gatewright_journal_up 0.0" in text
    assert "gatewright_journal_waiting_bytes 700.0" in text
    assert "gatewright_journal_lost 3.0" in text
    desk.metrics.journal_changed(None)
    assert "gatewright_journal_up 1.0" in desk.metrics.render().decode()


def test_refused_call_has_no_label_a_client_could_choose() -> None:
    desk = Desk()
    call = desk.recorder.begin("id-1", "chat", "openai_chat")
    call.model, call.outcome, call.error, call.status = "made-up-by-client", "error", "model_not_found", 404
    desk.recorder.end(call)

    text = desk.metrics.render().decode()
    assert 'gatewright_refused_total{error_type="model_not_found",operation="chat"} 1.0' in text
    assert "made-up-by-client" not in text


def test_every_metric_is_in_the_table_with_its_help() -> None:
    families = [line.split()[2] for line in Desk().metrics.render().decode().splitlines() if line.startswith("# HELP")]

    assert sorted(name for name, _ in METRICS) == sorted(name for name in families if not name.endswith("_created"))


@pytest.mark.parametrize(("status", "level"), [(200, "info"), (404, "info"), (502, "warning")])
def test_failures_of_ours_and_of_providers_are_warnings(status: int, level: str) -> None:
    desk = Desk()
    call = desk.served()
    call.outcome, call.status = ("ok" if status == 200 else "error"), status
    desk.recorder.end(call)

    assert level == desk.records[0]["level"]


def test_stream_that_failed_after_its_status_is_a_warning() -> None:
    desk = Desk()
    call = desk.served()
    call.outcome, call.error, call.status = "error", "upstream_protocol", 200
    desk.recorder.end(call)

    assert desk.records[0]["level"] == "warning"


def test_an_answer_that_was_given_again_is_no_refused_call_and_counts_no_tokens() -> None:
    desk = Desk()
    call = desk.recorder.begin("id-1", "chat", "openai_chat")
    call.replay, call.status = "exact", 200
    desk.recorder.end(call)

    text = desk.metrics.render().decode()
    assert 'gatewright_replays_total{kind="exact",operation="chat"} 1.0' in text
    assert "gatewright_refused_total{" not in text
    assert "gen_ai_client_token_usage_count{" not in text
    assert "exact" == desk.records[0]["replay"]
