"""One walk through every operation about keys, budgets, usage, prices, policies, providers and their models, as an operator goes.

Each answer has the status that is said here, and its status, headers and body are as `docs/reference/endpoints.md` has them,
which is written from the same document.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.conformance import documented
from tests.support.document import OPERATIONS
from tests.support.gateway import Running, gateway
from tests.support.managing import ADMIN, managed_config
from tests.support.upstream_http import Provider, provider

SECRET = "sk-canary-0123456789abcdefghijklmnop"
CONFIG = """
providers:
  sim: {models: {echo: {prices: {input: "1000", output: "2000"}}}}
policies: {fixed: {limits: [{requests: 1000000, per: 1h}]}}
"""


class Walk:
    """Calls operations by their names; ``taken`` are those that were called."""

    def __init__(self, served: Running) -> None:
        self._served = served
        self.taken: set[str] = set()

    def __call__(
        self,
        name: str,
        status: int = 200,
        body: object = None,
        *,
        at: dict[str, str] | None = None,
        query: dict[str, Any] | None = None,
        key: str | None = ADMIN,
    ) -> Any:
        """The JSON of one answer, which has this ``status``; ``at`` is what its path names."""
        self.taken.add(name)
        found, told = self.tried(name, body, at=at, query=query, key=key)
        assert status == found, f"{name}: {told}"
        return told

    def tried(
        self,
        name: str,
        body: object = None,
        *,
        at: dict[str, str] | None = None,
        query: dict[str, Any] | None = None,
        key: str | None = ADMIN,
    ) -> tuple[int, Any]:
        """Status and JSON of one answer, whichever it is: as documented."""
        return documented(self._served, name, key, body, path_parameters=at or {}, query=query or {})

    def chat(self, key: str) -> int:
        """The status of a call of a model with ``key``."""
        body = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        return self.tried("createChatCompletion", body, key=key)[0]

    def until(self, asked: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 60
        while not asked():
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    with provider(SECRET) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, environment = managed_config(CONFIG)
    with gateway(tmp_path_factory.mktemp("walk"), config, environment) as running:
        yield running


@pytest.fixture
def walk(served: Running) -> Walk:
    return Walk(served)


def everything_was_walked(walk: Walk, *paths: str) -> None:
    """Whatever begins with ``paths`` was called."""
    there = {
        each.id for each in OPERATIONS if each.path in paths or each.path.startswith(tuple(f"{p}/" for p in paths))
    }
    assert there == walk.taken


def test_keys(walk: Walk) -> None:
    fields = {"name": "ci", "scopes": ["chat", "view"], "allowedModels": ["sim/*"], "expiresAt": "2099-01-01T00:00:00Z",
              "limits": [{"usd": "5.00", "per": "month", "warningThreshold": 0.8}, {"concurrency": 4}]}  # fmt: skip
    made = walk("createKey", 201, fields)
    at = {"key_id": made["id"]}
    shown = walk("getKey", at=at)
    assert fields == {name: shown[name] for name in fields} | {"scopes": ["chat", "view"]}
    assert made["id"] in {key["id"] for key in walk("listKeys")["keys"]}
    assert 200 == walk.chat(made["key"])
    assert ("default", made["id"]) == tuple(walk("getMe", key=made["key"])[name] for name in ("company_id", "key_id"))
    spent = {"source": "voice_call", "duration_s": 10}
    assert 0.01 == walk("reportUsage", 200, spent, key=made["key"])["cost_usd"]

    changed = walk("changeKey", 200, {"limits": [{"usd": "9.00", "per": "month"}], "expiresAt": None}, at=at)
    assert [{"usd": "9.00", "per": "month", "warningThreshold": 0.8}] == changed["limits"]
    assert "expiresAt" not in changed
    assert walk("changeKey", 200, {"isActive": False}, at=at)["isActive"] is False
    walk.until(lambda: walk.tried("getMe", key=made["key"])[0] == 401)
    assert walk("changeKey", 200, {"isActive": True}, at=at)["isActive"] is True
    assert walk("revokeKey", at=at)["isActive"] is False
    walk("changeKey", 409, {"isActive": True}, at=at)
    assert {"id": made["id"], "deleted": True} == walk("deleteKey", at=at)

    for name, body in (("getKey", None), ("changeKey", {"name": "x"}), ("revokeKey", None), ("deleteKey", None)):
        walk(name, 404, body, at=at)
    walk("createKey", 400, {"name": "x", "scopes": ["all"]})
    walk("createKey", 409, {"name": "again", "key": made["key"]})
    walk("changeKey", 409, {"name": "x"}, at={"key_id": "client"})
    walk("deleteKey", 409, at={"key_id": "client"})
    walk("reportUsage", 400, {"source": "nobody", "duration_s": 1})
    for name in ("listKeys", "getMe"):
        walk(name, 401, key=None)
    everything_was_walked(walk, "/api/keys", "/v1/me", "/v1/usage")


def test_budgets_and_what_was_used(walk: Walk) -> None:
    made = walk("createKey", 201, {"name": "spender", "scopes": ["chat"]})
    walk.taken.clear()
    set_ = walk("setBudget", 200, {"keyId": made["id"], "limit": 5, "period": "daily", "warningThreshold": 0.001})
    assert (5.0, 0.001, []) == tuple(set_["budget"][name] for name in ("dailyLimitUsd", "warningThreshold", "warnings"))
    statuses = [walk.chat(made["key"])]
    whose = {"apiKeyId": made["id"]}
    walk.until(lambda: ["daily"] == walk("listBudgets", query=whose)["budgets"][0]["warnings"])
    (budget,) = walk("listBudgets", query={"keyId": made["id"]})["budgets"]
    check = budget["budgetCheck"]
    assert (True, "daily", 1) == (check["warningReached"], check["period"], budget["requestsToday"])
    assert walk("setBudget", 200, {"keyId": made["id"], "limit": 0.000001, "period": "weekly"})["success"] is True
    assert walk("listBudgets", query=whose)["budgets"][0]["budgetCheck"]["allowed"] is False
    walk.until(lambda: statuses.append(walk.chat(made["key"])) or statuses[-1] == 429)

    walk.until(lambda: len(statuses) == walk("getUsageHistory", query={**whose, "range": "7d"})["totalRequests"])
    logs = walk("listCallLogs", query={**whose, "limit": 100})["logs"]
    assert sorted(statuses) == sorted(each["status"] for each in logs)
    one = logs[-1]
    assert (one["id"], budget["totalCostToday"]) == (
        walk("getCallLog", at={"request_id": one["requestId"]})["id"],
        one["cost"],
    )
    assert len(statuses) == walk("getUsageAnalytics", query=whose)["summary"]["requests"]
    assert "sim/default" == walk("getConnectionUsage", at={"connection_id": "sim:default"})["connectionId"]
    for name in ("listUsageLogs", "listRequestLogs"):
        assert len(statuses) == len(walk(name, query=whose)["logs"])

    walk("setBudget", 400, {"keyId": made["id"]})
    walk("setBudget", 404, {"keyId": "nobody", "limit": 1})
    walk("setBudget", 409, {"keyId": "client", "limit": 1})
    walk("setBudget", 422, {"keyId": made["id"], "dailyLimitUsd": 1, "resetTime": "06:00"})
    walk("listBudgets", 404, query={"keyId": "nobody"})
    walk("getCallLog", 404, at={"request_id": "nobody"})
    walk("getConnectionUsage", 404, at={"connection_id": "nobody"})
    walk("getUsageHistory", 400, query={"range": "yesterday"})
    walk("listCallLogs", 400, query={"limit": 0})
    everything_was_walked(walk, "/api/usage")


def test_prices(walk: Walk) -> None:
    at_first = walk("getPricing", query={"provider": "sim"})["sim"]["echo"]
    table = walk("changePricing", 200, {"sim": {"echo": {"input": 3, "output": "4.5"}}})
    assert {"input": 3.0, "output": 4.5}.items() <= table["sim"]["echo"].items()
    models = walk("listPricedModels", query={"provider": "sim"})["models"]
    assert "management API" in {each["source"] for each in models}
    assert "openai" in walk("getDefaultPricing")
    assert at_first == walk("resetPricing", query={"provider": "sim", "model": "echo"})["sim"]["echo"]

    walk("changePricing", 400, {"sim": {"echo": {"inptu": 3}}})
    walk("getPricing", 404, query={"provider": "nobody"})
    walk("listPricedModels", 404, query={"provider": "nobody"})
    walk("resetPricing", 400)
    everything_was_walked(walk, "/api/pricing")


def test_policies_and_limits(walk: Walk) -> None:
    settings = {"models": ["sim/tools"], "limits": [{"requests": 1000, "per": "1h"}]}
    assert settings == walk("createPolicy", 201, {"name": "one", "settings": settings})["settings"]
    assert "one" == walk("getPolicy", at={"policy_id": "one"})["name"]
    assert {"fixed", "one"} <= {each["name"] for each in walk("listPolicies")["policies"]}
    changed = {"settings": {**settings, "keys": ["client"]}}
    assert ["client"] == walk("changePolicy", 200, changed, at={"policy_id": "one"})["settings"]["keys"]
    walk("deletePolicy", at={"policy_id": "one"})
    walk("createPolicy", 201, {"name": "one", "settings": settings})
    walk("deletePolicyByName", query={"name": "one"})

    walk("createPolicy", 409, {"name": "fixed", "settings": settings})
    walk("createPolicy", 422, {"name": "bad", "settings": {"limits": [{"requests": 1}]}})
    for name, body in (("getPolicy", None), ("changePolicy", changed), ("deletePolicy", None)):
        walk(name, 404, body, at={"policy_id": "one"})
    walk("listRateLimits")
    walk("getRateLimit")
    everything_was_walked(walk, "/api/policies", "/api/rate-limits", "/api/rate-limit")


def test_providers_their_nodes_and_their_models(walk: Walk, upstream: Provider) -> None:
    node = {"name": "Mine", "prefix": "mine", "baseUrl": upstream.url, "local": True}
    tried = walk("validateNode", 200, {"baseUrl": upstream.url, "apiKey": SECRET, "local": True})
    assert tried["valid"] is True, tried
    assert "mine" == walk("createNode", 201, node)["node"]["id"]
    assert "Mine" == walk("getNode", at={"node_id": "mine"})["node"]["name"]
    assert "mine" in {each["id"] for each in walk("listNodes")["nodes"]}
    assert "Ours" == walk("changeNode", 200, {"name": "Ours"}, at={"node_id": "mine"})["node"]["name"]

    assert walk("validateConnection", 200, {"provider": "mine", "apiKey": SECRET})["valid"] is True
    made = walk("createConnection", 201, {"provider": "mine", "name": "acc", "apiKey": SECRET})["connection"]
    at = {"connection_id": made["id"]}
    assert ("mine:acc", "…mnop") == (made["id"], walk("getConnection", at=at)["connection"]["apiKey"])
    assert "mine:acc" in {each["id"] for each in walk("listConnections")["connections"]}
    assert walk("testConnection", 200, {}, at=at)["valid"] is True
    assert 1 == walk("testConnections", 200, {"mode": "provider", "providerId": "mine"})["valid"]
    assert ["one", "two"] == [
        each["id"] for each in walk("listConnectionModels", at=at, query={"refresh": "true"})["models"]
    ]
    assert 2 == walk("changeConnection", 200, {"maxConcurrent": 2}, at=at)["connection"]["maxConcurrent"]
    assert walk("patchConnection", 200, {"isActive": False}, at=at)["connection"]["testStatus"] == "disabled"

    model = {"provider": "mine", "modelId": "one"}
    assert "The one" == walk("addServedModel", 201, {**model, "modelName": "The one"})["model"]["modelName"]
    assert "One" == walk("setServedModel", 200, {**model, "modelName": "One"})["model"]["modelName"]
    assert walk("patchServedModel", 200, {**model, "isHidden": True})["model"]["isHidden"] is True
    assert ["one"] == [
        each["modelId"] for each in walk("listServedModels", query={"provider": "mine"})["models"]["mine"]
    ]
    walk("deleteServedModel", query={"provider": "mine", "model": "one"})
    walk("deleteServedModel", 404, query={"provider": "mine", "model": "one"})
    walk("addServedModel", 422, {**model, "settings": {"contxt": 1}})
    walk("setServedModel", 400, {"provider": "mine"})
    walk("patchServedModel", 400, {**model, "apiFormat": "video"})
    walk("listServedModels", 404, query={"provider": "nobody"})

    walk("createConnection", 409, {"provider": "mine", "name": "acc", "apiKey": SECRET})
    walk("createConnection", 400, {"name": "acc"})
    walk("validateConnection", 422, {"provider": "mine", "apiKey": "${GATEWAY_KEY}"})
    walk("deleteConnection", at=at)
    bodies: dict[str, object] = {
        "changeConnection": {"name": "x"},
        "patchConnection": {"name": "x"},
        "testConnection": {},
    }
    for name in ("getConnection", "deleteConnection", "listConnectionModels", *bodies):
        walk(name, 404, bodies.get(name), at=at)
    walk("createNode", 409, {**node, "prefix": "openai"})
    walk("createNode", 422, {**node, "prefix": "other", "baseUrl": "ftp://example.com"})
    walk("validateNode", 400, {"baseUrl": "http://192.168.0.1/v1"})
    walk("deleteNode", at={"node_id": "mine"})
    for name, body in (("getNode", None), ("changeNode", {"name": "x"}), ("deleteNode", None)):
        walk(name, 404, body, at={"node_id": "mine"})
    everything_was_walked(walk, "/api/providers", "/api/provider-nodes", "/api/provider-models")
