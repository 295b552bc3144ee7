"""A gateway that asks nobody for a key, over HTTP: web pages of other sites reach nothing, programs everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.desk import CONFIG, Desk
from tests.web.script import Answer

OPEN = CONFIG.partition("keys:\n")[0] + "server: {authentication: none, cors_origins: ['https://app.example']}\n"
TEXT = {"content-type": "text/plain;charset=UTF-8"}
HERE = {"host": "127.0.0.1:8790"}
PAGE = HERE | {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
CHAT = b'{"model":"sim/echo","messages":[{"role":"user","content":"hi"}]}'
CALLS = [
    ("POST", "/v1/chat/completions", CHAT, 200),
    ("POST", "/v1/messages", CHAT[:-1] + b',"max_tokens":9}', 200),
    ("POST", "/v1beta/models/sim/echo:countTokens", b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}', 200),
    ("GET", "/v1/models", b"", 200),
    ("POST", "/api/keys", b'{"name":"x","scopes":["admin"],"key":"gw-0123456789abcdefghijABCDEFGHIJ"}', 201),
    ("POST", "/api/provider-nodes", b'{"name":"evil","prefix":"evil","baseUrl":"https://8.8.8.8/v1"}', 201),
    ("POST", "/api/settings/model-aliases", b'{"from":"quick","to":"sim/tools"}', 200),
    ("GET", "/api/db-backups/export", b"", 200),
]


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(Path(tmp_path_factory.mktemp("open")), OPEN)


async def ask(desk: Desk, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    return await desk.call(method, path, body, headers=headers | (TEXT if body else {}), key=None)


@pytest.mark.parametrize(("method", "path", "body", "status"), CALLS)
async def test_what_programs_may_pages_of_other_sites_may_not(
    open_desk: Desk, method: str, path: str, body: bytes, status: int
) -> None:
    for headers in (
        PAGE,
        {"host": "evil.example:8790", "origin": "http://evil.example:8790"},
        {"host": "evil.example"},
    ):
        answer = await ask(open_desk, method, path, body, headers)
        assert (answer.status, b"server.cors_origins" in answer.body) == (403, True), headers
    assert status == (await ask(open_desk, method, path, body, HERE)).status


async def test_a_page_that_may_call_reaches_the_models(open_desk: Desk) -> None:
    page = PAGE | {"origin": "https://app.example"}

    assert 200 == (await ask(open_desk, "POST", "/v1/chat/completions", CHAT, page)).status


async def test_a_refusal_is_in_the_dialect_of_the_path(open_desk: Desk) -> None:
    told = [(await ask(open_desk, method, path, body, PAGE)).body for method, path, body, _ in CALLS]

    assert b'"error":{"message":' in told[0]
    assert b'"type":"error"' in told[1]
    assert b'"status":"PERMISSION_DENIED"' in told[2]
    assert b'"type":"urn:gatewright:error:permission"' in told[4]


async def test_what_is_public_stays_so(open_desk: Desk) -> None:
    assert 200 == (await ask(open_desk, "GET", "/health/live", b"", PAGE)).status


async def test_where_keys_are_asked_for_they_decide(desk: Desk) -> None:
    headers = PAGE | {"host": "gateway.example", "content-type": "application/json"}

    assert 200 == (await desk.call("POST", "/v1/chat/completions", CHAT, headers=headers)).status
    assert 401 == (await desk.call("POST", "/v1/chat/completions", CHAT, headers=headers, key=None)).status
