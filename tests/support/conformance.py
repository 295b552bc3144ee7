"""Calls that our OpenAPI document allows, and some that it does not, against a running gateway; and what it says of answers."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.document import DOCUMENT
from tests.support.gateway import Running
from tests.support.managing import ADMIN

__all__ = ["CONFIG", "ENDS", "THERE", "TRIED", "WHOLE", "Tried", "documented", "wrong_answers"]

CONFIG: Final = """combos: {pair: {targets: [sim/echo, sim/tools]}}
aliases: {quick: sim/echo}
policies: {fair: {limits: [{requests: 1000000, per: 1m}]}}
"""
ENDS: Final = {
    "restart": "ends the workers that answer the other calls",
    "shutdown": "ends the gateway",
    "restoreBackup": "puts another store in the place of the one that the other calls are about",
    "importDatabase": "the same",
}
"""Operations that end what the others need; they are called by tests of their own."""

THERE: Final = {
    "combo_id": "pair",
    "connection_id": "sim",
    "key_id": "viewer",
    "model_id": "sim/echo",
    "node_id": "sim",
    "policy_id": "fair",
    "provider": "sim",
    "resource": "models",
}
"""Names of things that are there, for paths."""

WHOLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "createKey": {"name": "a", "scopes": ["chat"], "budget": 5, "expiresAt": "2099-01-01T00:00:00Z"},
    "changeKey": {"name": "a", "isActive": True},
    "setBudget": {"apiKeyId": "viewer", "dailyLimitUsd": 1},
    "createCombo": {"name": "drawn", "models": ["sim/echo", "sim/tools"], "strategy": "priority"},
    "changeCombo": {"models": ["sim/echo"]},
    "createConnection": {"provider": "openai", "name": "drawn", "apiKey": "sk-drawn", "priority": 1},
    "changeConnection": {"name": "drawn", "isActive": True},
    "patchConnection": {"priority": 2},
    "validateConnection": {"provider": "sim", "apiKey": "sk-drawn"},
    "createNode": {"name": "drawn", "prefix": "drawn", "baseUrl": "http://127.0.0.1:9/v1", "apiType": "chat"},
    "changeNode": {"name": "drawn", "baseUrl": "http://127.0.0.1:9/v1"},
    "createPolicy": {"name": "drawn", "settings": {"limits": [{"requests": 1000000, "per": "1m"}]}},
    "changePolicy": {"settings": {"limits": [{"requests": 1000000, "per": "1m"}]}},
    "addServedModel": {"provider": "sim", "modelId": "drawn", "name": "Drawn"},
    "setServedModel": {"provider": "sim", "modelId": "drawn", "name": "Drawn"},
    "patchServedModel": {"provider": "sim", "modelId": "drawn", "name": "Drawn"},
    "changePricing": {"sim": {"echo": {"input": 1, "output": 2}}},
    "setSettings": {"requests": {"default_max_tokens": 100}},
    "changeSettings": {"requests": {"default_max_tokens": 100}},
    "setSystemPrompt": {"enabled": True, "prompt": "be brief"},
    "setThinkingBudget": {"mode": "custom", "customBudget": 1000},
    "setProxies": {"level": "global", "proxy": {"type": "http", "host": "127.0.0.1", "port": 9}},
    "testProxy": {"proxy": {"type": "http", "host": "127.0.0.1", "port": 9}},
    "changeResilience": {"retries": {"per_target": 1}},
    "createChatCompletion": {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]},
    "createMessage": {"model": "sim/echo", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
    "createResponse": {"model": "sim/echo", "input": "hi"},
    "createCompletion": {"model": "sim/echo", "prompt": "hi"},
    "ollamaChat": {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], "stream": False},
    "ollamaGenerate": {"model": "sim/echo", "prompt": "hi", "stream": False},
}
"""Bodies that mean something, where a schema says little of what they may hold; parts of them are drawn anew."""

ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

Tried = Any
"""An operation as schemathesis has it."""


def _tried() -> dict[str, Tried]:
    """The operations by their ids. The key is ours to send, and a piece of gateway.yaml may be any JSON."""
    document = copy.deepcopy(DOCUMENT)
    del document["components"]["securitySchemes"]
    for item in document["paths"].values():
        for said in item.values():
            if isinstance(said, dict):
                said.pop("security", None)
    for name in document["components"]["schemas"]:
        if re.fullmatch(r"values\.Value\d*", name):
            document["components"]["schemas"][name] = {}
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    return {one.definition.raw["operationId"]: one for one in found}


TRIED: Final = _tried()


def documented(
    running: Running, name: str, key: str | None, body: object = None, **named: Mapping[str, object]
) -> tuple[int, Any]:
    """Status and JSON of one call of the operation ``name``, after a look whether the document has such an answer.

    ``named`` are its parameters: `path_parameters`, `query`.
    """
    given = {} if body is None else {"body": body, "media_type": "application/json"}
    case = TRIED[name].Case(**named, **given)
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    answer = case.call(base_url=running.url, headers=headers, timeout=60)
    case.validate_response(answer, checks=CHECKS)
    return answer.status_code, answer.json()


def wrong_answers(running: Running, name: str, examples: int) -> list[str]:
    """What is wrong with the answers to so many calls of the operation ``name``; the shortest complaints."""
    operation = TRIED[name]
    complaints: list[str] = []
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode == GenerationMode.NEGATIVE and not (operation.query or operation.body or operation.headers):
            continue  # nothing about it could be wrong
        _drawn(running, operation, operation.as_strategy(generation_mode=mode), examples, complaints.append)
    return sorted(complaints, key=len)[:3]


def _drawn(running: Running, operation: Tried, cases: Any, examples: int, complain: Callable[[str], None]) -> None:
    whole = WHOLE.get(operation.definition.raw["operationId"])

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=cases, there=st.booleans(), meant=st.booleans(), data=st.data())
    def call(case: Any, there: bool, meant: bool, data: st.DataObject) -> None:
        if there and case.path_parameters:
            case.path_parameters |= {name: THERE[name] for name in case.path_parameters if name in THERE}
        if meant and whole is not None:
            replaced = data.draw(st.dictionaries(st.sampled_from(sorted(whole)), ANY_JSON, max_size=1))
            case.body = {**whole, **replaced}
            case.media_type = "application/json"
        answer = case.call(base_url=running.url, headers={"x-api-key": ADMIN}, timeout=30)
        if answer.status_code == 500:
            complain(f"500 {case.as_curl_command()} {answer.text}")
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failure:
            complain(f"{answer.status_code} {failure}")

    call()
