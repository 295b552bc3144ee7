"""Whether a schema is one that the vendor takes as strict: it refuses a request whose strict schema is not."""

from __future__ import annotations

from typing import Final, TypeGuard

import msgspec

__all__ = ["fits_strict"]

_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS: Final = ("properties", "$defs", "definitions")
_ONE: Final = ("items", "not")


def fits_strict(schema: str | None) -> bool:
    """Every object in it allows no other properties, and requires all that it has."""
    if schema is None:
        return False
    try:
        return _fits(msgspec.json.decode(schema))
    except (msgspec.DecodeError, RecursionError):
        return False


def _fits(schema: object) -> bool:
    if not _is_object(schema):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        names = set(properties) if _is_object(properties) else set[str]()
        required = schema.get("required")
        if schema.get("additionalProperties") is not False or names - set(_words(required)):
            return False
    inner: list[object] = [schema.get(word) for word in _ONE]
    for word in _LISTS:
        members = schema.get(word)
        inner += members if _is_list(members) else []
    for word in _MAPS:
        members = schema.get(word)
        inner += members.values() if _is_object(members) else []
    return all(_fits(member) for member in inner)


def _words(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if _is_list(value) else []


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)
