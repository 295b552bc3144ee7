"""What was used, as the ledger has it, while two workers serve two tenants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Running, gateway
from tests.support.managing import ADMIN, CLIENT, OTHER, VIEWER, ask, managed_config

THEIRS = "gw-a-client-of-another-tenant-0123456"
CONFIG = """
providers:
  sim: {models: {echo: {prices: {input: "1000", output: "2000"}}}}
combos: {smart: {targets: [sim/echo]}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, env = managed_config(CONFIG)
    config = config.replace(
        "\nkeys:\n", '\nkeys:\n  theirs: {key: "${THEIR_KEY}", scopes: [chat, view], tenant: other}\n'
    )
    with gateway(tmp_path_factory.mktemp("usage"), config, {**env, "THEIR_KEY": THEIRS}) as running:
        for key, count in ((CLIENT, 4), (THEIRS, 3)):
            for _ in range(count):
                body = {"model": "smart", "messages": [{"role": "user", "content": "one two three"}]}
                assert 200 == ask(running, "POST", "/v1/chat/completions", body, key)[0]
        body = {"model": "sim/error", "messages": [{"role": "user", "content": "status 500"}]}
        ask(running, "POST", "/v1/chat/completions", body, CLIENT)
        deadline_s = time.monotonic() + 60
        while total(running) < 8:
            assert time.monotonic() < deadline_s, "the journal was not drained"
            time.sleep(0.2)
        yield running


def total(served: Running) -> int:
    found: int = ask(served, "GET", "/api/usage/history")[1]["totalRequests"]
    return found


def test_totals_are_those_of_the_requests(served: Running) -> None:
    history = ask(served, "GET", "/api/usage/history")[1]
    logs = ask(served, "GET", "/api/usage/call-logs")[1]["logs"]
    assert (8, 8) == (history["totalRequests"], len(logs))
    assert sum(each["tokens"]["in"] for each in logs) == history["totalPromptTokens"]
    assert sum(each["tokens"]["out"] for each in logs) == history["totalCompletionTokens"]
    assert pytest.approx(sum(each["cost"] for each in logs)) == history["totalCost"]
    assert history["totalCost"] > 0
    assert {"client": 5, "theirs": 3} == {name: each["requests"] for name, each in history["byApiKey"].items()}
    assert 7 == history["byModel"]["sim/echo"]["requests"]
    assert {"sim/default"} == set(history["byAccount"])
    analytics = ask(served, "GET", "/api/usage/analytics?range=7d")[1]
    assert (8, 1) == (analytics["summary"]["requests"], analytics["summary"]["errors"])
    assert 8 == sum(each["usage"]["requests"] for each in analytics["dailyTrend"])
    used = ask(served, "GET", "/api/usage/sim:default")[1]
    assert ("sim/default", 8) == (used["connectionId"], used["usage"]["requests"])


def test_requests_are_listed_in_pages_narrowed_and_shown_one_by_one(served: Running) -> None:
    first = ask(served, "GET", "/api/usage/call-logs?limit=5")[1]
    rest = ask(served, "GET", f"/api/usage/call-logs?limit=5&before={first['before']}")[1]
    assert (5, 3, False) == (len(first["logs"]), len(rest["logs"]), "before" in rest)
    assert 8 == len({each["id"] for each in first["logs"] + rest["logs"]})
    failed = ask(served, "GET", "/api/usage/call-logs?status=error")[1]["logs"]
    assert ["sim/error"] == [each["requestedModel"] for each in failed]
    assert 3 == len(ask(served, "GET", "/api/usage/call-logs?apiKey=theirs&combo=smart")[1]["logs"])
    shown = ask(served, "GET", f"/api/usage/call-logs/{failed[0]['requestId']}")[1]
    assert (failed[0]["id"], True) == (shown["id"], len(shown["attempts"]) >= 1)
    for path in ("/api/usage/logs", "/api/usage/request-logs"):
        lines = ask(served, "GET", f"{path}?limit=2")[1]["logs"]
        assert [(2, True)] == [(len(lines), all(" | " in line for line in lines))]


def test_every_report_can_be_narrowed_to_one_key(served: Running) -> None:
    history = ask(served, "GET", "/api/usage/history?apiKeyId=theirs")[1]
    assert (3, {"theirs"}, {"sim/echo"}) == (
        history["totalRequests"], set(history["byApiKey"]), set(history["byModel"]),
    )  # fmt: skip
    assert 5 == ask(served, "GET", "/api/usage/analytics?apiKeyId=client")[1]["summary"]["requests"]
    assert 3 == ask(served, "GET", "/api/usage/sim:default?apiKeyId=theirs")[1]["usage"]["requests"]
    for path, count in (("call-logs", 3), ("logs", 3), ("request-logs", 3)):
        assert count == len(ask(served, "GET", f"/api/usage/{path}?apiKeyId=theirs")[1]["logs"]), path
    assert 3 == len(ask(served, "GET", "/api/usage/call-logs?apiKey=theirs&apiKeyId=theirs")[1]["logs"])
    for path in ("history", "call-logs", "logs"):
        found = ask(served, "GET", f"/api/usage/{path}?apiKeyId=client", key=OTHER)[1]
        seen = found.get("totalRequests") or found.get("logs")
        assert not seen, "another tenant's key is as one that is not there"


def test_combos_say_how_they_fared(served: Running) -> None:
    figures = ask(served, "GET", "/api/combos/metrics", key=VIEWER)[1]["metrics"]["smart"]
    assert (4, 0, 1.0, {"sim/echo": 4}) == tuple(
        figures[name] for name in ("requests", "errors", "successRate", "byModel")
    )
    assert 7 == ask(served, "GET", "/api/combos/metrics?combo=smart")[1]["metrics"]["smart"]["requests"]
    assert 404 == ask(served, "GET", "/api/combos/metrics?combo=nobody")[0]
    assert 403 == ask(served, "GET", "/api/combos/metrics", key=OTHER)[0]


def test_a_tenant_sees_its_own_and_nothing_else(served: Running) -> None:
    for key in (OTHER, THEIRS):
        history = ask(served, "GET", "/api/usage/history", key=key)[1]
        assert (3, {"theirs"}) == (history["totalRequests"], set(history["byApiKey"]))
        logs = ask(served, "GET", "/api/usage/call-logs?limit=1000", key=key)[1]["logs"]
        assert [{"other"}, {"theirs"}] == [{each[name] for each in logs} for name in ("company_id", "apiKeyId")]
        assert 403 == ask(served, "GET", "/api/usage/history?company_id=default", key=key)[0]
        ours = ask(served, "GET", "/api/usage/call-logs?apiKey=client")[1]["logs"][0]
        for id_ in (ours["id"], ours["requestId"]):
            assert 404 == ask(served, "GET", f"/api/usage/call-logs/{id_}", key=key)[0]
        assert 403 == ask(served, "GET", "/api/usage/sim:default", key=key)[0]
    assert 3 == ask(served, "GET", "/api/usage/history?company_id=other")[1]["totalRequests"]
    assert 5 == ask(served, "GET", "/api/usage/history", key=VIEWER)[1]["totalRequests"]


def test_what_a_tenant_is_told_of_its_requests_counts_nobody_elses(served: Running) -> None:
    """Neither where its pages begin nor an id is a number, and attempts are counted for each request."""
    page = ask(served, "GET", "/api/usage/call-logs?limit=1", key=THEIRS)[1]
    second = ask(served, "GET", f"/api/usage/call-logs?limit=1&before={page['before']}", key=THEIRS)[1]
    third = ask(served, "GET", f"/api/usage/call-logs?before={second['before']}", key=THEIRS)[1]
    told = [*page["logs"], *second["logs"], *third["logs"]]
    assert (3, False) == (len({each["id"] for each in told}), "before" in third)
    assert all(len(each) >= 24 for each in (page["before"], second["before"]))
    assert all(len(each["id"].partition("-")[2]) == 16 for each in told)
    for each in told:
        shown = ask(served, "GET", f"/api/usage/call-logs/{each['id']}", key=THEIRS)[1]
        assert [1] == [attempt["number"] for attempt in shown["attempts"]]


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("/api/usage/history?range=week", 400, "range"),
        ("/api/usage/analytics?range=0d", 400, "range"),
        ("/api/usage/history?range=99999d", 400, "range"),
        ("/api/usage/call-logs?status=bad", 400, "status"),
        ("/api/usage/call-logs?apiKey=theirs&apiKeyId=client", 400, "apiKey"),
        ("/api/usage/call-logs?limit=0", 400, "limit"),
        ("/api/usage/call-logs?limit=many", 400, "limit"),
        ("/api/usage/call-logs?before=8", 400, "before"),
        ("/api/usage/call-logs?before=", 400, "before"),
        ("/api/usage/call-logs/nobody", 404, None),
        ("/api/usage/nobody:main", 404, None),
    ],
)
def test_what_cannot_be_is_refused(served: Running, path: str, status: int, param: Any) -> None:
    answered, problem = ask(served, "GET", path)
    assert status == answered
    if param is not None:
        assert param == problem["param"]


@pytest.mark.parametrize(
    "path", ["history", "analytics", "call-logs", "call-logs/x", "logs", "request-logs", "sim:default"]
)
def test_nobody_sees_anything_without_the_right(served: Running, path: str) -> None:
    assert 401 == ask(served, "GET", f"/api/usage/{path}", key=None)[0]
    assert 403 == ask(served, "GET", f"/api/usage/{path}", key=CLIENT)[0]
    assert ADMIN not in served.log
