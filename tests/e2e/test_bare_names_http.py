"""Models asked for without their provider: found where one has them, refused in the client's dialect where several do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running, gateway

NARROW, ADMIN, OTHER = (f"gw-a-{word}-key-of-the-tests-0123456789" for word in ("narrow", "broad", "third"))
CONFIG = """version: 1
discovery: {providers: none}
providers:
  sim: {}
  lab:
    base_url: http://127.0.0.1:9/v1
    local: true
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    connections: [{id: main}]
    models: {tools: {}, own: {}, sim/echo: {}}
keys:
  narrow: {key: "${NARROW_KEY}", models: [sim/echo]}
  third: {key: "${THIRD_KEY}", models: [slow, "ech*"]}
  broad: {key: "${ADMIN_KEY}", scopes: [admin]}
aliases: {echoing: echo}
"""
HI = [{"role": "user", "content": "hi"}]
DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": HI}),
    "completions": ("/v1/completions", {"prompt": "hi"}),
    "responses": ("/v1/responses", {"input": "hi"}),
    "messages": ("/v1/messages", {"messages": HI, "max_tokens": 50}),
    "gemini": ("/v1beta/models/{model}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    "ollama": ("/api/chat", {"messages": HI, "stream": False}),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    env = {"NARROW_KEY": NARROW, "ADMIN_KEY": ADMIN, "THIRD_KEY": OTHER}
    with gateway(tmp_path_factory.mktemp("bare"), CONFIG, env) as running:
        yield running


def ask(served: Running, dialect: str, model: str, key: str = ADMIN) -> httpx.Response:
    path, body = DIALECTS[dialect]
    body = body if "{model}" in path else {**body, "model": model}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(served.url + path.format(model=model), json=body, headers=headers, timeout=30)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_name_that_one_provider_has_is_answered_and_called_as_the_client_calls_it(
    served: Running, dialect: str
) -> None:
    reply = ask(served, dialect, "echo")

    assert 200 == reply.status_code, reply.text
    found = reply.json()
    assert "echo" == (found.get("model") or found.get("modelVersion"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_ambiguous_name_is_refused_in_the_clients_dialect_with_what_it_may_mean(
    served: Running, dialect: str
) -> None:
    reply = ask(served, dialect, "tools")

    assert 400 == reply.status_code
    fault: Any = reply.json()["error"]
    message = fault if dialect == "ollama" else fault["message"]
    assert "the model name 'tools' is ambiguous; write one of lab/tools, sim/tools" in message
    if dialect in {"chat", "completions", "responses"}:
        assert ("model", "ambiguous_model") == (fault["param"], fault["code"])
    elif dialect == "messages":
        assert "invalid_request_error" == fault["type"]
    elif dialect == "gemini":
        assert "INVALID_ARGUMENT" == fault["status"]


def test_a_key_is_judged_by_the_model_that_the_name_stands_for(served: Running) -> None:
    assert 200 == ask(served, "chat", "echo", NARROW).status_code
    assert 403 == ask(served, "chat", "slow", NARROW).status_code
    assert 403 == ask(served, "chat", "tools", NARROW).status_code, "a key is not told what it may not use"


def test_a_bare_name_of_a_key_is_the_model_it_stands_for_and_its_patterns_are_of_public_names(served: Running) -> None:
    assert 200 == ask(served, "chat", "slow", OTHER).status_code
    assert 200 == ask(served, "chat", "sim/slow", OTHER).status_code
    assert 200 == ask(served, "chat", "echoing", OTHER).status_code
    assert 403 == ask(served, "chat", "echo", OTHER).status_code, "no public name that fits `ech*`"


def test_a_key_that_was_made_at_run_time_is_judged_alike(served: Running) -> None:
    root = {"authorization": f"Bearer {ADMIN}"}
    made = httpx.post(
        served.url + "/api/keys", json={"name": "one", "allowedModels": ["echo"]}, headers=root, timeout=60
    ).json()

    assert 200 == ask(served, "messages", "echo", made["key"]).status_code
    assert 200 == ask(served, "messages", "sim/echo", made["key"]).status_code
    assert 403 == ask(served, "messages", "slow", made["key"]).status_code


def test_a_provider_before_the_slash_wins_over_another_ones_model_of_that_name(served: Running) -> None:
    assert 200 == ask(served, "chat", "sim/echo").status_code


def test_lists_hold_public_ids_and_one_model_is_found_by_its_bare_name(served: Running) -> None:
    root = {"authorization": f"Bearer {ADMIN}"}
    listed = {each["id"] for each in httpx.get(served.url + "/v1/models", headers=root, timeout=60).json()["data"]}

    assert {"sim/echo", "lab/own", "echoing"} <= listed
    assert not {"echo", "own", "tools"} & listed
    assert "sim/echo" == httpx.get(served.url + "/v1/models/echo", headers=root, timeout=60).json()["id"]
    assert 400 == httpx.get(served.url + "/v1/models/tools", headers=root, timeout=60).status_code
    asked = httpx.post(served.url + "/api/models/availability", json={"model": "own"}, headers=root, timeout=60)
    assert ("lab/own", True) == (asked.json()["model"], asked.json()["available"])


def test_the_reasons_say_what_the_name_stood_for(served: Running) -> None:
    root = {"authorization": f"Bearer {ADMIN}"}
    decision = ask(served, "chat", "echo").headers["x-gatewright-decision"]

    reasons = httpx.get(f"{served.url}/api/explain/{decision}", headers=root, timeout=60).json()["reasons"]

    assert "echo is a bare name of sim/echo" in [each["text"] for each in reasons]
