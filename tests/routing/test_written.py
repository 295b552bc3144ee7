"""Every step of a request says which line of the configuration stands behind it."""

from __future__ import annotations

import pytest

from generated.types.explain import Decision
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.plan import Artefact
from runtime.routing.reasons import explain_call
from runtime.routing.steering import Steering
from runtime.telemetry import AttemptRecord, CallRecord, Skipped

CONFIG = """version: 1
discovery: {providers: none}
providers:
  p:
    base_url: https://p.example
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    connections:
      - id: one
      - id: two
    models: {a: {}, b: {}}
aliases:
  quick: outer
combos:
  outer:
    targets:
      - p/a
      - inner
    rescue: splice
    hedge: {after: 1s}
  inner:
    targets:
      - p/b
"""
SETTINGS = """timeouts:
  queue: 5s
retries:
  per_target: 2
breakers:
  window: 10s
sessions:
  mode: named
cache:
  exact: {models: [quick]}
idempotency:
  window: 5s
"""


def at(text: str, mark: str, column: int = 0) -> str:
    """Where ``mark`` stands in ``text``."""
    lines = text.splitlines()
    line = next(number for number, each in enumerate(lines) if mark in each)
    return f"gateway.yaml:{line + 1}:{column or lines[line].index(mark) + 1}"


def artefact(text: str) -> Artefact:
    made = compile_plan((Source(MAIN, text.encode()),), Catalog.of(())).artefact
    assert made is not None
    return made


def told(text: str, record: CallRecord) -> Decision:
    return explain_call(artefact(text), {"p/one", "p/two"}, record, lambda at_s: at_s)


def call(name: str = "quick", **more: object) -> CallRecord:
    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0, key="k", **more)  # type: ignore[arg-type]
    record.model, record.surface, record.endpoint = name, "openai_chat", "chat"
    return record


def written(decision: Decision) -> dict[str, object]:
    return {reason.kind: reason.written for reason in decision.reasons if reason.kind != "resolve"}


def everything() -> CallRecord:
    record = call(session="s-1", served="p/b", connection="p/two", ended_s=2.0, status=200)
    record.remembered = Steering(connections={"p": "p/two"})
    record.note("pin", "demanded", connection="p/two")
    record.note("session", "first", "p/a")
    record.note("queue", "waited", "p/a", "p/one")
    record.note("retry", "again", "p/a", "p/one")
    record.note("hedge", "beside", "p/b", "p/two")
    record.note("rescue", "broke off", "p/a", "p/one")
    record.skip(Skipped("p/a", "p/a", "p/one", "circuit_open", 3.0))
    record.attempted(AttemptRecord(target="p/b", label="p/b", connection="p/two", started_s=1.0))
    return record


def test_the_setting_that_caused_it_is_named_where_it_is_written() -> None:
    text = CONFIG + SETTINGS
    assert {
        "pin": at(text, "id: two"),
        "session": at(text, "sessions:"),
        "queue": at(text, "queue:"),
        "retry": at(text, "per_target:"),
        "hedge": at(text, "hedge:"),
        "rescue": at(text, "rescue:"),
        "left_out": at(text, "breakers:"),
        "attempt": at(text, "p/b"),
        "served": at(text, "p/b"),
    } == written(told(text, everything()))


def test_else_the_target_is_or_the_connection() -> None:
    text = CONFIG.replace("    rescue: splice\n", "").replace("    hedge: {after: 1s}\n", "")
    assert {
        "pin": at(text, "id: two"),
        "session": at(text, "p/a"),
        "queue": at(text, "id: one"),
        "retry": at(text, "p/a"),
        "hedge": at(text, "p/b"),
        "rescue": at(text, "p/a"),
        "left_out": at(text, "p/a"),
        "attempt": at(text, "p/b"),
        "served": at(text, "p/b"),
    } == written(told(text, everything()))


def test_a_combos_or_providers_own_word_on_sessions_comes_first() -> None:
    for change in (
        ("    rescue: splice", "    sessions: derived"),
        ("    base_url:", "    sessions: derived\n    base_url:"),
    ):
        text = CONFIG.replace(*change, 1) + SETTINGS
        assert at(text, "sessions: derived") == written(told(text, everything()))["session"]


@pytest.mark.parametrize("reason", ["rate_limit", "quota", "credential", "limit", "spent", "busy"])
def test_what_a_connection_is_left_out_for_is_said_of_the_connection(reason: str) -> None:
    record = call()
    record.skip(Skipped("p/a", "p/a", "p/two", reason, 3.0))

    assert {"left_out": at(CONFIG, "id: two")} == written(told(CONFIG, record))


def test_a_model_that_was_asked_for_by_its_name_is_found_where_it_stands() -> None:
    record = call("p/a", served="p/a", connection="p/one", ended_s=1.0, status=200)

    assert at(CONFIG, "a: {}") == written(told(CONFIG, record))["served"]


@pytest.mark.parametrize(
    ("replay", "mark"), [("exact", "exact:"), ("semantic", "cache:"), ("idempotent", "idempotency:")]
)
def test_an_answer_that_was_kept_names_what_keeps_it(replay: str, mark: str) -> None:
    text = CONFIG + SETTINGS
    record = call(replay=replay, served="p/a", connection="p/one", ended_s=1.0, status=200)

    assert at(text, mark) == written(told(text, record))["served"]
    assert {"served"} == written(told(CONFIG, record)).keys()
    assert told(CONFIG, record).reasons[-1].text.endswith(", by p/a"), "and who made it"


def test_a_name_that_leads_nowhere_needs_no_lines() -> None:
    record = call("nowhere", ended_s=1.0, status=404, outcome="error", error="model_not_found")
    record.note("retry", "again", "p/gone", "q/gone")

    assert ["retry", "refused"] == [reason.kind for reason in told(CONFIG, record).reasons]
