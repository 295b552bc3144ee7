"""Keys that are made, changed and revoked while two workers serve."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.asking import ADMIN, ask, being_answered
from tests.support.gateway import Running, gateway
from tests.support.patience import seconds_until

SPARE = "gw-a-spare-of-the-tests-0123456789"
CONFIG = """version: 1
discovery: {providers: none}
server: {workers: 2}
providers: {sim: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin]}
  spare: {key: "${SPARE_KEY}"}
"""

DIALECTS = {
    "/v1/chat/completions": {
        "model": "sim/slow",
        "stream": True,
        "messages": [{"role": "user", "content": "w " * 300}],
    },
    "/v1/messages": {
        "model": "sim/slow",
        "stream": True,
        "max_tokens": 5000,
        "messages": [{"role": "user", "content": "w " * 300}],
    },
    "/v1/responses": {"model": "sim/slow", "stream": True, "input": "w " * 300},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("keys"), CONFIG, {"ADMIN_KEY": ADMIN, "SPARE_KEY": SPARE}) as running:
        yield running


def chat(served: Running, key: str) -> int:
    body = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
    return ask(served, "POST", "/v1/chat/completions", body, key)[0]


def made(served: Running, **fields: object) -> tuple[str, str]:
    status, key = ask(served, "POST", "/api/keys", {"name": "test", **fields})
    assert status == 201
    return key["id"], key["key"]


def settled(served: Running, key: str, status: int) -> float:
    """How many seconds it took until every worker answered so."""
    return seconds_until(lambda: all(status == chat(served, key) for _ in range(12)))


def test_a_key_is_good_in_every_worker_within_a_second_and_is_shown_once(served: Running) -> None:
    """Within a second where the machine has nothing else to do: of three times at least once."""
    id_, key = made(served)
    assert {200} == {chat(served, key) for _ in range(12)}, (
        "whichever worker gets it, it knows a key that was just made"
    )

    listed = ask(served, "GET", "/api/keys")[1]
    assert key.startswith("gw-")
    assert key not in json.dumps(listed) + served.log
    assert {"root": "config", "spare": "config", id_: "store"}.items() <= {
        each["id"]: each["source"] for each in listed["keys"]
    }.items()
    assert ask(served, "PATCH", f"/api/keys/{id_}", {"isActive": False})[1]["isActive"] is False
    took = [settled(served, key, 401)]
    assert ask(served, "PATCH", f"/api/keys/{id_}", {"isActive": True, "allowedModels": ["sim/slow"]})[0] == 200
    took.append(settled(served, key, 403))
    assert ask(served, "DELETE", f"/api/keys/{id_}")[0] == 200
    took.append(settled(served, key, 401))
    assert min(took) < 1.0
    assert ask(served, "GET", f"/api/keys/{id_}")[0] == 404


def test_a_key_that_many_bring_along_at_once_is_one(served: Running) -> None:
    body = {"name": "many", "key": "oag_brought-by-many-0123456789abcdef"}
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: ask(served, "POST", "/api/keys", body)[0], range(8)))

    assert [201, *[409] * 7] == statuses
    assert 200 == chat(served, body["key"])


def test_an_expired_key_is_refused_at_the_moment(served: Running) -> None:
    at_s = time.time() + 4  # it has to lie ahead when it comes to the gateway
    _, key = made(served, expiresAt=datetime.fromtimestamp(at_s, UTC).isoformat())
    time.sleep(max(0.0, at_s - time.time()))

    assert {401} == {chat(served, key) for _ in range(6)}


@pytest.mark.parametrize("path", list(DIALECTS))
def test_fault_35_a_key_revoked_while_it_streams(served: Running, path: str) -> None:
    id_, key = made(served)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{served.url}{path}", json.dumps(DIALECTS[path]).encode(), headers)
    streams = [urllib.request.urlopen(request, timeout=60) for _ in range(4)]
    assert all(stream.readline() for stream in streams)

    began_s = time.monotonic()
    assert ask(served, "POST", f"/api/keys/{id_}/revoke")[0] == 200
    rests = [stream.read().decode() for stream in streams]
    took_s = time.monotonic() - began_s
    assert took_s < 20.0, "it says 5 s; the streams would go on for 30"
    for rest in rests:
        assert "the API key was revoked" in rest
        assert "[DONE]" not in rest.partition("was revoked")[0]
        assert "message_stop" not in rest
        assert "response.completed" not in rest
    settled(served, key, 401)
    assert key not in served.log


@pytest.mark.parametrize("path", list(DIALECTS))
def test_fault_35_a_key_revoked_while_whole_answers_are_made(served: Running, path: str) -> None:
    """Those that wait for a model, and those whose body is still coming: none gets an answer that is not its dialect's."""
    id_, key = made(served)
    raw = json.dumps(DIALECTS[path] | {"stream": False}).encode()
    with ExitStack() as stack:
        calls = [HTTPConnection(urlsplit(served.url).netloc, timeout=60) for _ in range(12)]
        for nth, one in enumerate(calls):
            stack.callback(one.close)
            one.putrequest("POST", path)
            for header in (
                ("authorization", f"Bearer {key}"),
                ("content-length", str(len(raw))),
                ("connection", "close"),
            ):
                one.putheader(*header)
            one.endheaders(raw if nth % 2 else raw[:-1])
        being_answered(served, len(calls), ADMIN)

        assert ask(served, "POST", f"/api/keys/{id_}/revoke")[0] == 200
        messages = []
        for one in calls:
            answer = one.getresponse()
            told = answer.read()
            assert (answer.status, answer.headers["content-type"]) == (401, "application/json"), told
            messages.append(json.loads(told)["error"]["message"])
        assert {"the API key was revoked"} <= set(messages) <= {"the API key was revoked", "the API key is not valid"}


def test_a_revoked_key_stays_revoked(served: Running) -> None:
    id_, key = made(served)
    assert ask(served, "POST", f"/api/keys/{id_}/revoke")[0] == 200
    status, problem = ask(served, "PATCH", f"/api/keys/{id_}", {"isActive": True})
    assert (status, "revoked for good" in problem["detail"]) == (409, True)
    assert ask(served, "PATCH", f"/api/keys/{id_}", {"isActive": False})[0] == 200
    settled(served, key, 401)


def test_fault_35_a_configured_key_can_be_revoked_and_not_changed(served: Running) -> None:
    assert chat(served, SPARE) == 200
    status, problem = ask(served, "PATCH", "/api/keys/spare", {"name": "other"})
    assert status == 409
    assert "gateway.yaml" in problem["detail"]
    assert ask(served, "DELETE", "/api/keys/spare")[0] == 409
    assert ask(served, "POST", "/api/keys/spare/revoke")[1]["isActive"] is False
    settled(served, SPARE, 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/keys"),
        ("POST", "/api/keys"),
        ("GET", "/api/keys/x"),
        ("PATCH", "/api/keys/x"),
        ("DELETE", "/api/keys/x"),
        ("POST", "/api/keys/x/revoke"),
    ],
)
def test_only_an_admin_may(served: Running, method: str, path: str) -> None:
    _, key = made(served)
    body = {"name": "x"} if method in {"POST", "PATCH"} else None

    assert ask(served, method, path, body, key=None)[0] == 401
    assert ask(served, method, path, body, key=key)[0] == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x", "nmae": "y"}, "nmae"),
        ({"name": ""}, "name"),
        ({}, "name"),
        ({"name": "x", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "x", "expiresAt": "tomorrow"}, "expiresAt"),
        ({"name": "x", "isActive": "yes"}, "isActive"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "spare"}, "name"),
        ({"name": "x", "allowedModels": ["sim/echo", "sim/ehco"]}, "allowedModels[1]"),
        ({"name": "x", "allowedModels": ["nobody/*"]}, "allowedModels[0]"),
        ({"name": "x", "allowedModels": ["s*m/*"]}, "allowedModels[0]"),
        ({"name": "x", "pins": ["sim/*", "sim/none"]}, "pins[1]"),
    ],
)
def test_a_bad_body_changes_nothing(served: Running, body: object, param: str) -> None:
    before = ask(served, "GET", "/api/keys")[1]["total"]
    status, problem = ask(served, "POST", "/api/keys", body)

    assert (400, param) == (status, problem.get("param"))
    assert ask(served, "GET", "/api/keys")[1]["total"] == before


def test_a_change_is_checked_as_a_new_key_is(served: Running) -> None:
    id_, _ = made(served, allowedModels=["sim/*", "echo"], pins=["sim/*"])
    for body, param in (
        ({"scopes": []}, "scopes"),
        ({"name": "root"}, "name"),
        ({"allowedModels": ["nope"]}, "allowedModels[0]"),
        ({"pins": ["nope/*"]}, "pins[0]"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
    ):
        status, problem = ask(served, "PATCH", f"/api/keys/{id_}", body)
        assert (400, param) == (status, problem.get("param"))

    kept = ask(served, "GET", f"/api/keys/{id_}")[1]
    assert (["chat"], ["sim/*", "echo"], ["sim/*"]) == (kept["scopes"], kept["allowedModels"], kept["pins"])
    assert "expiresAt" not in kept
