"""A gateway that is managed over HTTP: its keys, how it is asked, and what everybody is refused."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.support.gateway import Running

__all__ = ["ADMIN", "CLIENT", "OTHER", "VIEWER", "agreed", "ask", "chat", "managed_config", "refused_without_rights"]

ADMIN = "gw-an-admin-of-the-tests-0123456789"
VIEWER = "gw-a-viewer-of-the-tests-0123456789"
CLIENT = "gw-a-client-of-the-tests-0123456789"
LONG_S = 30.0
OTHER = "gw-an-admin-of-another-tenant-012345"


def managed_config(config: str, workers: int = 2) -> tuple[str, dict[str, str]]:
    """A gateway.yaml with ``config`` and the keys of these tests, and the environment it needs."""
    text = f"""version: 1
discovery: {{providers: none}}
server: {{workers: {workers}}}
providers: {{sim: {{}}}}
tenants: {{other: {{}}}}
keys:
  root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}
  viewer: {{key: "${{VIEWER_KEY}}", scopes: [view]}}
  client: {{key: "${{CLIENT_KEY}}", scopes: [chat]}}
  other: {{key: "${{OTHER_KEY}}", scopes: [admin], tenant: other}}
"""
    for section in ("providers", "server"):
        if f"\n{section}:" in f"\n{config}":
            text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{section}:"))
    return text + config, {"ADMIN_KEY": ADMIN, "VIEWER_KEY": VIEWER, "CLIENT_KEY": CLIENT, "OTHER_KEY": OTHER}


def ask(served: Running, method: str, path: str, body: object = None, key: str | None = ADMIN) -> tuple[int, Any]:
    """Status and JSON of one call, over a line of its own, so that any worker may answer."""
    headers = {"content-type": "application/json", "connection": "close"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{served.url}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def chat(served: Running, model: str, text: str = "hi") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return ask(served, "POST", "/v1/chat/completions", body, CLIENT)[0]


def agreed(asked: Callable[[], object], wanted: object) -> None:
    """Every worker comes to answer ``wanted``, and goes on doing so: soon, or later where the machine has much to do."""
    deadline_s = time.monotonic() + LONG_S
    while (other := next((found for _ in range(12) if (found := asked()) != wanted), wanted)) != wanted:
        assert time.monotonic() < deadline_s, other
        time.sleep(0.1)


def refused_without_rights(served: Running, method: str, path: str, body: object = None) -> None:
    """Nobody, a key without the scope and another tenant's admin get no answer."""
    assert 401 == ask(served, method, path, body, key=None)[0]
    assert 401 == ask(served, method, path, body, key="gw-nobody")[0]
    assert 403 == ask(served, method, path, body, key=CLIENT)[0]
    assert ask(served, method, path, body, key=OTHER)[0] in {403, 404}
