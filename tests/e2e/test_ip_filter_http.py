"""The filter of addresses over a real server of two workers behind a proxy that is trusted: in force at once, for everything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.asking import ADMIN, call
from tests.support.gateway import Running, gateway

FOREIGN = "gw-a-foreign-admin-of-tests-0123456"
CONFIG = """version: 1
discovery: {providers: none}
server: {workers: 2, trusted_proxies: [127.0.0.0/8]}
providers: {sim: {}}
tenants: {acme: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin]}
  foreign: {key: "${FOREIGN_KEY}", scopes: [admin], tenant: acme}
"""
PATH = "/api/settings/ip-filter"
CALLS = {
    "/v1/chat/completions": "error",
    "/v1/messages": "type",
    "/v1beta/models": "error",
    "/api/tags": "error",
    "/api/keys": "detail",
    "/health/ready": "detail",
    "/nowhere": "detail",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    keys = {"ADMIN_KEY": ADMIN, "FOREIGN_KEY": FOREIGN}
    with gateway(tmp_path_factory.mktemp("filter"), CONFIG, keys) as served:
        yield served


def ask(
    served: Running, method: str, path: str, body: object = None, *, key: str | None = ADMIN, of: str | None = None
) -> tuple[int, Any]:
    reply = call(served, method, path, body, key=key, **({"x_forwarded_for": of} if of else {}))
    return reply.status, reply.body


@pytest.fixture
def served(running: Running) -> Iterator[Running]:
    yield running
    empty = {"enabled": False, "mode": "both", "whitelist": [], "blacklist": []}
    assert ask(running, "PUT", PATH, empty)[0] == 200
    settled(running, "9.9.9.9", 200)


def settled(served: Running, address: str, status: int) -> None:
    """Both workers answer ``address`` so, as soon as they serve the new plan."""
    deadline = time.monotonic() + 60
    while any(status != ask(served, "GET", "/api/keys", of=address)[0] for _ in range(8)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_who_is_denied_is_answered_nothing_in_every_dialect(served: Running) -> None:
    status, now = ask(served, "PUT", PATH, {"enabled": True, "addBlacklist": ["9.9.9.0/24", "2001:db8::/32"]})
    assert (status, now["blacklist"], now["mode"]) == (200, ["9.9.9.0/24", "2001:db8::/32"], "both")
    settled(served, "9.9.9.9", 403)

    for path, field in CALLS.items():
        found, told = ask(served, "GET", path, of="9.9.9.9")
        assert (found, field in told) == (403, True), path
        assert "this address may not call" in json.dumps(told)
    assert ask(served, "GET", "/api/keys", of="2001:db8::7")[0] == 403
    assert ask(served, "GET", "/api/keys", of="8.8.8.8")[0] == 200
    assert ask(served, "GET", "/api/keys", of="9.9.9.9, 8.8.8.8")[0] == 200
    assert ask(served, "GET", "/api/keys", of="8.8.8.8, 9.9.9.9")[0] == 403
    assert ask(served, "GET", "/api/keys")[0] == 200


def test_whoever_changes_it_cannot_shut_themselves_out(served: Running) -> None:
    refused = ask(
        served, "PUT", PATH, {"enabled": True, "mode": "whitelist", "whitelist": ["10.0.0.0/8"]}, of="9.9.9.9"
    )
    assert refused[0] == 409
    assert ask(served, "GET", PATH)[1]["enabled"] is False

    allowed = {"enabled": True, "mode": "whitelist", "whitelist": ["10.0.0.0/8", "9.9.9.9"]}
    assert ask(served, "POST", PATH, allowed, of="9.9.9.9")[0] == 200
    settled(served, "8.8.8.8", 403)
    assert ask(served, "GET", "/api/keys", of="10.1.1.1")[0] == 200
    assert ask(served, "GET", PATH)[1]["whitelist"] == ["10.0.0.0/8", "9.9.9.9/32"]


def test_a_ban_is_over_by_itself_or_by_word(served: Running) -> None:
    ban = {"ip": "9.9.9.9", "durationMs": 3_600_000, "reason": "scans"}
    status, now = ask(served, "PUT", PATH, {"enabled": True, "tempBan": ban})
    assert (status, now["bans"][0]["reason"]) == (200, "scans")
    settled(served, "9.9.9.9", 403)
    assert ask(served, "PUT", PATH, {"removeBan": "9.9.9.9"})[1]["bans"] == []
    settled(served, "9.9.9.9", 200)

    ask(served, "PUT", PATH, {"tempBan": {"ip": "9.9.9.9", "durationMs": 3000}})
    settled(served, "9.9.9.9", 200)
    assert ask(served, "GET", PATH)[1]["bans"] == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"addBlacklist": ["nowhere"]}, 400, "addBlacklist"),
        ({"whitelist": ["10.0.0.1/8"]}, 400, "whitelist"),
        ({"tempBan": {"ip": "x", "durationMs": 5000}}, 400, "tempBan.ip"),
        ({"tempBan": {"ip": "9.9.9.9", "durationMs": 5}}, 400, "tempBan.durationMs"),
        ({"mode": "sometimes"}, 400, "mode"),
        ({"enabled": True, "mode": "whitelist"}, 422, None),
        ({"blocked": []}, 400, "blocked"),
    ],
)
def test_what_is_no_filter_is_refused_and_changes_nothing(
    served: Running, body: object, status: int, param: str | None
) -> None:
    before = ask(served, "GET", PATH)[1]

    found, told = ask(served, "PUT", PATH, body)
    assert found == status, told
    assert param is None or told["param"] == param
    assert ask(served, "GET", PATH)[1] == before


@pytest.mark.parametrize(("key", "status"), [(None, 401), (FOREIGN, 403)])
def test_only_the_operators_admins_change_it(served: Running, key: str | None, status: int) -> None:
    assert ask(served, "GET", PATH, key=key)[0] == status
    assert ask(served, "PUT", PATH, {"enabled": False}, key=key)[0] == status
    assert ask(served, "POST", PATH, {"enabled": False}, key=key)[0] == status
