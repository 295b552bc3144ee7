"""A configuration that is managed in files only: it is shown and tried over HTTP, and not changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gateway import Running, gateway
from tests.support.managing import ask, managed_config

CONFIG = """
server: {management: read_only}
providers: {sim: {}}
combos: {one: {targets: [sim/echo]}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, env = managed_config(CONFIG)
    with gateway(tmp_path_factory.mktemp("read-only"), config, env) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/combos", {"name": "x", "models": ["sim/echo"]}),
        ("PUT", "/api/combos/one", {"strategy": "random"}),
        ("DELETE", "/api/combos/one", None),
        ("PUT", "/api/models/alias", {"alias": "x", "model": "sim/echo"}),
        ("POST", "/api/providers", {"provider": "openai", "name": "x", "apiKey": "sk-0123456789abcdef"}),
        ("POST", "/api/provider-nodes", {"name": "n", "prefix": "n", "baseUrl": "https://n.example.com/v1"}),
        ("POST", "/api/provider-models", {"provider": "sim", "modelId": "echo", "isHidden": True}),
        ("PATCH", "/api/pricing", {"sim": {"echo": {"input": 1, "output": 1}}}),
        ("POST", "/api/policies", {"name": "x", "settings": {}}),
        ("PATCH", "/api/settings", {"requests": {"max_prompts": 3}}),
        ("PUT", "/api/settings/system-prompt", {"prompt": "x"}),
        ("PUT", "/api/settings/proxy", {"global": None}),
        ("PUT", "/api/settings/require-login", {"password": "a long password of the tests"}),
    ],
)
def test_nothing_is_changed(served: Running, method: str, path: str, body: Any) -> None:
    status, problem = ask(served, method, path, body)
    assert (403, True) == (status, "read_only" in problem["detail"])


def test_all_of_it_is_shown_and_tried(served: Running) -> None:
    shown = ["combos", "models/alias", "models/catalog", "providers", "provider-nodes", "provider-models", "pricing",
             "policies", "settings", "settings/system-prompt", "settings/thinking-budget", "settings/proxy"]  # fmt: skip
    assert {200} == {ask(served, "GET", f"/api/{path}")[0] for path in shown}
    assert 200 == ask(served, "POST", "/api/combos/one/test", {"live": True})[0]
    assert 200 == ask(served, "POST", "/api/providers/sim:default/test", {})[0]
    assert 200 == ask(served, "POST", "/api/providers/test-batch", {})[0]
    assert 200 == ask(served, "PUT", "/api/db-backups")[0]
    assert 200 == ask(served, "DELETE", "/api/db-backups", {"keepLatest": 3})[0]
    sent = {"baseUrl": "http://127.0.0.1:9/v1", "local": True}
    assert 200 == ask(served, "POST", "/api/provider-nodes/validate", sent)[0]
