"""Ollama's API over HTTP: what its clients and the tools that probe for it send, and what they read."""

from __future__ import annotations

import http.client
import json
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running

HI = [{"role": "user", "content": "hi"}]
SAID = "This is Gatewright's simulated provider; no model was asked. You said: hi"


def post(served: Running, path: str, body: object, *, key: str | None = "", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    credential = {} if key is None else {"authorization": f"Bearer {key or served.key}"}
    return httpx.post(served.url + path, content=content, headers={**credential, **headers}, timeout=30)


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.content.endswith(b"\n")
    return [json.loads(line) for line in reply.text.splitlines()]


@pytest.mark.parametrize("root", ["", "/v1", "/api/v1"])
def test_chat_comes_whole_or_as_lines_of_which_the_last_is_done(served: Running, root: str) -> None:
    whole = post(served, f"{root}/api/chat", {"model": "sim/echo", "messages": HI, "stream": False})
    pieces = post(served, f"{root}/api/chat", {"model": "sim/echo", "messages": HI, "tools": [], "options": {}})

    assert whole.json()["message"]["content"] == SAID
    assert pieces.headers["content-type"] == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines(pieces)) == SAID
    assert [line["done"] for line in lines(pieces)].index(True) == len(lines(pieces)) - 1


def test_generate_comes_whole_or_as_lines(served: Running) -> None:
    whole = post(served, "/api/generate", {"model": "sim/echo", "prompt": "hi", "stream": False})
    pieces = post(served, "/api/generate", {"model": "sim/echo", "prompt": "hi"})

    assert whole.json()["response"] == SAID
    assert "".join(line["response"] for line in lines(pieces)) == SAID


def test_a_call_of_a_tool_has_its_arguments_as_an_object(served: Running) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}}]  # fmt: skip
    reply = post(served, "/api/chat", {"model": "sim/tools", "messages": HI, "tools": tools, "stream": False})

    call = reply.json()["message"]["tool_calls"][0]["function"]
    assert call["name"] == "look"
    assert isinstance(call["arguments"], dict)


@pytest.mark.parametrize("path", ["/", "/v1", "/api/hello", "/api/version"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_succeeds_without_a_key(served: Running, method: str, path: str) -> None:
    reply = httpx.request(method, served.url + path, timeout=30)

    assert reply.status_code == 200
    assert int(reply.headers["content-length"]) > 0


def test_the_bare_address_says_what_each_client_looks_for(served: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)  # sends no `accept` by itself
    connection.request("GET", "/")
    bare = connection.getresponse()
    said = bare.read()
    connection.close()

    assert said == b"Ollama is running"
    assert bare.headers["content-type"] == "text/plain; charset=utf-8"
    assert httpx.get(served.url, headers={"accept": "application/json"}, timeout=60).json()["name"] == "Gatewright"


def test_models_are_listed_and_shown(served: Running) -> None:
    headers = {"authorization": f"Bearer {served.key}"}
    listed = httpx.get(f"{served.url}/api/tags", headers=headers, timeout=60).json()["models"]
    shown = post(served, "/api/show", {"model": "sim/tools:latest"}).json()

    assert {"quick", "sim/echo"} <= {one["name"] for one in listed}
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"]["gatewright.context_length"] == 200000


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/chat", {"model": "nope", "messages": HI}, 404),
        ("/api/generate", {"model": "nope", "prompt": "hi"}, 404),
        ("/api/show", {"model": "nope"}, 404),
        ("/api/chat", b"{", 400),
        ("/api/chat", {"model": "sim/echo", "messages": "hi"}, 400),
        ("/api/chat", {"model": "sim/error", "messages": [{"role": "user", "content": "error 429"}]}, 429),
        ("/api/pull", {"model": "x"}, 404),
    ],
)
def test_a_failure_is_a_status_and_one_text(served: Running, path: str, body: object, status: int) -> None:
    reply = post(served, path, body)

    assert reply.status_code == status, reply.text
    assert {"error"} == set(reply.json())
    assert isinstance(reply.json()["error"], str)


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show"])
def test_a_call_without_a_key_is_refused_in_one_text(served: Running, path: str) -> None:
    reply = post(served, path, {"model": "sim/echo"}, key=None)

    assert reply.status_code == 401
    assert isinstance(reply.json()["error"], str)


def test_a_stream_that_breaks_ends_with_an_error_and_not_with_done(served: Running) -> None:
    reply = post(served, "/api/chat", {"model": "chatty/mid-error", "messages": HI})

    last = lines(reply)[-1]
    assert isinstance(last["error"], str)
    assert not any(line.get("done") for line in lines(reply))
