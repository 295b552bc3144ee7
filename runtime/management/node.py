"""Provider nodes: servers of the operator's own as the management API has them, and as gateway.yaml has them.

A node is a provider that the catalogue does not have. Its `prefix` is the provider's id, and stands before its models' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runtime.errors import InvalidRequest
from runtime.management.body import Document, read_body, settings_of, unmasked
from runtime.network import Standing, standing_of

__all__ = [
    "OWN", "NodeFields", "api_type", "node_document", "node_type", "read_node", "refuse_private", "refuse_standing",
]  # fmt: skip

ApiType: TypeAlias = Literal["chat", "responses", "embeddings"]

PROTOCOLS: Final[Mapping[ApiType, str]] = MappingProxyType(
    {"chat": "openai_chat", "responses": "openai_responses", "embeddings": "openai_embeddings"}
)
"""What `apiType` stands for."""

ANTHROPIC: Final = "anthropic_messages"

_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Path = Annotated[str, Meta(pattern="^/", max_length=500)]


class NodeFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of a node. What only answers say is taken and left aside."""

    name: _Text | UnsetType = UNSET
    prefix: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]*$", max_length=100)] | UnsetType = UNSET
    type: Literal["openai-compatible", "anthropic-compatible"] | UnsetType = UNSET
    apiType: ApiType | UnsetType | None = UNSET  # noqa: N815 — as clients write it
    baseUrl: Annotated[str, Meta(min_length=1, max_length=2000)] | UnsetType = UNSET  # noqa: N815
    chatPath: _Path | UnsetType | None = UNSET  # noqa: N815
    local: bool | UnsetType = UNSET
    settings: dict[str, object] | UnsetType | None = UNSET
    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET


OWN: Final = ("name", "base_url", "local", "surfaces", "connections")
"""What the API says otherwise, or elsewhere."""


def read_node(data: Mapping[str, object]) -> NodeFields:
    """Raises InvalidRequest."""
    fields = read_body(data, NodeFields)
    if fields.apiType and fields.type == "anthropic-compatible":
        raise InvalidRequest("apiType: it says which of OpenAI's protocols; leave it out", param="apiType")
    for name in fields.settings if isinstance(fields.settings, dict) else ():
        if name in OWN and name != "surfaces":
            raise InvalidRequest(f"settings.{name}: this is not said here", param=f"settings.{name}")
    return fields


def node_document(fields: NodeFields, before: Mapping[str, object] | None = None) -> Document:
    """What gateway.yaml says of the provider once ``fields`` have changed what it said ``before``."""
    document: Document = dict(before or {})
    if isinstance(fields.settings, dict):
        said = dict(fields.settings)
        if "proxy" in said:
            said["proxy"] = unmasked(said["proxy"], document.get("proxy"))
        document = {name: value for name, value in document.items() if name in OWN} | said
    if fields.name is not UNSET:
        document["name"] = fields.name
    if fields.local is not UNSET:
        document["local"] = True if fields.local else None
    protocol, surface = _surface(fields, document)
    if fields.baseUrl is not UNSET:
        document["base_url"] = _base_url(fields.baseUrl, protocol)
    if (
        "surfaces" not in document
        or fields.type is not UNSET
        or fields.apiType is not UNSET
        or fields.chatPath is not UNSET
    ):
        document["surfaces"] = {protocol: surface}
    if before is None:
        document.setdefault("open_models", True)
        header = {"header": "x-api-key", "prefix": ""} if protocol == ANTHROPIC else {}
        document.setdefault("auth", {"scheme": "optional_key", **header})
    return {name: value for name, value in document.items() if value is not None}


def node_type(document: Mapping[str, object]) -> Literal["openai-compatible", "anthropic-compatible"]:
    return "anthropic-compatible" if _protocol(document) == ANTHROPIC else "openai-compatible"


def api_type(document: Mapping[str, object]) -> ApiType | None:
    """The `apiType` of its first protocol; None where that is none of OpenAI's."""
    return next((word for word, protocol in PROTOCOLS.items() if protocol == _protocol(document)), None)


def refuse_private(url: str, *, local: bool, param: str = "baseUrl") -> None:
    """Raises InvalidRequest for the address of a machine or network of one's own, unless it is said to be ``local``.

    What a network tells its machines about themselves is not for anybody, local or not.
    """
    host = urlsplit(url).hostname or ""
    found = standing_of(host)
    if found is None and (host == "localhost" or host.endswith((".localhost", ".local", ".internal", ".home.arpa"))):
        found = "own"
    if found is not None:
        refuse_standing(host, found, local=local, param=param)


def refuse_standing(host: str, found: Standing, *, local: bool, param: str) -> None:
    """The same where it is known where ``host`` leads."""
    if found == "never":
        raise InvalidRequest(f"{param}: {host} is no address that requests are sent to", param=param)
    if found == "own" and not local:
        message = f"{param}: {host} leads to a machine or network of your own; say `local: true` if it is meant"
        raise InvalidRequest(message, param=param)


def _protocol(document: Mapping[str, object]) -> str:
    return next(iter(settings_of(document.get("surfaces"))), "openai_chat")


def _surface(fields: NodeFields, document: Mapping[str, object]) -> tuple[str, Document]:
    """The protocol that is spoken, and where."""
    protocol = _protocol(document)
    if fields.type == "anthropic-compatible":
        protocol = ANTHROPIC
    elif fields.apiType is not UNSET and fields.apiType is not None:
        protocol = PROTOCOLS[fields.apiType]
    elif fields.type == "openai-compatible" and protocol not in PROTOCOLS.values():
        protocol = PROTOCOLS["chat"]
    surface = dict(settings_of(settings_of(document.get("surfaces")).get(protocol)))
    if fields.chatPath is not UNSET:
        surface["path"] = fields.chatPath
    return protocol, {name: value for name, value in surface.items() if value is not None}


def _base_url(url: str, protocol: str) -> str:
    """Without what the protocol's path says again: clients write Anthropic's with the version, and without."""
    url = url.rstrip("/")
    return url.removesuffix("/v1") if protocol == ANTHROPIC else url
