"""Combos and aliases that are made, changed and deleted while two workers serve."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Running, gateway
from tests.support.managing import ADMIN, VIEWER, agreed, ask, chat, managed_config, refused_without_rights

CONFIG = """
aliases: {plain: sim/echo}
combos: {fixed: {targets: [sim/echo]}, above: {targets: [below]}, below: {targets: [sim/echo]}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, env = managed_config(CONFIG)
    with gateway(tmp_path_factory.mktemp("combos"), config, env) as running:
        yield running


def test_a_combo_serves_in_every_worker_within_a_second(served: Running) -> None:
    body = {"name": "made", "models": ["sim/echo", {"model": "sim/tools", "weight": 30}], "strategy": "weighted"}
    status, combo = ask(served, "POST", "/api/combos", body)
    assert 201 == status
    assert ("made", "weighted", "override") == (combo["id"], combo["strategy"], combo["source"])
    assert [("model", "sim/echo", None), ("model", "sim/tools", 30)] == [
        (each["kind"], each["model"], each.get("weight")) for each in combo["models"]
    ]
    agreed(lambda: chat(served, "made"), 200)
    assert combo == ask(served, "GET", "/api/combos/made", key=VIEWER)[1]

    status, changed = ask(served, "PUT", "/api/combos/made", {**combo, "strategy": "lkgp", "name": "renamed"})
    assert (200, "renamed", "last-known-good") == (status, changed["id"], changed["strategy"])
    assert combo["models"][1]["weight"] == changed["models"][1]["weight"]
    agreed(lambda: chat(served, "renamed"), 200)
    agreed(lambda: chat(served, "made"), 404)

    assert {"id": "renamed", "deleted": True} == ask(served, "DELETE", "/api/combos/renamed")[1]
    agreed(lambda: chat(served, "renamed"), 404)
    assert 404 == ask(served, "GET", "/api/combos/renamed")[0]


def test_a_combo_of_the_file_can_be_changed_and_taken_away(served: Running) -> None:
    assert "config" == ask(served, "GET", "/api/combos/fixed")[1]["source"]
    status, changed = ask(served, "PUT", "/api/combos/fixed", {"settings": {"rescue": "buffer"}})
    assert (200, {"rescue": "buffer"}, "override") == (status, changed["settings"], changed["source"])
    assert 200 == ask(served, "DELETE", "/api/combos/fixed")[0]
    agreed(lambda: chat(served, "fixed"), 404)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "/api/combos", {"models": ["sim/echo"]}, 400, "name"),
        ("POST", "/api/combos", {"name": "x"}, 400, "models"),
        ("POST", "/api/combos", {"name": "x", "modles": []}, 400, "modles"),
        ("POST", "/api/combos", {"name": "x", "models": ["sim/ehco"]}, 422, "combos.x.targets[0]"),
        ("POST", "/api/combos", {"name": "x", "models": ["sim/echo"], "strategy": "best"}, 422, "combos.x.strategy"),
        ("POST", "/api/combos", {"name": "x", "models": ["x"]}, 422, None),
        ("POST", "/api/combos", {"name": "above", "models": ["sim/echo"]}, 409, None),
        ("POST", "/api/combos", {"name": "a/b", "models": ["sim/echo"]}, 400, "name"),
        ("POST", "/api/combos", {"name": "metrics", "models": ["sim/echo"]}, 400, "name"),
        ("PUT", "/api/combos/above", {"name": "test"}, 400, "name"),
        ("POST", "/api/combos", ["x"], 400, None),
        ("PUT", "/api/combos/above", {"context_length": "long"}, 400, "context_length"),
        ("PUT", "/api/combos/above", {"settings": {"recsue": "none"}}, 422, None),
        ("PUT", "/api/combos/nobody", {"strategy": "random"}, 404, None),
        ("DELETE", "/api/combos/below", None, 422, None),
        ("DELETE", "/api/combos/nobody", None, 404, None),
        ("POST", "/api/models/alias", {"alias": "x", "model": "sim/ehco"}, 422, "aliases.x"),
        ("POST", "/api/models/alias", {"alias": "plain", "model": "sim/tools"}, 409, None),
        ("POST", "/api/models/alias", {"alias": "x"}, 400, None),
        ("PUT", "/api/models/alias", {"alias": "above", "model": "sim/echo"}, 422, None),
        ("DELETE", "/api/models/alias", None, 400, "alias"),
        ("DELETE", "/api/models/alias?alias=nobody", None, 404, None),
        ("PUT", "/api/settings/model-aliases", {"aliases": {"a": "b", "b": "a"}}, 422, None),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    served: Running, method: str, path: str, body: Any, status: int, param: str | None
) -> None:
    before = ask(served, "GET", "/api/combos")[1], ask(served, "GET", "/api/models/alias")[1]
    answered, problem = ask(served, method, path, body)

    assert (status, True) == (answered, len(problem["detail"]) > 10)
    if param is not None:
        assert param == problem["param"]
    if status == 422:
        first = problem["diagnostics"][0]
        assert {"severity", "code", "message", "hint", "path", "position"} <= first.keys()
    assert before == (ask(served, "GET", "/api/combos")[1], ask(served, "GET", "/api/models/alias")[1])


def test_aliases_come_change_and_go(served: Running) -> None:
    assert 201 == ask(served, "POST", "/api/models/alias", {"alias": "quick", "model": "sim/echo"})[0]
    agreed(lambda: chat(served, "quick"), 200)
    assert 200 == ask(served, "PUT", "/api/models/alias", {"alias": "quick", "model": "sim/error"})[0]
    agreed(lambda: chat(served, "quick") != 200, True)
    assert "sim/error" == ask(served, "GET", "/api/models/alias", key=VIEWER)[1]["aliases"]["quick"]
    assert 200 == ask(served, "DELETE", "/api/models/alias?alias=quick")[0]
    agreed(lambda: chat(served, "quick"), 404)

    wanted = {"aliases": {"a": "sim/echo", "plain": "sim/echo"}}
    assert wanted["aliases"] == ask(served, "PUT", "/api/settings/model-aliases", wanted)[1]["all"]
    added = ask(served, "POST", "/api/settings/model-aliases", {"from": "b-*", "to": "sim/*"})[1]["custom"]
    assert {**wanted["aliases"], "b-*": "sim/*"} == added
    agreed(lambda: chat(served, "b-echo"), 200)
    assert wanted["aliases"] == ask(served, "DELETE", "/api/settings/model-aliases?alias=b-*")[1]["all"]


def test_a_combo_is_tried_without_spending_and_live(served: Running) -> None:
    dry = ask(served, "POST", "/api/combos/above/test", {})[1]
    assert [("sim/echo", "available")] == [(each["model"], each["status"]) for each in dry["results"]]
    live = ask(served, "POST", "/api/combos/test", {"comboName": "above", "live": True})[1]
    assert (True, "sim/echo", "ok") == (live["live"], live["resolvedBy"], live["results"][0]["status"])
    assert live["results"][0]["latencyMs"] > 0
    assert 404 == ask(served, "POST", "/api/combos/test", {"comboName": "nobody"})[0]


def test_the_catalogue_shows_what_a_key_may_use(served: Running) -> None:
    catalog = ask(served, "GET", "/api/models/catalog", key=VIEWER)[1]["catalog"]
    assert (True, "chat") == (catalog["sim"]["active"], catalog["sim"]["models"][0]["type"])
    assert {} == ask(served, "GET", "/api/models/catalog?endpoint=embeddings")[1]["catalog"]
    status, problem = ask(served, "GET", "/api/models/catalog?endpoint=chatt")
    assert (400, "endpoint") == (status, problem["param"])
    kinds = {each["id"]: each["kind"] for each in ask(served, "GET", "/api/models", key=VIEWER)[1]["models"]}
    assert {"sim/echo": "model", "above": "combo", "plain": "alias"}.items() <= kinds.items()


def test_changes_at_once_lose_nothing(served: Running) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:
        made = list(
            pool.map(
                lambda n: ask(served, "POST", "/api/combos", {"name": f"n{n}", "models": ["sim/echo"]})[0], range(6)
            )
        )
    assert [201] * 6 == made

    def lacks() -> set[str]:
        listed = [ask(served, "GET", "/api/combos")[1]["combos"] for _ in range(8)]  # of both workers
        return {f"n{n}" for n in range(6)} - set.intersection(*({each["id"] for each in one} for one in listed))

    deadline_s = time.monotonic() + 60
    while missing := lacks():
        assert time.monotonic() < deadline_s, missing
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/combos"),
        ("POST", "/api/combos"),
        ("POST", "/api/combos/test"),
        ("GET", "/api/combos/x"),
        ("PUT", "/api/combos/x"),
        ("DELETE", "/api/combos/x"),
        ("POST", "/api/combos/x/test"),
        ("GET", "/api/models/alias"),
        ("POST", "/api/models/alias"),
        ("PUT", "/api/models/alias"),
        ("DELETE", "/api/models/alias"),
        ("GET", "/api/settings/model-aliases"),
        ("PUT", "/api/settings/model-aliases"),
        ("POST", "/api/settings/model-aliases"),
        ("DELETE", "/api/settings/model-aliases"),
    ],
)
def test_only_who_runs_the_gateway_may(served: Running, method: str, path: str) -> None:
    bodies = {
        "/api/combos/test": {"comboName": "x"},
        "/api/combos/x/test": {},
        "/api/models/alias": {"alias": "x", "model": "sim/echo"},
    }
    mapped = {"aliases": {}} if method == "PUT" else {"from": "x", "to": "sim/echo"}
    fallback = mapped if path.endswith("model-aliases") else {"name": "x", "models": ["sim/echo"]}
    refused_without_rights(served, method, path, None if method in {"GET", "DELETE"} else bodies.get(path, fallback))


def test_the_key_of_the_admin_is_nowhere(served: Running) -> None:
    assert ADMIN not in served.log
