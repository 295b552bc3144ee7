"""Calls that our OpenAPI document allows, and some that it does not, against a running gateway; and what it says of answers."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.document import DOCUMENT
from tests.support.gateway import Running
from tests.support.managing import ADMIN

__all__ = ["CONFIG", "ENDS", "LIKE", "THERE", "WHOLE", "Tried", "documented", "tried", "varied", "wrong_answers"]

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

LIKE: Final = {
    "callResource": "callModel",
    "countMessageTokens": "createMessage",
    "countResponseInputTokens": "createResponse",
    "createProviderChatCompletion": "createChatCompletion",
    "createProviderCompletion": "createCompletion",
    "createProviderEmbeddings": "createEmbeddings",
    "createProviderMessage": "createMessage",
    "createProviderResponse": "createResponse",
}
"""Operations whose bodies are read as those of another: what may stand there takes seconds to draw, and is drawn there."""

ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

Tried = Any
"""An operation as schemathesis has it. What comes of schemathesis is imported where it is used: every worker collects tests
that ask this module, and one or two of them ask schemathesis."""


@cache
def _checks() -> list[Any]:
    from schemathesis.specs.openapi import checks

    return [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]


@cache
def tried() -> dict[str, Tried]:
    """The operations by their ids. The key is ours to send, and a piece of gateway.yaml may be any JSON."""
    import schemathesis

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


def documented(
    running: Running, name: str, key: str | None, body: object = None, **named: Mapping[str, object]
) -> tuple[int, Any]:
    """Status and JSON of one call of the operation ``name``, after a look whether the document has such an answer.

    ``named`` are its parameters: `path_parameters`, `query`.
    """
    given = {} if body is None else {"body": body, "media_type": "application/json"}
    case = tried()[name].Case(**named, **given)
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    answer = case.call(base_url=running.url, headers=headers, timeout=60)
    case.validate_response(answer, checks=_checks())
    return answer.status_code, answer.json()


def varied(name: str) -> bool:
    """Whether calls of the operation ``name`` differ, and otherwise than those of another do."""
    operation = tried()[name]
    said = operation.path_parameters or operation.query or operation.headers or operation.cookies or operation.body
    return bool(said) and name not in LIKE


def wrong_answers(running: Running, name: str, examples: int) -> list[str]:
    """What is wrong with the answers to so many calls of each kind of the operation ``name``; the shortest complaints."""
    from schemathesis import GenerationMode

    operation = tried()[name]
    complaints: list[str] = []
    with requests.Session() as session:
        session.trust_env = False
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode == GenerationMode.NEGATIVE and not (operation.query or operation.body or operation.headers):
                continue  # nothing about it could be wrong
            _call(running, session, operation.as_strategy(generation_mode=mode), examples, complaints.append)
        if name in WHOLE:
            _call(running, session, _meant(operation, WHOLE[name]), examples, complaints.append)
    return sorted(complaints, key=len)[:3]


def _meant(operation: Tried, whole: Mapping[str, Any]) -> st.SearchStrategy[Tried]:
    """Calls with ``whole`` for a body, as it is and with a part of it drawn anew."""
    named = {one.name: THERE.get(one.name, "drawn") for one in operation.path_parameters}
    replaced = st.dictionaries(st.sampled_from(sorted(whole)), ANY_JSON, max_size=1)
    return replaced.map(
        lambda drawn: operation.Case(path_parameters=named, body={**whole, **drawn}, media_type="application/json")
    )


def _call(
    running: Running,
    session: requests.Session,
    cases: st.SearchStrategy[Any],
    examples: int,
    complain: Callable[[str], None],
) -> None:
    from schemathesis.core.failures import FailureGroup

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=cases, there=st.booleans())
    def call(case: Any, there: bool) -> None:
        if there and case.path_parameters:
            case.path_parameters |= {name: THERE[name] for name in case.path_parameters if name in THERE}
        answer = case.call(base_url=running.url, headers={"x-api-key": ADMIN}, timeout=60, session=session)
        if answer.status_code == 500:
            complain(f"500 {case.as_curl_command()} {answer.text}")
        try:
            case.validate_response(answer, checks=_checks())
        except FailureGroup as failure:
            complain(f"{answer.status_code} {failure}")

    call()
