"""Connections as the management API has them, and as gateway.yaml has them: in a list of their provider, first choice first.

The API's `priority` is the place in that list, its `name` the connection's id, `providerSpecificData` holds what is said
of the address. A credential goes in as it is and never comes out: an answer shows where it is, or its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runtime.errors import InvalidRequest
from runtime.management.body import MASK, Document, items_of, read_body, settings_of, unmasked

__all__ = [
    "ConnectionFields", "api_id", "connection_document", "connection_name", "placed", "plan_id", "provider_of",
    "read_connection", "specific_data", "without",
]  # fmt: skip

_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")
_AGENT: Final = "user-agent"

_Text = Annotated[str, Meta(min_length=1, max_length=200)]


class _Specific(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    baseUrl: str | UnsetType | None = UNSET  # noqa: N815 — as clients write it
    customUserAgent: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET  # noqa: N815
    customHeaders: dict[str, str] | UnsetType | None = UNSET  # noqa: N815
    variables: dict[str, str] | UnsetType | None = UNSET


class ConnectionFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of a connection. What only answers say is taken and left aside, so that an answer can be sent back."""

    provider: _Text | UnsetType = UNSET
    name: _Text | UnsetType = UNSET
    apiKey: Annotated[str, Meta(max_length=10_000)] | UnsetType | None = UNSET  # noqa: N815
    priority: Annotated[int, Meta(ge=1, le=100)] | UnsetType | None = UNSET
    isActive: bool | UnsetType = UNSET  # noqa: N815
    maxConcurrent: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET  # noqa: N815
    limits: list[dict[str, object]] | UnsetType | None = UNSET
    proxy: dict[str, object] | UnsetType | None = UNSET
    providerSpecificData: _Specific | UnsetType | None = UNSET  # noqa: N815
    id: str | UnsetType = UNSET
    connectionId: str | UnsetType = UNSET  # noqa: N815
    authType: str | UnsetType = UNSET  # noqa: N815
    testStatus: str | UnsetType = UNSET  # noqa: N815
    source: str | UnsetType = UNSET


def read_connection(data: Mapping[str, object]) -> ConnectionFields:
    """Raises InvalidRequest."""
    return read_body(data, ConnectionFields)


def connection_name(name: str) -> str:
    """What a connection is called that people call ``name``. Raises InvalidRequest when nothing of it is left."""
    cleaned = _ODD.sub("-", name).strip("-._")[:64]
    if not cleaned:
        raise InvalidRequest("name: it holds no letter or digit of the Latin alphabet", param="name")
    return cleaned


def connection_document(fields: ConnectionFields, before: Mapping[str, object] | None = None) -> Document:
    """What gateway.yaml says of the connection once ``fields`` have changed what it said ``before``; without `id`."""
    document: Document = dict(before or {})
    specific = fields.providerSpecificData
    if specific is None:
        for name in ("base_url", "headers", "variables"):
            document.pop(name, None)
    elif specific is not UNSET:
        document |= _address(specific, settings_of(document.get("headers")))
    if fields.limits is not UNSET:
        document["limits"] = fields.limits
    if fields.proxy is not UNSET:
        document["proxy"] = unmasked(fields.proxy, document.get("proxy"))
    if fields.apiKey is not UNSET and not _is_masked(fields.apiKey):
        document["key"] = fields.apiKey or None
    if fields.maxConcurrent is not UNSET:
        document["max_in_flight"] = fields.maxConcurrent or None
    if fields.isActive is not UNSET:
        document["enabled"] = None if fields.isActive else False
    return {name: value for name, value in document.items() if value is not None and value not in ({}, [])}


def specific_data(document: Mapping[str, object]) -> Document:
    """`providerSpecificData` of a connection that is written as ``document``."""
    headers = dict(settings_of(document.get("headers")))
    agent = next((headers.pop(name) for name in list(headers) if name.lower() == _AGENT), None)
    found = {
        "baseUrl": document.get("base_url"),
        "customUserAgent": agent,
        "customHeaders": headers or None,
        "variables": settings_of(document.get("variables")) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def placed(connections: object, document: Document, priority: int | None) -> list[Document]:
    """The list ``connections`` with ``document`` in it, in the place of its namesake: at ``priority``, where that is said."""
    rest = [dict(settings_of(each)) for each in items_of(connections)]
    ids = [each.get("id") for each in rest]
    index = ids.index(document["id"]) if document["id"] in ids else len(rest)
    rest = [each for each in rest if each.get("id") != document["id"]]
    if priority is not None:
        index = priority - 1
    return [*rest[:index], document, *rest[index:]]


def without(connections: object, id_: str) -> list[Document]:
    """The list ``connections`` without the one called ``id_``."""
    return [dict(settings_of(each)) for each in items_of(connections) if settings_of(each).get("id") != id_]


def api_id(connection: str) -> str:
    """The id of the plan's ``connection`` in paths, which hold no slash."""
    return connection.replace("/", ":", 1)


def plan_id(id_: str) -> str:
    """The plan's id of what the API calls ``id_``; the plan's own is understood, too."""
    return id_ if "/" in id_ else id_.replace(":", "/", 1)


def provider_of(id_: str) -> tuple[str, str]:
    """The provider and the name of the connection with the plan's ``id_``."""
    provider, _, name = id_.partition("/")
    return provider, name


def _address(specific: _Specific, headers: Mapping[str, object]) -> Document:
    said: Document = {}
    if specific.baseUrl is not UNSET:
        said["base_url"] = specific.baseUrl
    if specific.variables is not UNSET:
        said["variables"] = specific.variables
    if specific.customHeaders is not UNSET or specific.customUserAgent is not UNSET:
        agents = {name: value for name, value in headers.items() if name.lower() == _AGENT}
        others = {name: value for name, value in headers.items() if name.lower() != _AGENT}
        if specific.customHeaders is not UNSET:
            others = dict(specific.customHeaders or {})
        if specific.customUserAgent is not UNSET:
            agents = {_AGENT: specific.customUserAgent} if specific.customUserAgent else {}
        said["headers"] = {**others, **agents}
    return said


def _is_masked(key: str | None) -> bool:
    """Whether it is what an answer showed in place of a credential, sent back."""
    return key is not None and key.startswith(MASK)
