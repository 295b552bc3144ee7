"""A fault that no client can be told of is in the log, once: what the store says of itself is not said for each call."""

from __future__ import annotations

import io

import orjson
import pytest

from runtime.stores.base import StoreError, StoreGoneError
from runtime.telemetry.lines import Lines
from runtime.telemetry.log import logger
from tests.services.desk import Desk


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ValueError("broken"), ["ValueError: broken"]),
        (StoreError("no table of that name"), ["runtime.stores.base.StoreError: no table of that name"]),
        (StoreGoneError("database is locked"), []),
    ],
)
def test_a_fault_is_said_unless_the_store_said_it(desk: Desk, fault: Exception, said: list[str]) -> None:
    sink, parts = io.StringIO(), desk.built.parts
    parts.log = logger("error", "json", "b", Lines(sink))
    parts.on_fault(fault, "req-1")

    records = [orjson.loads(line) for line in sink.getvalue().splitlines()]
    assert said == [each["exception"].splitlines()[-1] for each in records]
    assert all(("call_failed_inside", "req-1") == (each["event"], each["request_id"]) for each in records)


def test_lost_lines_of_the_log_are_counted_and_said_by_the_log_of_the_plan_in_force(desk: Desk) -> None:
    sink, parts = io.StringIO(), desk.built.parts
    parts.log = logger("error", "json", "b", Lines(sink))
    parts.lines.lost(3)
    parts.lines.tell(3)

    told = orjson.loads(sink.getvalue())
    assert ("log_lines_lost", "error", 3) == (told["event"], told["level"], told["lines"])
    assert "gatewright_log_lines_lost_total 3.0\n" in parts.metrics.render().decode()
