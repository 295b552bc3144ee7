"""The audit log over HTTP: who changed what, for whom, page by page."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest

from tests.support.gateway import Running, gateway

ADMIN = "gw-an-admin-of-the-tests-0123456789"
OTHER = "gw-an-admin-of-another-tenant-012345"
VIEWER = "gw-a-viewer-of-the-tests-0123456789"
SECRET = "sk-canary-0123456789abcdef"
CONFIG = """version: 1
discovery: {providers: none}
providers: {sim: {}}
tenants: {acme: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin]}
  other: {key: "${OTHER_KEY}", scopes: [admin], tenant: acme}
  viewer: {key: "${VIEWER_KEY}", scopes: [view]}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    env = {"ADMIN_KEY": ADMIN, "OTHER_KEY": OTHER, "VIEWER_KEY": VIEWER}
    with gateway(tmp_path_factory.mktemp("audit"), CONFIG, env) as running:
        for number in range(3):
            assert 201 == ask(running, "/api/combos", {"name": f"c{number}", "models": ["sim/echo"]})[0]
        yield running
        assert SECRET not in running.log


def ask(served: Running, path: str, body: object = None, key: str | None = ADMIN) -> tuple[int, Any, Message]:
    headers = {"content-type": "application/json", "x-request-id": "audit-test"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{served.url}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read()), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def log(served: Running, key: str | None = ADMIN, **query: object) -> tuple[int, Any, Message]:
    return ask(served, f"/api/compliance/audit-log?{urllib.parse.urlencode(query)}", key=key)


def test_pages_follow_each_other_and_say_nothing_of_how_much_there_is(served: Running) -> None:
    seen: list[str] = []
    query: dict[str, object] = {"action": "combo.created", "limit": 1}
    while True:
        status, found, headers = log(served, **query)
        assert (200, 1, "3") == (status, len(found), headers["x-total-count"])
        seen += [each["target"] for each in found]
        before = headers["x-page-before"]
        if before is None:
            break
        assert len(before) >= 24
        query["before"] = before
    assert ["combos.c2", "combos.c1", "combos.c0"] == seen
    for wrong in ("2", "x", ""):
        status, problem, _ = log(served, before=wrong)
        assert (400, "before") == (status, problem["param"])


def test_who_changed_what_from_where_is_there(served: Running) -> None:
    status, found, headers = log(served, action="combo.created")

    assert 200 == status
    assert ["combos.c2", "combos.c1", "combos.c0"] == [each["target"] for each in found]
    assert ("3", "50", "0") == tuple(headers[name] for name in ("x-total-count", "x-page-limit", "x-page-offset"))
    entry = found[0]
    assert ("root", "default", "success", "combos", "audit-test", "127.0.0.1") == tuple(
        entry[name] for name in ("actor", "company_id", "status", "resource_type", "request_id", "ip_address")
    )
    for one, other in (
        ("ip_address", "ipAddress"),
        ("resource_type", "resourceType"),
        ("request_id", "requestId"),
        ("details", "metadata"),
    ):
        assert entry[one] == entry[other]
    assert {"revision", "build"} <= entry["details"].keys()


def test_pages_are_parts_of_the_same_list(served: Running) -> None:
    whole = log(served, action="combo")[1]
    pages = [log(served, action="combo", limit=1, offset=offset) for offset in range(3)]

    assert whole == [page[1][0] for page in pages]
    assert {"3"} == {page[2]["x-total-count"] for page in pages}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": 10001}, "offset"),
        ({"offset": -1}, "offset"),
        ({"offset": "0" * 9 + "9" * 5000}, "offset"),
        ({"status": "great"}, "status"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
    ],
)
def test_what_cannot_be_asked_is_refused(served: Running, query: dict[str, object], param: str) -> None:
    status, told, _ = log(served, **query)

    assert (400, param) == (status, told["param"])


def test_times_bound_what_is_found(served: Running) -> None:
    middle = log(served, action="combo")[1][1]["timestamp"]

    assert 2 <= len(log(served, action="combo", to=middle)[1])
    assert [] == log(served, action="combo", **{"from": "2099-01-01T00:00:00+02:00"})[1]


def test_another_tenant_sees_its_own_only(served: Running) -> None:
    assert [] == log(served, OTHER)[1]
    assert 403 == log(served, OTHER, company_id="default")[0]
    assert [] == log(served, company_id="acme")[1]


def test_only_admins_see_it(served: Running) -> None:
    assert 401 == log(served, None)[0]
    assert 403 == log(served, VIEWER)[0]
