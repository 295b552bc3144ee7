"""A body that breaks off, of a client that still listens: the real server says of it what it says of one that left."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse

import pytest

from tests.support.asking import ADMIN, KEYS
from tests.support.gateway import Running, gateway

ERRORS: Mapping[str, str] = {
    "/v1/chat/completions": "openai",
    "/v1/completions": "openai",
    "/v1/embeddings": "openai",
    "/v1/responses": "openai",
    "/v1/responses/input_tokens": "openai",
    "/v1/messages": "anthropic",
    "/v1/messages/count_tokens": "anthropic",
    "/v1beta/models/sim/echo:generateContent": "gemini",
    "/v1beta/models/sim/echo:streamGenerateContent": "gemini",
    "/v1beta/models/sim/echo:countTokens": "gemini",
    "/api/chat": "ollama",
    "/api/generate": "ollama",
    "/api/embed": "ollama",
    "/api/auth/login": "problem",
    "/api/keys": "problem",
    "/api/combos": "problem",
}
CONFIG = """version: 1
discovery: {providers: none}
providers: {sim: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin, chat, view]}
"""
LENGTH = b"content-length: 100\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("gateway"), CONFIG, KEYS) as running:
        yield running


def answer(served: Running, path: str, rest: bytes, *, leaves: bool, id_: str) -> tuple[int, str, bytes]:
    """``rest`` follows the head; ``leaves``: the client sends no more, and says so."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\n"
        f"x-request-id: {id_}\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(head.encode() + rest)
        if leaves:
            connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection, method="POST")
        response.begin()
        return response.status, response.headers.get("content-type", ""), response.read()


def told(dialect: str, raw: bytes) -> str:
    """What clients of ``dialect`` show."""
    body = json.loads(raw)
    match dialect:
        case "problem":
            assert ("invalid_request", 400) == (body["kind"], body["status"])
            return str(body["detail"])
        case "ollama":
            return str(body["error"])
        case "gemini":
            assert (400, "INVALID_ARGUMENT") == (body["error"]["code"], body["error"]["status"])
        case "anthropic":
            assert ("error", "invalid_request_error") == (body["type"], body["error"]["type"])
        case _:
            assert ("invalid_request_error", "incomplete_body") == (body["error"]["type"], body["error"]["code"])
    return str(body["error"]["message"])


@pytest.mark.parametrize(
    ("rest", "leaves"),
    [
        (CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n", False),
        (CHUNKED + b'5\r\n{"mod', True),
        (LENGTH + b'{"model": "sim/echo", ', True),
        (LENGTH, True),
    ],
    ids=["a chunk of no length", "a chunk that is cut", "half of it", "nothing of it"],
)
@pytest.mark.parametrize("path", ERRORS)
def test_a_body_that_breaks_off_is_told_in_the_clients_dialect(
    served: Running, path: str, rest: bytes, leaves: bool
) -> None:
    id_ = f"broken-{uuid.uuid4().hex}"
    status, content_type, raw = answer(served, path, rest, leaves=leaves, id_=id_)

    assert (400, True) == (status, "json" in content_type), raw
    assert "ended before it was complete" in told(ERRORS[path], raw)
    assert "call_failed_inside" not in served.log
    if ERRORS[path] != "problem":
        record = json.loads(served.logged(id_)[0])
        assert ("error", "invalid_request", 400) == (record["outcome"], record["error"], record["status"])
