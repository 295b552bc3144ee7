"""Rewrite JSON Schemas into the dialects that providers understand, so that nothing they support is lost.

What a dialect has no keyword for is told to the model in words: it moves into the description. A schema that already
fits is returned as the very text it was, which keeps providers' prompt caches warm. This module does not judge values
against schemas.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeGuard

import msgspec

__all__ = [
    "EMPTY_OBJECT", "Schema", "is_list", "is_object", "object_schema", "read_schema", "resolved", "tell", "write_schema",
]  # fmt: skip

Schema: TypeAlias = dict[str, object]

EMPTY_OBJECT = '{"type":"object","properties":{}}'

_COMBINERS = ("allOf", "anyOf", "oneOf")


def object_schema(text: str | None) -> str:
    """The schema of a tool's input for a provider that wants an object on top, and no alternatives there.

    Alternatives on top are merged: all their properties, and as required what all of them require.

    Raises:
        ValueError: ``text`` is no JSON, or nested too deeply to be read.
    """
    if text is None:
        return EMPTY_OBJECT
    schema = read_schema(text)
    if schema is None:
        return EMPTY_OBJECT
    changed = _merge_top(schema) if any(word in schema for word in _COMBINERS) else schema
    if changed.get("type") != "object":
        changed = _with_object_type(changed)
    return text if changed is schema else write_schema(changed)


def read_schema(text: str) -> Schema | None:
    """The schema, None for one that is no object (JSON Schema allows true and false)."""
    try:
        schema: object = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"the schema is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return schema if is_object(schema) else None


def write_schema(schema: Schema) -> str:
    return msgspec.json.encode(schema).decode()


def _with_object_type(schema: Schema) -> Schema:
    type_ = schema.get("type")
    if type_ is None or (isinstance(type_, list) and "object" in type_):
        return {"type": "object", **{key: value for key, value in schema.items() if key != "type"}}
    return {"type": "object", "properties": {"value": schema}, "required": ["value"]}


def _merge_top(schema: Schema) -> Schema:
    """``schema`` without its combiners: their members' properties beside its own."""
    merged = {key: value for key, value in schema.items() if key not in _COMBINERS}
    properties: Schema = dict(_mapping(merged.get("properties")))
    required: list[str] = list(_strings(merged.get("required")))
    for word in _COMBINERS:
        members = [resolved(member, schema) for member in _list(schema.get(word))]
        if not members:
            continue
        for member in members:
            for name, property_ in _mapping(member.get("properties")).items():
                properties[name] = _either(properties[name], property_) if name in properties else property_
        required += _required(members, every=word != "allOf")
        if word != "allOf":
            choices = [{"required": list(_strings(member.get("required")))} for member in members]
            tell(merged, [(word, choices)])
    merged["properties"] = properties
    if required:
        merged["required"] = list(dict.fromkeys(required))
    return merged


def _required(members: list[Schema], *, every: bool) -> list[str]:
    """What members require: what each of them does (``every``), or what any does."""
    sets = [list(_strings(member.get("required"))) for member in members]
    return [name for names in sets for name in names if not every or all(name in other for other in sets)]


def _either(first: object, second: object) -> object:
    if first == second:
        return first
    known = _list(_mapping(first).get("anyOf")) if set(_mapping(first)) == {"anyOf"} else [first]
    return {"anyOf": [*known, *([] if second in known else [second])]}


def resolved(member: object, root: Schema) -> Schema:
    """``member``, or what its local reference names; {} for what cannot be found."""
    seen: set[str] = set()
    while isinstance(reference := _mapping(member).get("$ref"), str):
        if reference in seen or not reference.startswith("#/"):
            return {}
        seen.add(reference)
        member = root
        for step in reference[2:].split("/"):
            member = _mapping(member).get(step.replace("~1", "/").replace("~0", "~"))
    return _mapping(member)


def tell(schema: Schema, untold: Iterable[tuple[str, object]]) -> None:
    """Say in ``schema``'s description what it cannot say otherwise."""
    words = ", ".join(f"{key}: {msgspec.json.encode(value).decode()}" for key, value in untold)
    if words:
        before = schema.get("description")
        schema["description"] = f"{before}\n\n{{{words}}}" if isinstance(before, str) and before else f"{{{words}}}"


def _mapping(value: object) -> Schema:
    return value if is_object(value) else {}


def _list(value: object) -> list[object]:
    return value if is_list(value) else []


def is_object(value: object) -> TypeGuard[Schema]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _strings(value: object) -> Iterable[str]:
    return (item for item in _list(value) if isinstance(item, str))
