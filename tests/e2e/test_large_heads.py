"""Headers that are too large are refused in the client's own words by the real server, and nothing of them stays."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running

ASKED = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
HEADERS = ("x-session-id", "idempotency-key", "x-omniroute-session-id")

DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", ASKED),
    "openai_responses": ("/v1/responses", {"model": "sim/echo", "input": "hi"}),
    "openai_completions": ("/v1/completions", {"model": "sim/echo", "prompt": "hi"}),
    "anthropic_messages": ("/v1/messages", ASKED),
    "gemini": ("/v1beta/models/sim%2Fecho:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
    "ollama_chat": ("/api/chat", ASKED),
    "ollama_generate": ("/api/generate", {"model": "sim/echo", "prompt": "hi"}),
}


def told(dialect: str, body: dict[str, Any]) -> str:
    """What the dialect's clients show of an error."""
    match dialect:
        case "anthropic_messages":
            assert ("error", "invalid_request_error") == (body["type"], body["error"]["type"])
        case "gemini":
            assert (400, "INVALID_ARGUMENT") == (body["error"]["code"], body["error"]["status"])
        case "ollama_chat" | "ollama_generate":
            return str(body["error"])
        case _:
            assert "invalid_request_error" == body["error"]["type"]
    return str(body["error"]["message"])


def post(served: Running, dialect: str, **headers: str) -> httpx.Response:
    path, body = DIALECTS[dialect]
    sent = {"authorization": f"Bearer {served.key}", **headers}
    return httpx.post(served.url + path, json=body, headers=sent, timeout=30)


@pytest.mark.parametrize("size", [70_000, 1_000_000, 1 << 20])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_session_id_of_a_megabyte_is_400_in_the_clients_dialect(served: Running, dialect: str, size: int) -> None:
    reply = post(served, dialect, **{"x-session-id": "s" * size})

    assert 400 == reply.status_code
    assert f"the largest is x-session-id, with {size}" in told(dialect, reply.json())


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("size", [60_000, 1_000_000])
def test_whatever_header_it_is_that_names_too_much(served: Running, header: str, size: int) -> None:
    reply = post(served, "openai_chat", **{header: "s" * size})

    assert 400 == reply.status_code
    assert header in told("openai_chat", reply.json())


def test_it_costs_no_look_at_the_key_and_the_client_can_go_on(served: Running) -> None:
    path, body = DIALECTS["openai_chat"]
    with httpx.Client(base_url=served.url, timeout=30) as client:
        wrong = client.post(path, json=body, headers={"authorization": "Bearer wrong", "session-id": "s" * 900_000})
        right = client.post(path, json=body, headers={"authorization": f"Bearer {served.key}"})

    assert (400, 200) == (wrong.status_code, right.status_code)


def test_operations_of_ours_and_unknown_paths_say_it_as_problems(served: Running) -> None:
    headers = {"authorization": f"Bearer {served.key}", "x-anything": "s" * 1_000_000}
    reply = httpx.get(f"{served.url}/api/resilience", headers=headers, timeout=30)

    assert (400, "x-anything") == (reply.status_code, reply.json()["param"])
    assert 404 == httpx.get(f"{served.url}/nowhere", headers=headers, timeout=30).status_code


def test_beyond_what_can_be_told_the_server_ends_it_and_goes_on(served: Running) -> None:
    """The server stops reading: nobody can make it hold more."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as line:
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-session-id: ")
        sent = 0
        try:
            while sent < 64 << 20:
                line.sendall(b"s" * 65536)
                sent += 65536
        except OSError:
            pass
        answer = _read(line)

    assert sent < 32 << 20
    assert not answer or b" 431 " in answer.split(b"\r\n", 1)[0]
    assert 200 == post(served, "openai_chat").status_code


def test_a_worker_keeps_nothing_of_what_it_refused(served: Running) -> None:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        path, body = DIALECTS["openai_chat"]
        content = json.dumps(body)

        def refused() -> int:
            return client.post(path, content=content, headers={"x-session-id": "s" * 1_000_000}).status_code

        assert {400} == {refused() for _ in range(30)}
        before = _resident_bytes(served)
        assert {400} == {refused() for _ in range(100)}

    assert _resident_bytes(served) - before < 20 << 20


def _read(line: socket.socket) -> bytes:
    try:
        return line.recv(4096)
    except OSError:
        return b""


def _resident_bytes(served: Running) -> int:
    """Of the server and its workers."""
    own = served.process.pid
    found = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return sum(_field(pid, "VmRSS") for pid in (str(own), *found)) << 10


def _field(pid: str, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
