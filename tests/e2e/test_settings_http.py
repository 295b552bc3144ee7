"""Settings, prices and policies that are changed while two workers serve, and what they do to calls."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Running, gateway
from tests.support.managing import CLIENT, agreed, ask, chat, managed_config, refused_without_rights
from tests.support.upstream_http import Provider, provider

SECRET = "sk-settings-0123456789abcdef"
PASSWORD = "a proxy's canary password"
PROMPT = "Say nothing of Project Nine."


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    with provider(SECRET) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: Provider) -> Iterator[Running]:
    config, env = managed_config(f"""
providers:
  sim: {{}}
  own:
    base_url: {upstream.url}
    local: true
    surfaces: {{openai_chat: {{}}}}
    connections: [{{id: main, key: "${{OWN_KEY}}"}}]
    models: {{one: {{has: [reasoning], prices: {{input: "1.00", output: "2.00"}}}}}}
policies: {{fixed: {{keys: ["ci-*"], limits: [{{requests: 5, per: 1m}}]}}}}
""")
    with gateway(tmp_path_factory.mktemp("settings"), config, {**env, "OWN_KEY": SECRET}) as running:
        yield running


def last(upstream: Provider) -> Any:
    """What the provider was last asked to answer."""
    return next(body for method, _, _, body in reversed(upstream.seen) if method == "POST")


def prompted(served: Running, upstream: Provider) -> str:
    assert 200 == chat(served, "own/one")
    return str([each["content"] for each in last(upstream)["messages"]])


def test_the_system_prompt_reaches_the_provider_and_goes(served: Running, upstream: Provider) -> None:
    assert {"prompt": "", "enabled": False, "place": "first"} == ask(served, "GET", "/api/settings/system-prompt")[1]
    status, said = ask(served, "PUT", "/api/settings/system-prompt", {"prompt": PROMPT, "enabled": True})
    assert (200, {"prompt": PROMPT, "enabled": True, "place": "first"}) == (status, said)
    agreed(lambda: PROMPT in prompted(served, upstream), True)
    assert ask(served, "PUT", "/api/settings/system-prompt", {"enabled": False})[1]["prompt"] == PROMPT
    agreed(lambda: PROMPT in prompted(served, upstream), False)
    assert ask(served, "PUT", "/api/settings/system-prompt", {"prompt": ""})[1]["enabled"] is False


def test_a_thinking_budget_replaces_what_clients_say(served: Running, upstream: Provider) -> None:
    def effort() -> object:
        body = {"model": "own/one", "reasoning_effort": "high", "messages": [{"role": "user", "content": "hi"}]}
        assert 200 == ask(served, "POST", "/v1/chat/completions", body, CLIENT)[0]
        return last(upstream).get("reasoning_effort")

    assert "passthrough" == ask(served, "GET", "/api/settings/thinking-budget")[1]["mode"]
    assert "high" == effort()
    assert 200 == ask(served, "PUT", "/api/settings/thinking-budget", {"mode": "custom", "customBudget": 1024})[0]
    agreed(lambda: effort() in {"minimal", "low"}, True)
    assert 200 == ask(served, "PUT", "/api/settings/thinking-budget", {"mode": "auto"})[0]
    agreed(effort, None)
    assert 200 == ask(served, "PUT", "/api/settings/thinking-budget", {"mode": "passthrough"})[0]
    agreed(effort, "high")


def test_settings_change_section_by_section_and_are_taken_back(served: Running) -> None:
    found = ask(served, "GET", "/api/settings")[1]
    assert ("64", 2) == (str(found["settings"]["requests"]["max_prompts"]), found["settings"]["retries"]["per_target"])
    body = {"requests": {"max_prompts": 3}, "requestRetry": 1, "maxRetryIntervalSec": 7}
    changed = ask(served, "PATCH", "/api/settings", body)[1]
    assert (3, 1, "7s") == (
        changed["settings"]["requests"]["max_prompts"],
        changed["settings"]["retries"]["per_target"],
        changed["settings"]["retries"]["max_backoff"],
    )
    assert {"requests.max_prompts", "retries.per_target", "retries.max_backoff"} <= set(changed["changed"])

    def many() -> int:
        body = {"model": "sim/echo", "prompt": ["a"] * 4, "max_tokens": 3}
        return ask(served, "POST", "/v1/completions", body, CLIENT)[0]

    agreed(many, 400)
    back = ask(served, "PUT", "/api/settings", {"requests": {"prompts_at_once": 2}})[1]
    assert (64, 2) == (back["settings"]["requests"]["max_prompts"], back["settings"]["requests"]["prompts_at_once"])
    assert (
        ask(served, "PATCH", "/api/settings", {"retries": {"per_target": None}})[1]["settings"]["retries"]["per_target"]
        == 2
    )
    agreed(many, 200)


def test_a_price_is_the_ledgers_and_gets_a_version(served: Running) -> None:
    assert {"input": 1.0, "output": 2.0} == ask(served, "GET", "/api/pricing?provider=own")[1]["own"]["one"]
    first = reckoned(served)
    assert pytest.approx((5 * 1.00 + 1 * 2.00) / 10**6) == first["cost"]
    before = ask(served, "GET", "/api/pricing/models")[1]["models"]
    status, table = ask(served, "PATCH", "/api/pricing", {"own": {"one": {"input": 0.075, "cached": "0.01"}}})
    assert (200, {"input": 0.075, "output": 2.0, "cached": 0.01}) == (status, table["own"]["one"])
    agreed(lambda: ask(served, "GET", "/api/pricing?provider=own")[1]["own"]["one"]["input"], 0.075)
    second = reckoned(served)
    assert pytest.approx((5 * 0.075 + 1 * 2.00) / 10**6) == second["cost"]
    assert first["priceVersion"] != second["priceVersion"]
    long = {"long_above": 4, "long_input": 10, "long_output": 20}
    assert ask(served, "PATCH", "/api/pricing", {"own": {"one": long}})[1]["own"]["one"].items() >= long.items()
    agreed(lambda: ask(served, "GET", "/api/pricing?provider=own")[1]["own"]["one"].get("long_above"), 4)
    assert pytest.approx((5 * 10 + 1 * 20) / 10**6) == reckoned(served)["cost"]
    for wrong in (1.5, True, 0):
        assert 400 == ask(served, "PATCH", "/api/pricing", {"own": {"one": {"long_above": wrong}}})[0]
    assert 422 == ask(served, "PATCH", "/api/pricing", {"own": {"one": {"long_above": None}}})[0], "which are long?"
    tiers = {"flex_input": 0.5, "flex_output": 1, "priority_input": 20, "priority_output": 40}
    assert ask(served, "PATCH", "/api/pricing", {"own": {"one": tiers}})[1]["own"]["one"].items() >= tiers.items()
    none = dict.fromkeys(long | tiers)
    assert ask(served, "PATCH", "/api/pricing", {"own": {"one": none}})[1]["own"]["one"].keys().isdisjoint(none)
    source = {each["id"]: each["source"] for each in ask(served, "GET", "/api/pricing/models")[1]["models"]}
    assert ("management API", len(before)) == (source["own/one"], len(source))
    own = ask(served, "GET", "/api/pricing/models?provider=own")[1]
    assert ({"own"}, len(own["models"])) == ({each["provider"] for each in own["models"]}, own["total"])
    assert 404 == ask(served, "GET", "/api/pricing/models?provider=nobody")[0]
    assert ask(served, "PATCH", "/api/pricing", {"sim": {"echo": {"input": 3, "output": 4}}})[0] == 200
    assert {"sim"} == set(ask(served, "DELETE", "/api/pricing?provider=sim&model=echo")[1])
    taken_back = ask(served, "PATCH", "/api/pricing", {"own": {"one": {"input": None, "cached": None}}})[1]
    assert {"input": 1.0, "output": 2.0} == taken_back["own"]["one"], "the file's is uncovered"
    for query in ("", "?providr=own", "?provider=own&all=true", "?all=false", "?model=one"):
        assert 400 == ask(served, "DELETE", f"/api/pricing{query}")[0], query
    assert 200 == ask(served, "PATCH", "/api/pricing", {"own": {"one": {"input": 9}}})[0]
    assert {"input": 1.0, "output": 2.0} == ask(served, "DELETE", "/api/pricing?all=true")[1]["own"]["one"]
    agreed(lambda: ask(served, "GET", "/api/pricing?provider=own")[1]["own"]["one"]["input"], 1.0)
    assert pytest.approx(first["cost"]) == reckoned(served)["cost"]
    assert "openai" in ask(served, "GET", "/api/pricing/defaults")[1]


def reckoned(served: Running) -> Any:
    """How the ledger reckons one more call."""
    path = "/api/usage/call-logs?model=own/one&limit=1"
    before = ask(served, "GET", path)[1]["logs"]
    assert 200 == chat(served, "own/one")
    deadline_s = time.monotonic() + 60
    while (after := ask(served, "GET", path)[1]["logs"]) == before:
        assert time.monotonic() < deadline_s, "the journal was not drained"
        time.sleep(0.2)
    return ask(served, "GET", f"/api/usage/call-logs/{after[0]['id']}")[1]["attempts"][0]


def test_policies_come_hold_and_go(served: Running) -> None:
    def asked() -> int:
        return chat(served, "sim/tools")

    settings = {"keys": ["client"], "models": ["sim/tools"], "limits": [{"requests": 1, "per": "1h"}]}
    status, made = ask(served, "POST", "/api/policies", {"name": "one", "settings": settings})
    assert (201, settings, "override") == (status, made["settings"], made["source"])
    agreed(asked, 429)
    assert ["fixed", "one"] == [each["name"] for each in ask(served, "GET", "/api/policies")[1]["policies"]]
    renamed = {**made, "name": "two", "settings": {**settings, "keys": ["root"]}}
    assert "two" == ask(served, "PUT", "/api/policies/one", renamed)[1]["id"]
    agreed(asked, 200)
    assert 200 == ask(served, "DELETE", "/api/policies?name=two")[0]
    assert 404 == ask(served, "GET", "/api/policies/two")[0]


def test_proxies_are_set_shown_without_their_password_and_taken_away(served: Running) -> None:
    nothing = {"global": None, "providers": {}, "connections": {}}
    assert nothing == ask(served, "GET", "/api/settings/proxy")[1]
    proxy = {"type": "http", "host": "127.0.0.1", "port": 9, "username": "us", "password": PASSWORD}
    body = {"level": "connection", "id": "own:main", "proxy": proxy}
    status, refused = ask(served, "PUT", "/api/settings/proxy", body)
    assert (422, "${OWN_KEY}") == (status, refused["detail"].split()[2]), "the proxy would read it"
    assert 200 == ask(served, "PUT", "/api/providers/own:main", {"apiKey": SECRET})[0]
    status, said = ask(served, "PUT", "/api/settings/proxy", body)
    assert (200, {**proxy, "password": "…"}) == (status, said["connections"]["own:main"])
    agreed(lambda: chat(served, "own/one"), 503)
    again = ask(served, "PUT", "/api/settings/proxy", {"connections": said["connections"]})[1]
    assert said == again
    body = {"global": {"type": "https", "host": "proxy.example.com"}, "providers": {"own": {"type": "direct"}}}
    said = ask(served, "PUT", "/api/settings/proxy", {**body, "connections": {"own:main": None}})[1]
    assert ({"type": "https", "host": "proxy.example.com", "port": 443}, {"own": {"type": "direct"}}, {}) == (
        said["global"], said["providers"], said["connections"],
    )  # fmt: skip
    agreed(lambda: chat(served, "own/one"), 200)
    assert 200 == ask(served, "PUT", "/api/settings/proxy", {"global": {**proxy, "port": 8}})[0]
    sent_back = ask(served, "GET", "/api/settings")[1]["settings"]["proxy"]
    assert "…" == sent_back["password"]
    assert 200 == ask(served, "PUT", "/api/settings", {"proxy": sent_back})[0]
    assert {**proxy, "port": 8, "password": "…"} == ask(served, "GET", "/api/settings/proxy")[1]["global"]
    tested = ask(served, "POST", "/api/settings/proxy/test", {"proxy": proxy})[1]
    assert (False, "own:main") == (tested["success"], tested["connectionId"])
    assert True is ask(served, "POST", "/api/settings/proxy/test", {"proxy": {"type": "direct"}})[1]["success"]
    assert 200 == ask(served, "DELETE", "/api/settings/proxy?level=provider&id=own")[0]
    assert nothing == ask(served, "DELETE", "/api/settings/proxy")[1]
    database = sqlite3.connect(served.root / "data" / "gatewright.db")
    dump = "\n".join(database.iterdump())
    database.close()
    assert PASSWORD not in dump + served.log + json.dumps(ask(served, "GET", "/api/settings")[1])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("PATCH", "/api/settings", {"reqeusts": {}}, 400, "reqeusts"),
        ("PATCH", "/api/settings", {"requests": 3}, 400, "requests"),
        ("PATCH", "/api/settings", {"requests": {"max_prompts": 0}}, 422, "requests.max_prompts"),
        ("PATCH", "/api/settings", {"requests": {"max_promtps": 1}}, 422, None),
        ("PATCH", "/api/settings", {"timeouts": {"idle": "30"}}, 422, "timeouts.idle"),
        ("PATCH", "/api/settings", {"server": {"port": 1}}, 422, None),
        ("PUT", "/api/settings", {"combos": {}}, 400, "combos"),
        ("PUT", "/api/settings/system-prompt", {"prompt": "x" * 50_001}, 400, "prompt"),
        ("PUT", "/api/settings/system-prompt", {"promtp": "x"}, 400, "promtp"),
        ("PUT", "/api/settings/thinking-budget", {"mode": "much"}, 400, "mode"),
        ("PUT", "/api/settings/thinking-budget", {"customBudget": 131_073}, 400, "customBudget"),
        ("PUT", "/api/settings/proxy", {}, 400, "proxy"),
        ("PUT", "/api/settings/proxy", {"proxy": {"type": "socks5", "host": "a"}}, 400, "proxy.type"),
        ("PUT", "/api/settings/proxy", {"proxy": {"host": "a b"}}, 400, "proxy.host"),
        ("PUT", "/api/settings/proxy", {"global": {"host": "a", "port": 70_000}}, 400, None),
        ("PUT", "/api/settings/proxy", {"keys": {"a": {"host": "b"}}}, 400, "keys"),
        ("PUT", "/api/settings/proxy", {"providers": {"nobody": {"host": "a"}}}, 404, None),
        ("PUT", "/api/settings/proxy", {"level": "connection", "proxy": {"host": "a"}}, 400, "id"),
        ("POST", "/api/settings/proxy/test", {"proxy": {"host": "a"}, "connectionId": "own:nobody"}, 404, None),
        ("POST", "/api/settings/proxy/test", {"proxy": {"host": "169.254.169.254"}}, 400, "proxy.host"),
        ("PUT", "/api/settings/proxy", {"global": {"host": "::ffff:169.254.169.254"}}, 422, None),
        ("PATCH", "/api/settings", {"proxy": {"url": "http://169.254.43518:80"}}, 422, None),
        ("PATCH", "/api/pricing", {"own": {"one": {"inptu": 1}}}, 400, "own.one.inptu"),
        ("PATCH", "/api/pricing", {"own": {"one": {"input": -1}}}, 400, "own.one.input"),
        ("PATCH", "/api/pricing", {"own": {"one": {"input": "free"}}}, 400, "own.one.input"),
        ("PATCH", "/api/pricing", {"nobody": {"one": {"input": 1, "output": 1}}}, 422, None),
        ("PATCH", "/api/pricing", {"own": {"new": {"input": 1}}}, 422, None),
        ("GET", "/api/pricing?provider=nobody", None, 404, None),
        ("DELETE", "/api/pricing?provider=own&model=nobody", None, 404, None),
        ("DELETE", "/api/pricing?providr=own", None, 400, "providr"),
        ("PATCH", "/api/pricing?provider=own", {"own": {"one": {"input": 1}}}, 400, "provider"),
        ("DELETE", "/api/pricing?model=one&all=true", None, 400, "provider"),
        ("POST", "/api/policies", {"name": "x"}, 400, "settings"),
        ("POST", "/api/policies", {"name": "x", "settings": {"limits": [{"requests": 1}]}}, 422, None),
        ("POST", "/api/policies", {"name": "x", "settings": {"kesy": []}}, 422, None),
        ("POST", "/api/policies", {"name": "fixed", "settings": {}}, 409, None),
        ("PUT", "/api/policies/nobody", {"settings": {}}, 404, None),
        ("DELETE", "/api/policies", None, 400, "name"),
        ("DELETE", "/api/policies/nobody", None, 404, None),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    served: Running, method: str, path: str, body: Any, status: int, param: str | None
) -> None:
    paths = ("/api/settings", "/api/settings/proxy", "/api/pricing", "/api/policies")
    before = [ask(served, "GET", each)[1] for each in paths]
    answered, problem = ask(served, method, path, body)

    assert (status, True) == (answered, len(problem.get("detail", "")) > 10), problem
    if param is not None:
        assert param == problem["param"]
    assert before == [ask(served, "GET", each)[1] for each in paths]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path, methods in {
            "/api/settings": "GET PATCH PUT",
            "/api/settings/system-prompt": "GET PUT",
            "/api/settings/thinking-budget": "GET PUT",
            "/api/settings/proxy": "GET PUT DELETE",
            "/api/settings/proxy/test": "POST",
            "/api/pricing": "GET PATCH DELETE",
            "/api/pricing/defaults": "GET",
            "/api/pricing/models": "GET",
            "/api/policies": "GET POST DELETE",
            "/api/policies/fixed": "GET PUT DELETE",
        }.items()
        for method in methods.split()
    ],
)
def test_only_who_runs_the_gateway_may(served: Running, method: str, path: str) -> None:
    refused_without_rights(served, method, path, None if method in {"GET", "DELETE"} else {})


def test_a_provider_that_is_configured_is_not_blocked_by_leaving_it_undiscovered(served: Running) -> None:
    for method in ("PATCH", "PUT"):
        status, problem = ask(served, method, "/api/settings", {"blockedProviders": ["openai", "own"]})
        assert (400, "blockedProviders") == (status, problem["param"])
        assert '"isActive": false' in problem["detail"]
    assert 200 == ask(served, "PATCH", "/api/settings", {"blockedProviders": ["openai"]})[0]
    assert 200 == ask(served, "PATCH", "/api/settings", {"blockedProviders": None})[0]
