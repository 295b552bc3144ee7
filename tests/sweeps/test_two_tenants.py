"""One tenant sees nothing of another: every operation of the OpenAPI document, called by two of them and by the operator.

What an operation is for is on a list here. One that is on none must refuse the keys of tenants.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Final

import httpx
import msgspec
import pytest

from runtime.stores.database import Database, database_url
from runtime.stores.people import Person, SqlPeople
from tests.support.document import MANAGING, OPERATIONS, Operation, json_body
from tests.support.gateway import Running, gateway
from tests.support.managing import LONG_S
from tests.support.passwords import quick_hash

ACME: Final = "acmecanary"
GLOBEX: Final = "globexcanary"
"""The tenants' ids, which are part of every name that they give to anything."""

ROOT: Final = "gw-the-operator-0123456789012345678"
KEYS: Final = {ACME: "gw-an-admin-of-one-tenant-01234567", GLOBEX: "gw-an-admin-of-the-other-012345678"}
VIEWER: Final = "gw-a-viewer-of-one-tenant-0123456789"
PASSWORD: Final = "a passphrase of the sweep"
CONFIG: Final = f"""version: 1
discovery: {{providers: none}}
logging: {{level: debug}}
providers:
  sim: {{}}
tenants: {{{ACME}: {{}}, {GLOBEX}: {{}}}}
combos: {{pair: {{targets: [sim/echo, sim/tools]}}}}
aliases: {{quick: sim/echo}}
cache: {{exact: {{models: [sim/tools], scope: all}}}}
keys:
  root: {{key: "${{ROOT_KEY}}", scopes: [admin]}}
  {ACME}-admin: {{key: "${{ACME_KEY}}", scopes: [admin], tenant: {ACME}}}
  {ACME}-viewer: {{key: "${{VIEWER_KEY}}", scopes: [view, chat], tenant: {ACME}}}
  {GLOBEX}-admin: {{key: "${{GLOBEX_KEY}}", scopes: [admin], tenant: {GLOBEX}}}
"""

SHARED: Final = {
    "getModelCatalog": "which models may be used, as /v1/models says",
    "listManagedModels": "the same",
    "listAvailability": "which models can be asked now; the key's own only",
    "getAvailability": "the same",
    "getMe": "whose key it is",
    "reportUsage": "takes no id; what is reported is the key's own",
    "createKey": "makes one in the key's own tenant",
    "setRequireLogin": "people set their own passwords, and need a login for it",
    "setRequireLoginToo": "the same",
}
"""Operations that answer keys of tenants and take no id of anything that a tenant has, and why."""

LISTS: Final = {
    "listKeys", "listBudgets", "listAuditLog", "listSessions", "getUsageHistory", "getUsageAnalytics", "listCallLogs",
    "listUsageLogs", "listRequestLogs",
}  # fmt: skip
"""Operations that show what a tenant has; to the operator what all have."""

TAKES: Final = {
    "getKey": {"key_id": "key"},
    "changeKey": {"key_id": "key"},
    "revokeKey": {"key_id": "key"},
    "deleteKey": {"key_id": "key"},
    "setBudget": {},
    "explainRequest": {"id": "decision"},
    "getCallLog": {"request_id": "decision"},
    "getResponse": {"response_id": "response"},
    "listInputItems": {"response_id": "response"},
    "cancelResponse": {"response_id": "response"},
    "deleteResponse": {"response_id": "response"},
}
"""Operations on one thing of a tenant's: what stands in their paths."""

ALSO: Final = {"explainRequest": {"id": "request"}, "getCallLog": {"request_id": "request"}}
"""What may stand there, too."""

CALLED: Final = {"model_id", "provider", "resource"}
"""Parameters in paths that name what is called, which the operator has and all use."""

NAMING: Final = {
    "company_id": "tenant",
    "apiKeyId": "key",
    "keyId": "key",
    "apiKey": "key",
    "actor": "actor",
    "target": "key",
    "requestId": "request",
}
"""Parameters in queries that name what a tenant has."""

PLAIN: Final = {
    "account", "action", "after", "after_id", "alias", "all", "alt", "before", "before_id", "combo", "connection", "endpoint",
    "from", "id", "level", "limit", "model", "name", "offset", "order", "pageSize", "pageToken", "provider", "range",
    "refresh", "resourceType", "status", "to", "window_ms",
}  # fmt: skip
"""Parameters in queries that name nothing that a tenant has: what the operator has, or a place in a list."""


class Things(msgspec.Struct, frozen=True):
    """What a tenant has, by its kind, and everything that must not be told of it."""

    ids: Mapping[str, str]
    marks: frozenset[str]


def _scopes(operation: Operation) -> bool:
    """Whether it is asked here: ours, or a vendor's that takes the id of something that is kept."""
    return operation.scope != "public" and (operation.manages or bool(set(operation.in_path) - CALLED))


ASKED: Final = [one for one in OPERATIONS if _scopes(one)]
BY_ID: Final = {one.id: one for one in ASKED}
GLOBAL: Final = [one for one in ASKED if one.id not in SHARED.keys() | LISTS | TAKES.keys()]
"""What concerns all tenants."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    environment = {"ROOT_KEY": ROOT, "ACME_KEY": KEYS[ACME], "GLOBEX_KEY": KEYS[GLOBEX], "VIEWER_KEY": VIEWER}
    with gateway(tmp_path_factory.mktemp("tenants"), CONFIG, environment) as running:
        asyncio.run(_hired(running))
        yield running


async def _hired(running: Running) -> None:
    database = Database(database_url(None, running.root / "data"))
    assert await SqlPeople(database).add(Person(name=f"{ACME}-ada", password=quick_hash(PASSWORD), tenant=ACME))
    await database.aclose()


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=served.url, timeout=30, trust_env=False, limits=limits) as made:
        yield made


@pytest.fixture(scope="module")
def things(client: httpx.Client) -> dict[str, Things]:
    """What each tenant has; known to everything that shows it."""
    made = {tenant: _made(client, tenant) for tenant in KEYS}
    deadline_s = time.monotonic() + LONG_S
    while not all(tenant in _as(client, ROOT, "GET", "/api/usage/call-logs").text for tenant in KEYS):
        assert time.monotonic() < deadline_s, "the calls are not in the ledger"
        time.sleep(0.05)
    return made


def _made(client: httpx.Client, tenant: str) -> Things:
    headers = {"x-api-key": KEYS[tenant], "x-request-id": f"{tenant}-request", "x-session-id": f"{tenant}-session"}
    answer = client.post("/v1/responses", json={"model": "sim/echo", "input": f"{tenant} says"}, headers=headers)
    assert 200 == answer.status_code, answer.text
    key = _as(client, KEYS[tenant], "POST", "/api/keys", {"name": f"{tenant}-key"}).json()
    budget = {"apiKeyId": key["id"], "dailyLimitUsd": 7}
    assert 200 == _as(client, KEYS[tenant], "POST", "/api/usage/budget", budget).status_code
    ids = {
        "key": key["id"],
        "response": answer.json()["id"],
        "decision": answer.headers["x-gatewright-decision"],
        "request": f"{tenant}-request",
        "tenant": tenant,
        "actor": f"{tenant}-admin",
    }
    return Things(ids=ids, marks=frozenset({tenant, key["key"], *ids.values()}))


def _as(client: httpx.Client, key: str, verb: str, path: str, body: object = None) -> httpx.Response:
    headers = {"x-api-key": key, "content-type": "application/json"}
    return client.request(verb, path, content=None if body is None else json.dumps(body), headers=headers)


def _call(client: httpx.Client, operation: Operation, key: str, values: Mapping[str, str] = {}) -> httpx.Response:
    """``operation`` as it wants to be called, with ``values`` in its path."""
    path = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "a"), operation.path)
    return _as(client, key, operation.verb, path, json_body(operation.said))


def _told(answer: httpx.Response, whose: Things, said: Mapping[str, str] = {}) -> list[str]:
    """The marks of ``whose`` in an answer to a call that ``said`` some of them itself."""
    text = answer.text + str(answer.headers)
    for value in said.values():
        text = text.replace(value, "")
    return sorted(mark for mark in whose.marks if mark in text)


# -- nothing is forgotten


def test_every_operation_that_takes_an_id_has_something_to_be_asked_for() -> None:
    for operation in ASKED:
        named = set(operation.in_query) & NAMING.keys()
        assert set(operation.in_query) <= NAMING.keys() | PLAIN, f"{operation.id}: what do its parameters name?"
        if operation in GLOBAL:
            continue
        assert set(operation.in_path) == TAKES.get(operation.id, {}).keys(), f"{operation.id} takes an id: of what?"
        assert not named or operation.id in LISTS, f"{operation.id} names what a tenant has"


def test_the_lists_name_what_there_is() -> None:
    assert SHARED.keys() | LISTS | TAKES.keys() <= BY_ID.keys()


# -- what concerns all tenants


@pytest.mark.parametrize("operation", GLOBAL, ids=lambda one: one.id)
def test_what_concerns_all_tenants_is_refused(
    client: httpx.Client, things: dict[str, Things], operation: Operation
) -> None:
    answer = _call(client, operation, KEYS[ACME], things[GLOBEX].ids)

    assert 403 == answer.status_code, answer.text
    assert [] == _told(answer, things[GLOBEX])


def test_what_concerns_all_tenants_is_refused_to_who_may_only_look(client: httpx.Client) -> None:
    looking = [one for one in GLOBAL if one.scope == "view"]

    assert {} == {one.id: answer.text for one in looking if (answer := _call(client, one, VIEWER)).status_code != 403}
    assert looking


def test_the_operator_is_answered(client: httpx.Client) -> None:
    """What is refused above is not refused to everybody."""
    looking = [one for one in GLOBAL if one.verb == "GET" and not one.in_path]
    refused = {one.id for one in looking if _call(client, one, ROOT).status_code in {401, 403}}

    assert set() == refused


def test_who_is_logged_in_is_no_more_than_the_tenant(client: httpx.Client, things: dict[str, Things]) -> None:
    credentials = {"username": f"{ACME}-ada", "password": PASSWORD}
    token = client.post("/api/auth/login", json=credentials).cookies["auth_token"]
    client.cookies.clear()
    headers = {"cookie": f"auth_token={token}", "origin": str(client.base_url).rstrip("/")}
    seen = {one.id: client.request(one.verb, one.path, headers=headers) for one in MANAGING if one.id in LISTS}
    refused = [
        client.request(one.verb, one.path, headers=headers) for one in GLOBAL if one.verb == "GET" and one.manages
    ]

    assert {} == {name: answer.text for name, answer in seen.items() if answer.status_code != 200}
    assert {} == {name: told for name, answer in seen.items() if (told := _told(answer, things[GLOBEX]))}
    assert {403} == {answer.status_code for answer in refused}


# -- what is a tenant's


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_all_may_ask_tells_nothing_of_another(client: httpx.Client, things: dict[str, Things], name: str) -> None:
    assert [] == _told(_call(client, BY_ID[name], KEYS[ACME]), things[GLOBEX])


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_list_shows_ones_own(client: httpx.Client, things: dict[str, Things], name: str) -> None:
    own = _call(client, BY_ID[name], KEYS[ACME])
    everybody = _call(client, BY_ID[name], ROOT)

    assert (200, []) == (own.status_code, _told(own, things[GLOBEX]))
    assert own.text != everybody.text
    if name not in {"getUsageHistory", "getUsageAnalytics", "listUsageLogs", "listRequestLogs"}:  # these count
        assert _told(own, things[ACME])
        assert all(_told(everybody, each) for each in things.values())


@pytest.mark.parametrize(
    ("name", "parameter"),
    sorted(
        (one.id, parameter) for one in ASKED if one.id in LISTS for parameter in one.in_query if parameter in NAMING
    ),
)
def test_a_query_for_what_is_anothers_finds_nothing(
    client: httpx.Client, things: dict[str, Things], name: str, parameter: str
) -> None:
    value = things[GLOBEX].ids[NAMING[parameter]]
    path = f"{BY_ID[name].path}?{parameter}={value}"
    answer, theirs = _as(client, KEYS[ACME], "GET", path), _as(client, KEYS[GLOBEX], "GET", path)

    assert answer.status_code in {200, 403, 404}, answer.text
    assert [] == _told(answer, things[GLOBEX], {parameter: value})
    assert 200 == theirs.status_code
    if parameter == "company_id":
        assert 403 == answer.status_code
        assert _as(client, KEYS[ACME], "GET", f"{BY_ID[name].path}?{parameter}=nobody").status_code == 403


@pytest.mark.parametrize(
    ("name", "values"),
    [
        pytest.param(name, kinds, id=f"{name} {kinds}")
        for table in (TAKES, ALSO)
        for name, kinds in table.items()
        if kinds
    ],
)
def test_what_is_anothers_is_as_if_it_were_not_there(
    client: httpx.Client, things: dict[str, Things], name: str, values: dict[str, str]
) -> None:
    operation = BY_ID[name]
    theirs = {parameter: things[GLOBEX].ids[kind] for parameter, kind in values.items()}
    nobodys = {
        parameter: re.sub(r"[0-9a-f]{6}", "abcdef", id_.replace(GLOBEX, "nobody")) for parameter, id_ in theirs.items()
    }
    answer, missing = _call(client, operation, KEYS[ACME], theirs), _call(client, operation, KEYS[ACME], nobodys)

    assert answer.status_code in {403, 404}, answer.text
    assert [] == _told(answer, things[GLOBEX], theirs)
    assert missing.status_code == answer.status_code
    if operation.verb == "GET":
        assert 200 == _call(client, operation, KEYS[GLOBEX], theirs).status_code, "it is there"
        assert 200 == _call(client, operation, ROOT, theirs).status_code or not operation.manages


def test_a_body_cannot_name_what_is_anothers(client: httpx.Client, things: dict[str, Things]) -> None:
    theirs, own = things[GLOBEX].ids, things[ACME].ids
    tries = [
        ("POST", "/api/usage/budget", {"apiKeyId": theirs["key"], "dailyLimitUsd": 1}),
        ("POST", "/api/usage/budget", {"keyId": theirs["key"], "limit": 1, "period": "daily"}),
        ("POST", "/api/keys", {"name": "spy", "company_id": GLOBEX}),
        ("POST", "/api/keys", {"name": "spy", "company_id": "default"}),
        ("PATCH", f"/api/keys/{own['key']}", {"company_id": GLOBEX}),
        ("PUT", "/api/settings/require-login", {"password": "a new passphrase", "username": f"{GLOBEX}-eve"}),
        ("POST", "/v1/responses", {"model": "sim/echo", "input": "on", "previous_response_id": theirs["response"]}),
    ]
    answers = [_as(client, KEYS[ACME], *each) for each in tries]

    assert [] == [answer.text for answer in answers if answer.status_code not in {400, 403, 404}]
    assert [] == [told for answer in answers if (told := _told(answer, things[GLOBEX], theirs))]


def test_answers_are_not_given_again_to_another(client: httpx.Client) -> None:
    """Neither for the same Idempotency-Key nor from a cache that all keys share."""
    body = {"model": "sim/tools", "messages": [{"role": "user", "content": "the same question"}], "temperature": 0}

    def asked(tenant: str, **headers: str) -> httpx.Headers:
        sent = {"x-api-key": KEYS[tenant], **{name.replace("_", "-"): value for name, value in headers.items()}}
        answer = client.post("/v1/chat/completions", json=body, headers=sent)
        assert 200 == answer.status_code, answer.text
        return answer.headers

    assert ["MISS", "HIT", "MISS", "HIT"] == [asked(one)["x-omniroute-cache"] for one in (ACME, ACME, GLOBEX, GLOBEX)]
    once = {"idempotency_key": "one-and-the-same", "x_omniroute_no_cache": "true"}
    assert [False, True, False] == ["x-omniroute-idempotent" in asked(one, **once) for one in (ACME, ACME, GLOBEX)]


def test_what_was_tried_changed_nothing(client: httpx.Client, things: dict[str, Things]) -> None:
    """Runs last: whatever one tenant tried with the other's things, they are as they were."""
    ids, key = things[GLOBEX].ids, KEYS[GLOBEX]
    shown = _as(client, key, "GET", f"/api/keys/{ids['key']}").json()
    budget = _as(client, key, "GET", f"/api/usage/budget?apiKeyId={ids['key']}").json()

    assert (True, f"{GLOBEX}-key") == (shown["isActive"], shown["name"])
    assert [7] == [each["dailyLimitUsd"] for each in budget["budgets"]]
    assert 200 == _as(client, key, "DELETE", f"/v1/responses/{ids['response']}").status_code
    assert 200 == _as(client, key, "DELETE", f"/api/keys/{ids['key']}").status_code
