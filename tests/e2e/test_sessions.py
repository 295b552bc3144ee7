"""Sessions and demanded connections as clients have them: a real server with two workers, real sockets, three accounts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.gateway import Running, gateway
from tests.support.pipeline import acts
from tests.support.raw_server import RawConnection, RawRequest, answer, raw_server
from tests.support.vendor import WIRE

WHOLE = (WIRE / "openai_chat" / "plain.json").read_bytes()
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers:
  p:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    auth: {{scheme: none}}
    connections_strategy: random
    connections: [{accounts}]
    models: {{m: {{}}}}
keys:
  ci: {{key: "${{CI_KEY}}"}}
  ops: {{key: "${{OPS_KEY}}", pins: ["p/*"]}}
retries: {{per_target: 0}}
"""
ACCOUNTS = tuple("abcdefgh")
KEYS = {"CI_KEY": "key-of-ci-0123456789", "OPS_KEY": "key-of-ops-0123456789"}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "anthropic_messages": "/v1/messages",
    "openai_responses": "/v1/responses",
    "gemini": "/v1beta/models/p/m:generateContent",
    "ollama_chat": "/api/chat",
    "openai_embeddings": "/v1/embeddings",
    "count": "/v1/messages/count_tokens",
}


@contextlib.contextmanager
def serving_accounts() -> Generator[str, None, None]:
    """An upstream that says which account asked, in a loop of its own."""
    ready, done, urls = threading.Event(), threading.Event(), list[str]()

    async def act(connection: RawConnection, request: RawRequest) -> None:
        body = json.loads(WHOLE)
        body["choices"][0]["message"]["content"] = request.headers["x-account"]
        await connection.send(answer(json.dumps(body).encode(), "content-type: application/json"))

    async def serve() -> None:
        async with raw_server(acts(then=act)) as server:
            urls.append(server.url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield urls[0]
    finally:
        done.set()
        thread.join(10)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    accounts = ", ".join(f"{{id: {name}, headers: {{x-account: {name}}}}}" for name in ACCOUNTS)
    root: Path = tmp_path_factory.mktemp("sessions")
    with serving_accounts() as url, gateway(root, CONFIG.format(url=url, accounts=accounts), KEYS) as served:
        yield served


def ask(
    running: Running, headers: Mapping[str, str], path: str = PATHS["openai_chat"], key: str = "CI_KEY"
) -> tuple[int, dict[str, str], bytes]:
    """One call over a connection of its own, so that either worker may answer it."""
    turn = [{"role": "user", "content": "hi"}]
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    body = {"model": "p/m", "max_tokens": 9, "messages": turn, "input": "hi", "stream": False, "contents": contents}
    sent = {
        "authorization": f"Bearer {KEYS[key]}",
        "content-type": "application/json",
        "connection": "close",
        **headers,
    }
    request = urllib.request.Request(f"{running.url}{path}", json.dumps(body).encode(), sent, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


def account(found: tuple[int, dict[str, str], bytes]) -> str:
    assert found[0] == 200, found
    return str(json.loads(found[2])["choices"][0]["message"]["content"])


def test_a_session_has_one_account_whichever_worker_answers(running: Running) -> None:
    for session in ("one", "two", "three"):
        found = [ask(running, {"x-session-id": session}) for _ in range(12)]
        assert {account(found[0])} == {account(each) for each in found}
        assert {session} == {each[1]["x-omniroute-session-id"] for each in found}
    assert 1 < len({account(ask(running, {})) for _ in range(24)})


def test_another_keys_session_is_another_one(running: Running) -> None:
    ids = [f"shared-{number}" for number in range(8)]
    mine = [account(ask(running, {"session-id": id_})) for id_ in ids]
    theirs = [account(ask(running, {"session-id": id_}, key="OPS_KEY")) for id_ in ids]

    assert mine != theirs
    assert mine == [account(ask(running, {"session-id": id_})) for id_ in ids]


def test_a_demanded_connection_answers_or_nobody(running: Running) -> None:
    assert ["e"] * 6 == [account(ask(running, {"X-OmniRoute-Connection": "p/e"}, key="OPS_KEY")) for _ in range(6)]


@pytest.mark.parametrize("dialect", PATHS)
def test_refusals_are_in_the_clients_dialect(running: Running, dialect: str) -> None:
    path, demand = PATHS[dialect], {"X-OmniRoute-Connection": "p/e"}
    denied = ask(running, demand, path)
    unknown = ask(running, {"X-OmniRoute-Connection": "p/none"}, path, "OPS_KEY")
    long = ask(running, {"X-Session-Id": "x" * 300}, path)
    text = json.dumps

    if dialect == "openai_embeddings":  # the model answers chat, which is looked at first
        assert (404, 404, 404) == (denied[0], unknown[0], long[0])
        return
    assert (403, 400, 400) == (denied[0], unknown[0], long[0]), (denied, unknown, long)
    assert "x-omniroute-connection" in text(json.loads(unknown[2])).lower()
    assert "x-session-id" in text(json.loads(long[2])).lower()
    assert len(long[2]) < 1000
