"""Nobody is answered by an operation that is not theirs: every operation of the OpenAPI document, over the real server."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final, NamedTuple

import pytest

from runtime.stores.database import Database, database_url
from runtime.stores.people import Person, SqlPeople
from tests.support.document import MANAGING, OPERATIONS, Operation, json_body
from tests.support.gateway import Running, gateway
from tests.support.managing import ADMIN, CLIENT, OTHER, VIEWER, managed_config
from tests.support.passwords import quick_hash

PUBLIC: Final = {
    "getHealth": "load balancers and supervisors ask without a key; it names nothing of the configuration",
    "getLiveness": "the same",
    "getReadiness": "the same",
    "getHello": "says that a gateway is here, and nothing else",
    "getDocument": "the interface, which the source has, too",
    "getSpec": "the same",
    "getInit": "a page has to know whether there is anybody who can log in",
    "getLoginStatus": "says whether the cookie that came is good, to whoever brought it",
    "getRequireLogin": "a page has to know whether it must ask for a password",
    "logIn": "nobody is logged in before",
    "logOut": "ends the login whose cookie came, if there is one",
}
"""The operations that manage and that everybody may call, and why."""

SCOPES: Final = {"public", "chat", "view", "action", "admin"}
NAMES: Final = ("canary-provider", "canary-model", "canary-combo", "canary-alias", "canary-tenant", "canary-policy")
PASSWORD: Final = "a passphrase of the sweep"
CONFIG: Final = """providers:
  sim: {}
  canary-provider:
    base_url: http://127.0.0.1:9/v1
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    connections: [{id: main}]
    models: {canary-model: {}}
combos: {canary-combo: {targets: [sim/echo]}}
aliases: {canary-alias: sim/echo}
tenants: {other: {}, canary-tenant: {}}
policies: {canary-policy: {limits: [{requests: 100000, per: 1m}]}}
"""
PLACES: Final = {
    "combo_id": "canary-combo",
    "connection_id": "canary-provider:main",
    "node_id": "canary-provider",
    "provider": "sim",
    "model_id": "sim/echo",
    "policy_id": "canary-policy",
    "key_id": "viewer",
    "resource": "models",
    "POST model_id": "sim/echo:generateContent",
    "POST resource": "models/sim/echo:generateContent",
}
"""What stands in paths: things that are there; any name where nothing is."""

BODIES: Final = {name: {"requireLogin": True} for name in ("setRequireLogin", "setRequireLoginToo")}
"""What is sent where the smallest body would ask for less than the operation's scope: people set their own passwords there."""


class Answer(NamedTuple):
    asked: str
    path: str
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Client:
    """Thousands of calls, so it does no more than they need. Each has a connection of its own: who is refused before the body
    came may lose the line."""

    def __init__(self, running: Running) -> None:
        self.url = running.url
        self._port = running.port

    def ask(self, verb: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(verb, path, body or None, {"connection": "close", **headers})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(verb, path.partition("?")[0], answer.status, found, answer.read())

    def manage(self, verb: str, path: str, body: object = None, **headers: str) -> Answer:
        """With a body of JSON."""
        sent = {"content-type": "application/json", **{name.replace("_", "-"): said for name, said in headers.items()}}
        return self.ask(verb, path, sent, b"" if body is None else json.dumps(body).encode())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, environment = managed_config(CONFIG, workers=1)
    config = config.replace("tenants: {other: {}}\n", "", 1)
    with gateway(tmp_path_factory.mktemp("unauthenticated"), config, environment) as running:
        asyncio.run(_hired(running))
        yield running


@pytest.fixture(scope="module")
def client(served: Running) -> Client:
    return Client(served)


async def _hired(running: Running) -> None:
    """People who can log in."""
    database = Database(database_url(None, running.root / "data"))
    people = SqlPeople(database)
    hashed = quick_hash(PASSWORD)
    assert await people.add(Person(name="ada", password=hashed))
    assert await people.add(Person(name="vic", password=hashed, scopes=("view",)))
    await database.aclose()


def _cookie(client: Client, name: str) -> str:
    answer = client.manage("POST", "/api/auth/login", {"username": name, "password": PASSWORD})
    assert 200 == answer.status, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


def _made(client: Client, fields: object) -> tuple[str, str]:
    """The id of a key that is made through the API, and the key."""
    answer = client.manage("POST", "/api/keys", fields, x_api_key=ADMIN)
    assert 201 == answer.status, answer.text
    return answer.body["id"], answer.body["key"]


def asked(
    client: Client, operation: Operation, headers: Mapping[str, str], path: str, body: bytes | None = None
) -> Answer:
    """One call to the operation as it wants to be called, but for what ``body`` says."""
    if body is None:
        given = BODIES.get(operation.id, json_body(operation.said))
        body = b"" if given is None else json.dumps(given).encode()
    filled = re.sub(
        r"\{(\w+)\}", lambda found: PLACES.get(f"{operation.verb} {found[1]}", PLACES.get(found[1], "a")), path
    )
    whole = {"content-type": "application/json", **headers} if body else dict(headers)
    return client.ask(operation.verb, filled, whole, body)


def unanswered(answer: Answer, status: int) -> str:
    """What is wrong with the refusal; empty: nothing."""
    if answer.status != status:
        return f"{answer.asked} {answer.path}: {answer.status} {answer.text[:200]}"
    told = [name for name in NAMES if name in answer.text.replace(answer.path, "")]
    return f"{answer.asked} {answer.path} tells of {told}" if told else ""


def everywhere(
    client: Client,
    operations: list[Operation],
    headers: Mapping[str, str],
    status: int,
    *,
    body: bytes | None = None,
    aliases: bool = False,
) -> list[str]:
    """The complaints of `unanswered` about ``operations``, which refuse ``headers``."""
    calls = [
        (operation, path)
        for operation in operations
        for path in (operation.path, *(operation.aliases if aliases else ()))
    ]
    with ThreadPoolExecutor(16) as threads:  # a key that nobody knows is looked up anew, and waits for that
        answers = threads.map(lambda call: asked(client, call[0], headers, call[1], body), calls)
        found = [unanswered(answer, status) for answer in answers]
    return [one for one in found if one]


def test_what_is_public_is_on_the_list_with_its_reason() -> None:
    assert PUBLIC.keys() == {one.id for one in MANAGING if one.scope == "public"}
    assert {one.scope for one in OPERATIONS} <= SCOPES


CLOSED: Final = [one for one in OPERATIONS if one.scope != "public"]

NOBODIES: Final = {
    "nothing": {},
    "an empty key": {"authorization": "Bearer"},
    "a wrong key": {"authorization": "Bearer gw-nobody-0123456789-0123456789-012345"},
    "a wrong key where Anthropic's clients put it": {"x-api-key": "gw-nobody"},
    "another scheme": {"authorization": f"Basic {ADMIN}"},
    "two keys that differ": {"authorization": f"Bearer {ADMIN}", "x-api-key": VIEWER},
    "a key and more": {"x-api-key": f"{ADMIN}x"},
    "a cookie of nobody": {"cookie": "auth_token=nobody"},
    "an empty cookie": {"cookie": "auth_token="},
    "a key as a cookie": {"cookie": f"auth_token={ADMIN}"},
}


@pytest.mark.parametrize("headers", NOBODIES.values(), ids=NOBODIES)
def test_nobody_is_answered(client: Client, headers: dict[str, str]) -> None:
    assert [] == everywhere(client, CLOSED, headers, 401, aliases=not headers)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a":1,"a":2}'], ids=["cut off", "a list", "a field twice"])
def test_nobody_is_told_what_is_wrong_with_a_body(client: Client, body: bytes) -> None:
    changing = [one for one in CLOSED if one.changes and one.manages]

    assert [] == everywhere(client, changing, {"x-api-key": "gw-nobody"}, 401, body=body)


def test_a_key_that_is_over_is_not_answered(client: Client) -> None:
    id_, key = _made(client, {"name": "short", "scopes": ["admin"]})
    assert 200 == client.ask("GET", "/api/keys", {"x-api-key": key}).status
    assert 200 == client.manage("POST", f"/api/keys/{id_}/revoke", x_api_key=ADMIN).status

    assert [] == everywhere(client, CLOSED, {"x-api-key": key}, 401)


@pytest.mark.parametrize(
    ("key", "has"),
    [(CLIENT, {"public", "chat"}), (VIEWER, {"public", "view"})],
    ids=["chat only", "view only"],
)
def test_a_key_without_the_scope_is_not_answered(client: Client, key: str, has: set[str]) -> None:
    lacking = [one for one in OPERATIONS if one.scope not in has]

    assert [] == everywhere(client, lacking, {"x-api-key": key}, 403)
    assert {"view", "admin"} - has <= {one.scope for one in lacking}


def test_a_login_is_no_key_for_models(client: Client) -> None:
    headers = {"cookie": _cookie(client, "ada"), "origin": client.url}

    assert 200 == client.ask("GET", "/api/keys", headers).status
    assert [] == everywhere(client, [one for one in OPERATIONS if one.scope == "chat"], headers, 401)


def test_a_login_without_the_scope_is_not_answered(client: Client) -> None:
    headers = {"cookie": _cookie(client, "vic"), "origin": client.url}

    assert [] == everywhere(client, [one for one in OPERATIONS if one.scope == "admin"], headers, 403)


@pytest.mark.parametrize(
    "page",
    [{"origin": "https://evil.test"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {}],
    ids=["another site", "no site", "across sites", "unsaid"],
)
def test_a_page_of_another_site_changes_nothing_with_a_login(client: Client, page: dict[str, str]) -> None:
    headers = {"cookie": _cookie(client, "ada"), **page}
    changing = [one for one in MANAGING if one.changes and one.scope not in {"public", "chat"}]

    assert [] == everywhere(client, changing, headers, 403)


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": CLIENT}, {"x-api-key": OTHER}], ids=["nobody", "client", "other"]
)
def test_what_is_public_names_nothing_of_the_configuration(client: Client, headers: dict[str, str]) -> None:
    public = [one for one in MANAGING if one.scope == "public"]
    told = [
        (operation.id, name)
        for operation in public
        for name in (*NAMES, ADMIN, VIEWER, CLIENT, OTHER)
        if name in asked(client, operation, headers, operation.path).text
    ]

    assert [] == told


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"x-api-key": CLIENT}, 403)], ids=["nobody", "client"])
def test_head_tells_no_more_than_get(client: Client, headers: dict[str, str], status: int) -> None:
    asking = [one for one in MANAGING if one.verb == "GET" and one.scope in {"view", "admin"}]
    heads = [client.ask("HEAD", re.sub(r"\{(\w+)\}", "a", one.path), headers).status for one in asking]

    assert [status] * len(asking) == heads
