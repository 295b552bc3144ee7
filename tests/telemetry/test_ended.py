"""What the log says of a call that is over: every fact by its name, and none that says nothing."""

from __future__ import annotations

import io

import orjson

from runtime.canonical import Usage
from runtime.telemetry import AttemptRecord, CallRecord, Skipped
from runtime.telemetry.ended import call_ended
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger


def told(call: CallRecord) -> dict[str, object]:
    sink = io.StringIO()
    log = logger("info", "json", "b", Lines(sink))
    log.write(call_ended(call, "2026-01-01T00:00:00.000000Z", "info", "b"))
    record: dict[str, object] = orjson.loads(sink.getvalue())
    return record


def tried(outcome: str, status: int | None = 200, usage: Usage | None = None) -> AttemptRecord:
    return AttemptRecord(
        target="alpha/small", label="alpha/*", connection="c", started_s=1.0, ended_s=1.25, outcome=outcome, status=status,
        usage=usage,
    )  # fmt: skip


BEGUN = {"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": "call_ended", "build": "b"}


def test_a_call_about_which_little_is_known_says_little() -> None:
    call = CallRecord(id="r", operation="chat", protocol="gemini", started_s=1.0, ended_s=1.00006)

    assert told(call) == BEGUN | {
        "request_id": "r", "operation": "chat", "protocol": "gemini", "passed_through": False, "stream": False, "status": 0,
        "outcome": "ok", "duration_ms": 0.1,
    }  # fmt: skip


def test_everything_that_is_known_is_said_in_its_order() -> None:
    call = CallRecord(
        id="r", operation="chat", protocol="gemini", started_s=1.0, ended_s=3.5, key="team", tenant="acme", model="m",
        served="alpha/small", connection="c", upstream_protocol="openai_chat", stream=True, passed_through=True,
        first_token_s=1.5, status=200, upstream_status=200, outcome="error", error="timeout",
        usage=Usage(input=2, cache_read=1, output=7), losses=("top_k",), replay="miss", session="s", rescues=1,
        decision="w-1", cost_nano_usd=12, unpriced=True, attempts=[tried("timeout", None), tried("ok", usage=Usage(output=7))],
        skipped=[Skipped("beta/big", "beta/*", "d", "busy")],
    )  # fmt: skip
    expected = BEGUN | {
        "request_id": "r", "decision": "w-1", "operation": "chat", "key": "team", "tenant": "acme", "session": "s", "model": "m",
        "served": "alpha/small", "connection": "c", "protocol": "gemini", "upstream_protocol": "openai_chat",
        "passed_through": True, "stream": True, "status": 200, "upstream_status": 200, "outcome": "error",
        "error": "timeout", "duration_ms": 2500.0, "first_token_ms": 500.0, "input_tokens": 3, "output_tokens": 7,
        "cost_nano_usd": 12, "unpriced": True, "losses": ["top_k"], "rescues": 1, "replay": "miss",
        "attempts": [
            {"target": "alpha/small", "connection": "c", "outcome": "timeout", "duration_ms": 250.0},
            {"target": "alpha/small", "connection": "c", "outcome": "ok", "status": 200, "duration_ms": 250.0,
             "output_tokens": 7},
        ],
        "skipped": ["beta/big over d: busy"],
    }  # fmt: skip
    assert list(expected.items()) == list(told(call).items())


def test_an_attempt_is_told_unless_it_was_the_only_one_and_went_well() -> None:
    call = CallRecord(id="r", operation="chat", protocol="gemini", started_s=1.0, ended_s=2.0, attempts=[tried("ok")])
    assert "attempts" not in told(call)
    call.attempts[0].outcome = "refused"
    assert "attempts" in told(call)


def test_the_default_tenant_is_not_said_however_it_came() -> None:
    call = CallRecord(id="r", operation="chat", protocol="gemini", started_s=1.0, ended_s=2.0)
    call.tenant = "".join(("def", "ault"))
    assert "tenant" not in told(call)
