"""One call of a gateway that serves: over a connection of its own, so that any of its workers may get it."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from email.message import Message
from typing import Any, NamedTuple

from tests.support.gateway import Running

__all__ = ["ADMIN", "FOREIGN", "GUEST", "KEYS", "TWO_TENANTS", "Reply", "ask", "being_answered", "call"]

ADMIN = "gw-an-admin-of-the-tests-0123456789"
GUEST = "gw-a-guest-of-the-tests-01234567890"
FOREIGN = "gw-a-foreign-admin-of-tests-0123456"
KEYS = {"ADMIN_KEY": ADMIN, "GUEST_KEY": GUEST, "FOREIGN_KEY": FOREIGN}
TWO_TENANTS = """version: 1
discovery: {providers: none}
server: {workers: 2}
providers: {sim: {}}
tenants: {acme: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin]}
  guest: {key: "${GUEST_KEY}", scopes: [chat, view]}
  foreign: {key: "${FOREIGN_KEY}", scopes: [admin], tenant: acme}
"""
"""A gateway of two workers: its operator, a client, and the admin of another tenant."""


class Reply(NamedTuple):
    status: int
    headers: Message
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw or b"null")

    @property
    def cookie(self) -> str:
        return str(self.headers["set-cookie"].split(";")[0].partition("=")[2])


def call(
    running: Running, method: str, path: str, body: object = None, *, key: str | None = None, **headers: str
) -> Reply:
    """``body`` is sent as JSON, bytes as they are; ``headers`` with hyphens for their underscores."""
    sent = {"content-type": "application/json", "connection": "close"}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{running.url}{path}", data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Reply(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.headers, error.read())


def ask(running: Running, method: str, path: str, body: object = None, key: str | None = ADMIN) -> tuple[int, Any]:
    """Status and JSON."""
    reply = call(running, method, path, body, key=key)
    return reply.status, reply.body


def being_answered(running: Running, calls: int, key: str) -> None:
    """Return once so many are, by all workers together."""
    until_s = time.monotonic() + 60
    found: list[float] = []
    while time.monotonic() < until_s:
        told = call(running, "GET", "/metrics", key=key).raw.decode()
        found = [float(each) for each in re.findall(r"^gatewright_requests_in_flight\S* (\S+)$", told, re.MULTILINE)]
        if sum(found) >= calls:
            return
    raise AssertionError(f"they do not come in: {found}")
