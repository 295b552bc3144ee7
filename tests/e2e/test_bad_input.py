"""What a client gets wrong: the vendor's own envelope, the parameter named, and the server goes on."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running

CHAT = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {**CHAT, "max_tokens": 50}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def post(served: Running, dialect: str, content: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        served.url + PATHS[dialect],
        content=content,
        headers={"authorization": f"Bearer {served.key}", **headers},
        timeout=30,
    )


def error(reply: httpx.Response, dialect: str) -> dict[str, Any]:
    body = reply.json()
    if dialect == "anthropic":
        assert body["type"] == "error"
        assert body["request_id"] == reply.headers["request-id"]
    else:
        assert {"message", "type", "param", "code"} == set(body["error"])
    found: dict[str, Any] = body["error"]
    return found


@pytest.fixture(autouse=True)
def _server_goes_on(served: Running) -> Any:
    yield
    assert post(served, "openai", json.dumps(CHAT).encode()).status_code == 200


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b'{"model": "sim/echo", "messages": [}', "JSON"),
        (b"[]", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
        (b'{"model": "sim/echo\xff"}', "UTF-8"),
        (b'{"messages": []}', "model"),
        (b'{"model": 5, "messages": []}', "model"),
        (b'{"model": "", "messages": []}', "model"),
        (b'{"model": "sim/echo", "stream": "yes", "messages": []}', "stream"),
        (b'{"model":"sim/echo","messages":' + b"[" * 5000 + b"]" * 5000 + b"}", "nest"),
    ],
)
def test_body_that_cannot_be_read_is_400_and_says_why(served: Running, dialect: str, content: bytes, word: str) -> None:
    reply = post(served, dialect, content)

    assert reply.status_code == 400
    assert word in error(reply, dialect)["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"no_such_field": 1}, "no_such_field"),
    ],
)
def test_wrong_field_is_named_to_openai_clients(served: Running, change: dict[str, Any], param: str) -> None:
    """The simulated provider is as strict as the vendor; what is passed on to it is refused by it."""
    reply = post(served, "openai", json.dumps(CHAT | change).encode())

    assert reply.status_code == 400
    assert param == error(reply, "openai")["param"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tools": [{"name": 5}]}, "tools.0.name"),
    ],
)
def test_wrong_field_is_named_to_anthropic_clients(served: Running, change: dict[str, Any], param: str) -> None:
    reply = post(served, "anthropic", json.dumps(MESSAGES | change).encode())

    assert reply.status_code == 400
    assert error(reply, "anthropic")["message"].startswith(f"{param}:")


def test_unknown_field_is_named_when_a_translation_drops_it(served: Running) -> None:
    reply = post(served, "anthropic", json.dumps(MESSAGES | {"no_such_field": 1}).encode())

    assert reply.status_code == 200
    assert "no_such_field" in reply.headers["x-gatewright-dropped"]


@pytest.mark.parametrize("dialect", PATHS)
def test_body_over_the_limit_is_413(served: Running, dialect: str) -> None:
    reply = post(served, dialect, b'{"model":"sim/echo","x":"' + b"a" * (33 << 20) + b'"}')

    assert reply.status_code == 413
    assert error(reply, dialect)["type"] == ("request_too_large" if dialect == "anthropic" else "invalid_request_error")


@pytest.mark.parametrize("dialect", PATHS)
def test_body_of_twenty_megabytes_is_read_and_answered(served: Running, dialect: str) -> None:
    content = json.dumps(MESSAGES | {"messages": [{"role": "user", "content": "a" * (20 << 20)}]}).encode()

    reply = post(served, dialect, content)

    assert reply.status_code in (200, 400)  # it may be too long for the model, never too large for the gateway
    assert reply.status_code == 200 or "context" in reply.text or "long" in reply.text


def test_compressed_body_is_read_and_a_bomb_is_413(served: Running) -> None:
    small = post(served, "openai", gzip.compress(json.dumps(CHAT).encode()), **{"content-encoding": "gzip"})
    bomb = post(served, "openai", gzip.compress(b" " * (200 << 20)), **{"content-encoding": "gzip"})

    assert (small.status_code, bomb.status_code) == (200, 413)


@pytest.mark.parametrize("dialect", PATHS)
def test_no_key_and_wrong_method_and_unknown_path(served: Running, dialect: str) -> None:
    url = served.url + PATHS[dialect]

    keyless = httpx.post(url, json=CHAT, timeout=60)
    wrong_method = httpx.put(url, json=CHAT, timeout=60)
    unknown = httpx.post(
        f"{served.url}/v1/no/such/path",
        json=CHAT,
        headers={"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {},
        timeout=60,
    )

    assert [401, 405, 404] == [keyless.status_code, wrong_method.status_code, unknown.status_code]
    for reply in (keyless, wrong_method, unknown):
        error(reply, dialect)
    assert "POST" in wrong_method.headers["allow"]


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", "/v1/v1"])
@pytest.mark.parametrize(
    "where",
    [("authorization", "Bearer {}"), ("x-api-key", "{}"), ("x-goog-api-key", "{}"), ("api-key", "{}"), ("?key=", "{}")],
)
def test_every_prefix_and_every_place_for_a_key(served: Running, prefix: str, where: tuple[str, str]) -> None:
    name, form = where
    value = form.format(served.key)
    query, headers = ({"key": value}, {}) if name == "?key=" else ({}, {name: value})

    reply = httpx.post(f"{served.url}{prefix}/chat/completions", json=CHAT, params=query, headers=headers, timeout=60)

    assert reply.status_code == 200


def test_a_connection_that_begins_with_http_2_is_closed(served: Running) -> None:
    """Some clients and proxies begin with it unasked; they must not wait for an answer in it. The server says nothing, which they take for that."""
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as line:
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
        answer = b""
        while data := line.recv(4096):
            answer += data
    assert answer == b""
