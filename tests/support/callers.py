"""Clients of every dialect, as few words as a test needs; for what the gateway itself answers, refusals above all."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.gateway import Running

__all__ = ["CALLERS", "Reply", "ask", "manage", "said", "send"]

_CHAT = {"messages": [{"role": "user", "content": "one two three four"}]}

CALLERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", {**_CHAT, "max_tokens": 20}),
    "openai_responses": ("/v1/responses", {"input": "one two three four", "max_output_tokens": 20, "store": False}),
    "anthropic_messages": ("/v1/messages", {**_CHAT, "max_tokens": 20}),
    "gemini": (
        "/v1beta/models/{model}:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "one two"}]}]},
    ),
    "ollama_chat": ("/api/chat", {**_CHAT, "stream": False}),
}
"""The path, and a body without the model."""


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def id(self) -> str:
        return self.headers.get("x-request-id") or self.headers["request-id"]


def ask(
    running: Running, dialect: str = "openai_chat", model: str = "sim/echo", key: str | None = None, **fields: Any
) -> Reply:
    """One call over a connection of its own, so that any worker may get it. ``fields`` are added to the body."""
    path, body = CALLERS[dialect]
    if fields.get("stream") and dialect == "gemini":
        raise ValueError("it says so in its path")
    asked = {**body, **fields} if dialect == "gemini" else {**body, "model": model, **fields}
    return send(running, "POST", path.format(model=model), asked, key=key)


def manage(running: Running, method: str, path: str, body: Any = None, *, key: str, **headers: str) -> Reply:
    """One operation of the management API."""
    return send(running, method, path, body, key=key, headers=headers)


def send(
    running: Running,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    limit_s: float = 60,
) -> Reply:
    """``body`` as JSON to ``path``; ``key`` the data directory's own unless given. Raises OSError where nobody answers."""
    sent = {"authorization": f"Bearer {running.key if key is None else key}", "connection": "close", **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        sent["content-type"] = "application/json"
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=limit_s)
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def said(dialect: str, reply: Reply) -> str:
    """The message of a refusal, which must have the dialect's own form."""
    body = reply.body
    if dialect == "ollama_chat":
        return str(body["error"])
    error = body["error"]
    if dialect == "anthropic_messages":
        assert "error" == body["type"]
        assert {"type", "message"} <= error.keys()
    elif dialect == "gemini":
        assert (reply.status, True) == (error["code"], error["status"].isupper())
    else:
        assert {"message", "type", "code", "param"} <= error.keys()
    return str(error["message"])
