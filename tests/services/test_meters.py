"""What clients report of meters: taken into the ledger, unless no ledger could hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.desk import CONFIG, Desk

JSON = {"content-type": "application/json"}
METERS = CONFIG + 'meters: {gold: {per_second: "1000"}}\n'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, METERS)


async def test_a_report_that_costs_more_than_one_may_is_refused(desk: Desk) -> None:
    refused = await desk.call("POST", "/api/v1/usage", {"source": "gold", "duration_s": 1000.001}, headers=JSON)
    assert 400 == refused.status
    assert b"$1,000,000" in refused.body

    for _ in range(12):
        taken = await desk.json("POST", "/api/v1/usage", {"source": "gold", "duration_s": 1000}, headers=JSON)
        assert 1_000_000 == taken["cost_usd"]
    await desk.built.parts.drain.once()
    assert "ok" == desk.built.parts.drain.standing


async def test_reports_say_whose_seconds_cost_what(desk: Desk) -> None:
    for source, seconds in (("gold", 2), ("whisper", 10), ("gold", 1)):
        await desk.json("POST", "/v1/usage", {"source": source, "duration_s": seconds}, headers=JSON)
    await desk.built.parts.drain.once()

    used = await desk.json("GET", "/api/usage/history", key="gw-viewer")
    assert {"meter/gold": (2, 3000.0), "meter/whisper": (1, 0.001)} == {
        name: (sums["requests"], sums["cost"]) for name, sums in used["byModel"].items()
    }
