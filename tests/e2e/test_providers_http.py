"""`/v1/providers/<provider>`: one provider's models and nobody else's, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running
from tests.support.vendor import Vendor

HI = [{"role": "user", "content": "hi"}]
PATHS = ("chat/completions", "messages", "completions")


def post(served: Running, path: str, model: str, **more: Any) -> httpx.Response:
    """``path`` is a provider's and what is asked of it."""
    asked = {"prompt": "hi"} if path.partition("/")[2] == "completions" else {"messages": HI}
    headers = {"authorization": f"Bearer {served.key}"}
    body = {"model": model, **asked, "max_tokens": 50, **more}
    return httpx.post(f"{served.url}/v1/providers/{path}", json=body, headers=headers, timeout=30)


@pytest.mark.parametrize("path", PATHS)
def test_a_name_gets_the_providers_prefix(served: Running, upstream: str, behind: Vendor, path: str) -> None:
    reply = post(served, f"{upstream}/{path}", "plain")

    assert reply.status_code == 200, reply.text
    assert reply.json()["model"] == "plain"
    assert reply.headers["x-gatewright-served"] == f"{upstream}/plain"
    assert [one.body["model"] for one in behind.requests] == ["plain"]


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_calls_the_model_as_the_client_did(served: Running, path: str) -> None:
    reply = post(served, f"chatty/{path}", "plain", stream=True)

    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    models = {event.get("model") or event.get("message", {}).get("model") for event in events} - {None}
    assert models == {"plain"}


@pytest.mark.parametrize("path", PATHS)
def test_another_providers_model_is_400_and_an_unknown_provider_404(served: Running, path: str) -> None:
    foreign, unknown = post(served, f"messy/{path}", "sim/echo"), post(served, f"chaty/{path}", "plain")

    assert (foreign.status_code, unknown.status_code) == (400, 404)
    assert "'sim'" in foreign.text
    assert "'messy'" in foreign.text
    assert "did you mean 'chatty'?" in unknown.text


def test_models_are_listed_by_the_providers_own_names(served: Running) -> None:
    headers = {"authorization": f"Bearer {served.key}"}
    listed = httpx.get(f"{served.url}/v1/providers/sim/models", headers=headers, timeout=60).json()["data"]

    assert {"echo", "tools"} <= {one["id"] for one in listed}
    assert not any("/" in one["id"] for one in listed)
