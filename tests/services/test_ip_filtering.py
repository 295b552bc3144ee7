"""The filter goes by the address that a trusted proxy tells, however many lines of `X-Forwarded-For` a call brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.in_force import peek
from runtime.stores.database import database_url
from tests.services.desk import CONFIG, Desk
from tests.web.script import call

SERVER = "server: {trusted_proxies: [127.0.0.1], ip_filter: {enabled: true, mode: deny, deny: [203.0.113.7]}}"
LINES = (("198.51.100.1, 203.0.113.7",), ("198.51.100.1", "203.0.113.7"))


@pytest.fixture(scope="module")
def filtering(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    config = CONFIG.replace("scopes: [view]", "scopes: [admin]") + SERVER
    return Desk(Path(tmp_path_factory.mktemp("filtering")), config)


@pytest.mark.parametrize("lines", LINES)
@pytest.mark.parametrize("path", ["/v1/models", "/api/combos", "/api/usage/history", "/nowhere"])
async def test_who_is_denied_writes_no_line_of_his_own(filtering: Desk, path: str, lines: tuple[str, ...]) -> None:
    headers = [("authorization", "Bearer gw-viewer"), *(("x-forwarded-for", line) for line in lines)]
    answer = await call(filtering.app, "GET", path, headers)

    assert (answer.status, b"this address may not call" in answer.body) == (403, True)


async def test_the_audit_log_has_the_address_that_the_proxy_tells(filtering: Desk) -> None:
    told = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.8")]
    headers = [("authorization", "Bearer gw-viewer"), ("content-type", "application/json"), *told]
    assert 201 == (await call(filtering.app, "POST", "/api/keys", headers, b'{"name":"a"}')).status

    (entry,) = await filtering.json("GET", "/api/compliance/audit-log", key="gw-viewer", query="action=key.created")
    assert entry["ip_address"] == "203.0.113.8"


async def test_one_that_is_switched_off_says_so(tmp_path: Path) -> None:
    """A list that nothing is said of is doubted by `gatewright check`, also when it was exported."""
    desk = Desk(tmp_path, CONFIG.replace("scopes: [view]", "scopes: [admin]"))
    wish = {"enabled": False, "blacklist": ["203.0.113.7"]}
    await desk.json("PUT", "/api/settings/ip-filter", wish, key="gw-viewer")

    (kept,) = (await peek(database_url(None, tmp_path))).overrides
    assert {"enabled": False, "deny": ["203.0.113.7/32"]} == json.loads(kept.document or "")
