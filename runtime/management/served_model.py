"""Models of a provider as the management API has them, and as gateway.yaml has them: facts laid over the catalogue's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runtime.errors import InvalidRequest
from runtime.management.body import Document, read_body

__all__ = ["OWN", "ServedModelFields", "api_format", "model_document", "read_served_model"]

_FORMATS: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        "chat-completions": ("chat", "openai_chat"),
        "responses": ("chat", "openai_responses"),
        "messages": ("chat", "anthropic_messages"),
        "chat": ("chat", None),
        "embeddings": ("embeddings", None),
    }
)
"""What `apiFormat` says: the kind of call, and the one protocol, where it means one."""

OWN: Final = ("name", "endpoint", "protocol")


class ServedModelFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of a model; ``settings`` in gateway.yaml's own words."""

    provider: Annotated[str, Meta(min_length=1, max_length=200)]
    modelId: Annotated[str, Meta(min_length=1, max_length=240)]  # noqa: N815 — as clients write it
    modelName: Annotated[str, Meta(max_length=240)] | UnsetType | None = UNSET  # noqa: N815
    apiFormat: str | UnsetType | None = UNSET  # noqa: N815
    isHidden: bool | UnsetType = UNSET  # noqa: N815
    settings: dict[str, object] | UnsetType | None = UNSET
    source: str | UnsetType = UNSET


def read_served_model(data: Mapping[str, object]) -> ServedModelFields:
    """Raises InvalidRequest."""
    fields = read_body(data, ServedModelFields)
    if isinstance(fields.apiFormat, str) and fields.apiFormat not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise InvalidRequest(f"apiFormat: {fields.apiFormat!r} is not spoken; known is {known}", param="apiFormat")
    for name in fields.settings if isinstance(fields.settings, dict) else ():
        if name in OWN:
            own = "modelName" if name == "name" else "apiFormat"
            raise InvalidRequest(f"settings.{name}: this is said in {own!r}", param=f"settings.{name}")
    return fields


def model_document(fields: ServedModelFields, before: Mapping[str, object] | None = None) -> Document:
    """What gateway.yaml says of the model once ``fields`` have changed what it said ``before``."""
    document: Document = dict(before or {})
    if fields.settings is not UNSET:
        document = {name: value for name, value in document.items() if name in OWN} | dict(fields.settings or {})
    if fields.modelName is not UNSET:
        document["name"] = fields.modelName
    if isinstance(fields.apiFormat, str):
        document["endpoint"], document["protocol"] = _FORMATS[fields.apiFormat]
    if fields.isHidden is not UNSET:
        document["listed"] = False if fields.isHidden else None
    return {name: value for name, value in document.items() if value is not None}


def api_format(endpoint: str, protocol: str | None) -> str:
    """The `apiFormat` of a model that answers ``endpoint``; the endpoint itself where there is no other word."""
    pairs = {pair: word for word, pair in _FORMATS.items()}
    return pairs.get((endpoint, protocol)) or pairs.get((endpoint, None)) or endpoint
