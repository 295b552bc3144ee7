"""Providers, nodes, connections and models that are added, changed and tried while two workers serve."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Running, gateway
from tests.support.managing import agreed, ask, chat, managed_config, refused_without_rights
from tests.support.upstream_http import Provider, provider

CANARY = "sk-canary-0123456789abcdefghijklmnop"
CONFIG = """
providers:
  sim: {}
  own:
    base_url: https://llm.example.com/v1
    surfaces: {openai_chat: {}}
    open_models: true
    connections: [{id: first, key: "${OWN_KEY}"}, {id: second, key: "${OWN_KEY}"}]
  spare: {base_url: "https://llm.example.com/v1", surfaces: {openai_chat: {}}, auth: {scheme: none}, open_models: true}
combos: {pinned: {targets: [{model: own/m, connection: second}]}}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    with provider(CANARY) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, env = managed_config(CONFIG)
    with gateway(tmp_path_factory.mktemp("connections"), config, {**env, "OWN_KEY": "sk-own-0123456789"}) as running:
        yield running


def test_a_node_and_its_connection_serve_in_every_worker_and_the_credential_is_nowhere(
    served: Running, upstream: Provider
) -> None:
    node = {"name": "Mine", "prefix": "mine", "baseUrl": upstream.url, "local": True}
    status, made = ask(served, "POST", "/api/provider-nodes", node)
    assert (201, "mine", "openai-compatible", "chat") == (
        status, made["node"]["id"], made["node"]["type"], made["node"]["apiType"],
    )  # fmt: skip
    status, added = ask(served, "POST", "/api/providers", {"provider": "mine", "name": "my acc", "apiKey": CANARY})
    connection = added["connection"]
    assert (201, "mine:my-acc", "mine/my-acc", 1) == (
        status, connection["id"], connection["connectionId"], connection["priority"],
    )  # fmt: skip
    assert connection["apiKey"] == "…mnop"
    agreed(lambda: chat(served, "mine/one"), 200)
    assert f"Bearer {CANARY}" == upstream.seen[-1][2]["authorization"]

    status, refused = ask(served, "PUT", "/api/provider-nodes/mine", {"baseUrl": f"{upstream.url}/elsewhere"})
    codes = {each["code"] for each in refused["diagnostics"]}
    assert (422, True) == (status, "bad-reference" in codes), "its key was not given for that"
    data = {"providerSpecificData": {"baseUrl": f"{upstream.url}/elsewhere"}}
    assert 422 == ask(served, "PUT", "/api/providers/mine:my-acc", data)[0]
    assert 200 == ask(served, "PUT", "/api/providers/mine:my-acc", {**data, "apiKey": CANARY})[0], "given anew"
    back = {"providerSpecificData": {"baseUrl": None}, "apiKey": CANARY}
    assert 200 == ask(served, "PUT", "/api/providers/mine:my-acc", back)[0]
    agreed(lambda: chat(served, "mine/one"), 200)

    tested = ask(served, "POST", "/api/providers/mine:my-acc/test", {})[1]
    assert (True, 200, False) == (tested["valid"], tested["statusCode"], tested["paid"])
    assert ("GET", "/v1/models") == upstream.seen[-1][:2]
    assert ask(served, "POST", "/api/providers/mine:my-acc/test")[1]["valid"] is True
    live = ask(served, "POST", "/api/providers/mine:my-acc/test", {"model": "one"})[1]
    assert (True, True) == (live["valid"], live["paid"])
    listed = ask(served, "GET", "/api/providers/mine:my-acc/models?refresh=true")[1]
    assert (["one", "two"], "api") == ([each["id"] for each in listed["models"]], listed["source"])
    batch = ask(served, "POST", "/api/providers/test-batch", {"mode": "provider", "providerId": "mine"})[1]
    assert (1, 1) == (batch["total"], batch["valid"])

    changed = ask(served, "PUT", "/api/providers/mine:my-acc", {**connection, "maxConcurrent": 3})[1]["connection"]
    assert (3, "…mnop") == (changed["maxConcurrent"], changed["apiKey"])
    agreed(lambda: chat(served, "mine/one"), 200)
    assert (
        ask(served, "PUT", "/api/providers/mine:my-acc", {"isActive": False})[1]["connection"]["testStatus"]
        == "disabled"
    )
    agreed(lambda: chat(served, "mine/one"), 503)
    assert ask(served, "PATCH", "/api/providers/mine:my-acc", {"isActive": True})[0] == 200
    agreed(lambda: chat(served, "mine/one"), 200)

    everything = json.dumps([ask(served, "GET", path)[1] for path in
                             ("/api/providers", "/api/provider-nodes", "/api/providers/mine:my-acc", "/api/compliance/audit-log")])  # fmt: skip
    database = sqlite3.connect(served.root / "data" / "gatewright.db")
    dump = "\n".join(database.iterdump())
    database.close()
    assert [] == [
        where for where, text in {"answers": everything, "log": served.log, "store": dump}.items() if CANARY in text
    ]

    assert ask(served, "DELETE", "/api/providers/mine:my-acc")[0] == 200
    agreed(lambda: chat(served, "mine/one"), 502)
    assert ask(served, "DELETE", "/api/provider-nodes/mine")[0] == 200
    agreed(lambda: chat(served, "mine/one"), 404)


def test_a_credential_is_tried_without_being_kept(served: Running, upstream: Provider) -> None:
    before = ask(served, "GET", "/api/providers")[1]
    made = {"name": "Tried", "prefix": "tried", "baseUrl": upstream.url, "local": True}
    assert ask(served, "POST", "/api/provider-nodes", made)[0] == 201
    good = ask(served, "POST", "/api/providers/validate", {"provider": "tried", "apiKey": CANARY})[1]
    bad = ask(served, "POST", "/api/providers/validate", {"provider": "tried", "apiKey": "sk-wrong-0123456789abcdef"})[
        1
    ]
    assert (True, "models", ["one", "two"]) == (good["valid"], good["method"], good["models"])
    assert (False, 401) == (bad["valid"], bad["statusCode"])
    assert "sk-wrong" not in json.dumps(bad) + served.log
    node = {"baseUrl": upstream.url, "apiKey": CANARY, "local": True}
    assert ask(served, "POST", "/api/provider-nodes/validate", node)[1]["valid"] is True
    dead = ask(served, "POST", "/api/provider-nodes/validate", {"baseUrl": "http://127.0.0.1:9/v1", "local": True})[1]
    assert dead["valid"] is False
    assert ask(served, "DELETE", "/api/provider-nodes/tried")[0] == 200
    assert before == ask(served, "GET", "/api/providers")[1]


def test_connections_of_the_file_change_their_order_and_their_names(served: Running) -> None:
    assert ["own:first", "own:second"] == [
        each["id"] for each in ask(served, "GET", "/api/providers")[1]["connections"] if each["provider"] == "own"
    ]
    first = ask(served, "GET", "/api/providers/own:first")[1]["connection"]
    assert ("${OWN_KEY}", "config", "active") == (first["apiKey"], first["source"], first["testStatus"])
    moved = ask(served, "PUT", "/api/providers/own:second", {"priority": 1})[1]["connection"]
    assert (1, "override", "${OWN_KEY}") == (moved["priority"], moved["source"], moved["apiKey"])
    data = {"baseUrl": "https://eu.example.com/v1", "customHeaders": {"x-team": "a"}, "customUserAgent": "mine"}
    body = {"name": "one", "providerSpecificData": data}
    status, refused = ask(served, "PUT", "/api/providers/own:first", body)
    assert (422, "bad-reference") == (status, refused["diagnostics"][0]["code"]), (
        "the file's key goes where the file says"
    )
    given = {**body, "apiKey": "sk-0123456789abcdefgh"}
    changed = ask(served, "PUT", "/api/providers/own:first", given)[1]["connection"]
    assert ("own:one", data) == (changed["id"], changed["providerSpecificData"])
    assert ask(served, "PUT", "/api/providers/own:second", {"name": "two"})[0] == 422, "a combo names it"
    assert ask(served, "DELETE", "/api/providers/own:second")[0] == 422


def test_facts_of_models_are_said_hidden_and_taken_back(served: Running) -> None:
    body = {
        "provider": "sim",
        "modelId": "echo",
        "modelName": "The echo",
        "settings": {"prices": {"input": "1.5", "output": "2"}},
    }
    status, answer = ask(served, "POST", "/api/provider-models", body)
    assert (201, "The echo", "override", "chat") == (
        status, answer["model"]["modelName"], answer["model"]["source"], answer["model"]["apiFormat"],
    )  # fmt: skip
    hidden = ask(served, "PATCH", "/api/provider-models", {"provider": "sim", "modelId": "echo", "isHidden": True})[1][
        "model"
    ]
    assert (True, body["settings"]) == (hidden["isHidden"], hidden["settings"])
    listed = lambda: "sim/echo" in {each["id"] for each in ask(served, "GET", "/v1/models")[1]["data"]}  # noqa: E731
    agreed(listed, False)
    assert 200 == chat(served, "sim/echo")
    models = ask(served, "GET", "/api/provider-models?provider=sim")[1]["models"]["sim"]
    assert {"echo": "override", "tools": "catalog"}.items() <= {
        each["modelId"]: each["source"] for each in models
    }.items()
    assert ask(served, "DELETE", "/api/provider-models?provider=sim&model=echo")[0] == 200
    agreed(listed, True)
    assert 404 == ask(served, "DELETE", "/api/provider-models?provider=sim&model=echo")[0]


NODE = {"name": "n", "prefix": "n", "baseUrl": "https://n.example.com/v1"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "/api/providers", {"name": "x"}, 400, "provider"),
        ("POST", "/api/providers", {"provider": "openai"}, 400, "name"),
        ("POST", "/api/providers", {"provider": "openai", "name": "x"}, 422, "providers.openai.connections[0]"),
        ("POST", "/api/providers", {"provider": "opneai", "name": "x", "apiKey": "sk-0123456789abcdefgh"}, 422, None),
        ("POST", "/api/providers", {"provider": "openai", "name": "*", "apiKey": "k"}, 400, "name"),
        ("POST", "/api/providers", {"provider": "openai", "name": "x", "apikey": "k"}, 400, "apikey"),
        ("POST", "/api/providers", {"provider": "own", "name": "second", "apiKey": "sk-0123456789abcdefgh"}, 409, None),
        ("POST", "/api/providers", {"provider": "openai", "name": "x", "apiKey": "${PATH}"}, 422, None),
        ("POST", "/api/providers", {"provider": "openai", "name": "x", "apiKey": "file:/etc/passwd"}, 422, None),
        ("POST", "/api/providers", {"provider": "openai", "name": "x", "apiKey": "${OWN_KEY}"}, 422, None),
        ("POST", "/api/providers/validate", {"provider": "own", "apiKey": "${GATEWAY_KEY}"}, 422, None),
        ("POST", "/api/providers/validate", {"provider": "own", "apiKey": "${OWN_KEY}",
                                             "baseUrl": "https://n.example.com/v1"}, 422, None),
        ("POST", "/api/provider-nodes/validate", {"baseUrl": "http://[::ffff:169.254.169.254]/v1", "local": True}, 400, "baseUrl"),
        ("POST", "/api/provider-nodes/validate", {"baseUrl": "http://2852039166/v1", "local": True}, 400, "baseUrl"),
        ("POST", "/api/providers", {"provider": "own", "name": "x", "apiKey": "sk-0123456789abcdefgh",
                                    "proxy": {"url": "http://169.254.169.254:80"}}, 422, None),
        ("POST", "/api/providers", {"provider": "own", "name": "x", "apiKey": "sk-0123456789abcdefgh",
                                    "providerSpecificData": {"baseUrl": "http://10.0.0.1/v1"}}, 400, "baseUrl"),
        ("PUT", "/api/providers/own:nobody", {"name": "x"}, 404, None),
        ("PUT", "/api/providers/sim:default", {"name": "x"}, 409, None),
        ("PUT", "/api/providers/own:second", {"provider": "sim"}, 400, "provider"),
        ("PUT", "/api/providers/own:second", {"priority": 0}, 400, "priority"),
        ("DELETE", "/api/providers/own:nobody", None, 404, None),
        ("POST", "/api/providers/own:nobody/test", {}, 404, None),
        ("GET", "/api/providers/own:nobody/models", None, 404, None),
        ("POST", "/api/providers/validate", {"provider": "own", "apiKey": "k", "baseUrl": "http://127.0.0.1/"}, 400, "baseUrl"),
        ("POST", "/api/provider-nodes", {**NODE, "baseUrl": "http://localhost:8000/v1"}, 400, "baseUrl"),
        ("POST", "/api/provider-nodes", {**NODE, "baseUrl": "http://169.254.169.254/latest", "local": True}, 400, "baseUrl"),
        ("POST", "/api/provider-nodes", {**NODE, "baseUrl": "http://[::1]/v1"}, 400, "baseUrl"),
        ("POST", "/api/provider-nodes", {**NODE, "baseUrl": "http://n.example.com/v1"}, 422, "providers.n.base_url"),
        ("POST", "/api/provider-nodes", {**NODE, "baseUrl": "ftp://n.example.com"}, 422, "providers.n.base_url"),
        ("POST", "/api/provider-nodes", {**NODE, "prefix": "openai"}, 409, None),
        ("POST", "/api/provider-nodes", {**NODE, "prefix": "A B"}, 400, "prefix"),
        ("POST", "/api/provider-nodes", {**NODE, "apiType": "audio-speech"}, 400, "apiType"),
        ("POST", "/api/provider-nodes", {"name": "n", "prefix": "n"}, 400, "baseUrl"),
        ("PUT", "/api/provider-nodes/nobody", {"name": "x"}, 404, None),
        ("PUT", "/api/provider-nodes/openai", {"name": "x"}, 404, None),
        ("DELETE", "/api/provider-nodes/own", None, 422, None),
        ("POST", "/api/provider-nodes/validate", {"baseUrl": "http://192.168.0.1/v1"}, 400, "baseUrl"),
        ("POST", "/api/provider-models", {"provider": "sim"}, 400, None),
        ("POST", "/api/provider-models", {"provider": "sim", "modelId": "e", "settings": {"contxt": 1}}, 422, None),
        ("POST", "/api/provider-models", {"provider": "sim", "modelId": "e", "apiFormat": "video"}, 400, "apiFormat"),
        ("GET", "/api/provider-models?provider=nobody", None, 404, None),
        ("DELETE", "/api/provider-models", None, 400, "provider"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(
    served: Running, method: str, path: str, body: Any, status: int, param: str | None
) -> None:
    paths = ("/api/providers", "/api/provider-nodes", "/api/provider-models")
    before = [ask(served, "GET", each)[1] for each in paths]
    answered, problem = ask(served, method, path, body)

    assert (status, True) == (answered, len(problem["detail"]) > 10), problem
    if param is not None:
        assert param == problem["param"]
    assert before == [ask(served, "GET", each)[1] for each in paths]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path, methods in {
            "/api/providers": "GET POST",
            "/api/providers/validate": "POST",
            "/api/providers/test-batch": "POST",
            "/api/providers/own:first": "GET PUT PATCH DELETE",
            "/api/providers/own:first/test": "POST",
            "/api/providers/own:first/models": "GET",
            "/api/provider-nodes": "GET POST",
            "/api/provider-nodes/validate": "POST",
            "/api/provider-nodes/own": "GET PUT DELETE",
            "/api/provider-models": "GET POST PUT PATCH DELETE",
        }.items()
        for method in methods.split()
    ],
)
def test_only_who_runs_the_gateway_may(served: Running, method: str, path: str) -> None:
    body: dict[str, Any] = {"provider": "own", "name": "x"}
    if path.endswith(("/test", "/test-batch")):
        body = {}
    elif path == "/api/provider-nodes/validate":
        body = {"baseUrl": "https://x.example.com"}
    refused_without_rights(served, method, path, None if method in {"GET", "DELETE"} else body)


def test_a_node_of_the_file_is_hidden_and_the_answer_says_how_it_is_had_back(served: Running) -> None:
    status, gone = ask(served, "DELETE", "/api/provider-nodes/spare")
    assert (200, True) == (status, gone["deleted"])
    assert "gatewright overrides --drop providers/spare" in gone["message"]
    assert 404 == ask(served, "GET", "/api/provider-nodes/spare")[0]


def test_a_disabled_connection_is_said_to_be_disabled(served: Running, upstream: Provider) -> None:
    node = {"name": "Off", "prefix": "off", "baseUrl": upstream.url, "local": True}
    assert 201 == ask(served, "POST", "/api/provider-nodes", node)[0]
    assert 201 == ask(served, "POST", "/api/providers", {"provider": "off", "name": "only", "apiKey": CANARY})[0]
    assert 200 == ask(served, "PATCH", "/api/providers/off:only", {"isActive": False})[0]
    body = {"model": "off/one", "messages": [{"role": "user", "content": "hi"}]}
    agreed(lambda: "off/only is disabled" in str(ask(served, "POST", "/v1/chat/completions", body)[1]), True)
    assert 200 == ask(served, "DELETE", "/api/provider-nodes/off")[0]
