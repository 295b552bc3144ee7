"""A gateway whose keys, tenants, combos and policies have limits, and asking it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.gateway import Running, gateway

KEYS = {
    name: f"gw-{name}-of-the-tests-0123456789"
    for name in (
        "root",
        "minute",
        "tokens",
        "one",
        "poor",
        "acme",
        "anna",
        "free",
        "walled",
        "tight",
        "parallel",
        "unlucky",
    )
}
ROOT = KEYS["root"]
SECRETS = {f"KEY_{name.upper()}": key for name, key in KEYS.items()}
CONFIG = """version: 1
discovery: {providers: none}
providers:
  sim:
    models:
      echo: {prices: {input: "1000", output: "2000", source: test, date: "2026-11-01"}}
      thinking: {max_output: 20}
      slow: {prices: {input: "1000", output: "2000", source: test, date: "2026-11-01"}}
  blank:
    base_url: http://127.0.0.1:9
    local: true
    surfaces: {openai_chat: {}, openai_embeddings: {}}
    auth: {scheme: none}
    models: {free: {}, vectors: {endpoint: embeddings}}
tenants:
  acme: {name: Acme Ltd, limits: [{requests: 3, per: 1h}]}
combos:
  smart: {targets: [sim/echo], limits: [{requests: 1, per: 1h}]}
keys:
  root: {key: "${KEY_ROOT}", scopes: [admin]}
  minute: {key: "${KEY_MINUTE}", limits: [{requests: 2, per: 1h}, {tokens: 100000, per: 1h}]}
  tokens: {key: "${KEY_TOKENS}", limits: [{tokens: 400, per: 1h}]}
  one: {key: "${KEY_ONE}", limits: [{concurrency: 1}]}
  poor: {key: "${KEY_POOR}", limits: [{usd: "0.01", per: month}]}
  acme: {key: "${KEY_ACME}", tenant: acme}
  anna: {key: "${KEY_ANNA}", tenant: acme, scopes: [admin]}
  free: {key: "${KEY_FREE}"}
  walled: {key: "${KEY_WALLED}"}
  tight: {key: "${KEY_TIGHT}", limits: [{tokens: 2000, per: 1h}]}
  parallel: {key: "${KEY_PARALLEL}"}
  unlucky: {key: "${KEY_UNLUCKY}", limits: [{requests: 2, per: 1h}, {tokens: 3000, per: 1h}]}
policies:
  wall: {keys: [walled], allowed_models: [sim/tools]}
  few: {keys: [parallel], models: ["sim/e*"], limits: [{requests: 1, per: 1h}]}
"""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@contextmanager
def limited(folder: Path) -> Generator[Running]:
    """A gateway with such keys, tenants and policies."""
    with gateway(folder, CONFIG, SECRETS) as running:
        yield running


def ask(
    served: Running,
    method: str,
    path: str,
    body: object = None,
    key: str = ROOT,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    at = urlsplit(served.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    try:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json", **more}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode())
    finally:
        connection.close()


def chat(served: Running, key: str, model: str = "sim/echo", **more: object) -> Answer:
    body = {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}], **more}
    return ask(served, "POST", "/v1/chat/completions", body, KEYS[key])


def chat_with(served: Running, key: str, **more: object) -> Answer:
    body = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], **more}
    return ask(served, "POST", "/v1/chat/completions", body, key)


DIALECTS = {
    "chat": ("/v1/chat/completions", {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}),
    "messages": (
        "/v1/messages",
        {"model": "sim/echo", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "responses": ("/v1/responses", {"model": "sim/echo", "input": "hi"}),
    "completions": ("/v1/completions", {"model": "sim/echo", "prompt": "hi"}),
    "gemini": ("/v1beta/models/sim/echo:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    "ollama": ("/api/chat", {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], "stream": False}),
}


def made(served: Running, **fields: object) -> tuple[str, str]:
    answer = ask(served, "POST", "/api/keys", {"name": "test", **fields})
    assert answer.status == 201, answer.text
    return answer.body["id"], answer.body["key"]
