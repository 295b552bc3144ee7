"""Proxies as the management API has them, in pieces, and as gateway.yaml has them, by their URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.settings import ProxyServer
from runtime.errors import InvalidRequest
from runtime.management.body import Document, masked, read_body, settings_of, unmasked

__all__ = ["proxy_document", "proxy_url", "shown_proxy"]

PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?")


class _Proxy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str = "http"
    host: Annotated[str, Meta(min_length=1, max_length=253)] | UnsetType = UNSET
    port: Annotated[int, Meta(ge=1, le=65_535)] | UnsetType | None = UNSET
    username: Annotated[str, Meta(max_length=1000)] | UnsetType | None = UNSET
    password: Annotated[str, Meta(max_length=1000)] | UnsetType | None = UNSET


def proxy_document(proxy: Mapping[str, object], before: object, path: str) -> Document:
    """What gateway.yaml says of ``proxy``; a masked password is the one that was there ``before``. Raises InvalidRequest."""
    given = read_body(proxy, _Proxy)
    if given.type == "direct":
        return {"url": "direct"}
    if given.type not in PORTS:
        message = f"{path}.type: {given.type!r} is not spoken; known is http, https, direct"
        raise InvalidRequest(message, param=f"{path}.type")
    if given.host is UNSET or not _HOST.fullmatch(given.host):
        raise InvalidRequest(f"{path}.host: expected a name or an address", param=f"{path}.host")
    host = f"[{given.host.strip('[]')}]" if ":" in given.host else given.host
    document: Document = {"url": f"{given.type}://{host}:{given.port or PORTS[given.type]}"}
    if given.username:
        document["username"] = given.username
    if given.password:
        document["password"] = given.password
    return unmasked(document, before)


def shown_proxy(document: object) -> ProxyServer | None:
    """As answers show it; None where there is none."""
    said = settings_of(document)
    url = said.get("url")
    if not isinstance(url, str):
        return None
    if url == "direct":
        return ProxyServer(type="direct")
    parts = urlsplit(url)
    kind: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    answer = ProxyServer(type=kind, host=parts.hostname or "", port=parts.port or PORTS[kind])
    username, password = said.get("username"), said.get("password")
    if isinstance(username, str):
        answer.username = username
    if isinstance(password, str):
        answer.password = str(masked(said)["password"])
    return answer


def proxy_url(document: Mapping[str, object]) -> str:
    """The URL of a proxy that is given with its password in clear, to be gone through once."""
    scheme, _, host = str(document["url"]).partition("://")
    username, password = document.get("username"), document.get("password")
    if not isinstance(username, str):
        return str(document["url"])
    secret = f":{quote(password, safe='')}" if isinstance(password, str) else ""
    return f"{scheme}://{quote(username, safe='')}{secret}@{host}"
