"""Rewrite a JSON Schema into the dialect that OpenAI's strict mode takes, in Chat as in Responses.

The dialect: an object on top, every object closed, every property required (an optional one may be null instead), and no
keyword but those that the vendor can force. A rewritten schema admits what the old one admits; where a keyword only narrows
and cannot be forced, the model is told it in the description. What would admit less, like an object with free keys, is
refused: a caller then sends the old schema without `strict`. Sizes and depths are the vendor's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.protocols.json_schema import Schema, is_list, is_object, read_schema, tell, write_schema

__all__ = ["NotStrictError", "strict_schema"]

_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_EVERYWHERE: Final = frozenset({"type", "description", "title", "enum", "const"})
_BY_TYPE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "object": frozenset({"properties", "required", "additionalProperties"}),
        "array": frozenset({"items", "minItems", "maxItems"}),
        "string": frozenset({"pattern", "format"}),
        "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
        "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    }
)
_DEFS: Final = ("$defs", "definitions")
_HANDLED: Final = frozenset({"$ref", "$defs", "definitions", "allOf", "anyOf", "oneOf"})
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "$anchor", "examples", "deprecated", "readOnly", "writeOnly"})
"""Keywords that constrain no value: dropped."""

_WIDER: Final = frozenset(
    {"patternProperties", "prefixItems", "additionalItems", "unevaluatedProperties", "$dynamicRef"}
)
"""Keywords that say how a part looks which strict mode has no place for: without them the schema would mean another."""

_NAMES: Final[Mapping[type, str]] = MappingProxyType(
    {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array", dict: "object"}
)


class NotStrictError(ValueError):
    """No strict schema means the same. ``path`` leads to the keyword, like `properties.tags.items`; "" is the top."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'the top of the schema'}: {reason}")
        self.path = path
        self.reason = reason


def strict_schema(schema: str) -> str:
    """``schema`` (JSON text) as strict mode takes it; the very text it was where it fits already.

    Raises:
        NotStrictError: a ValueError with the path of what no strict schema can say; the schema may be sent without `strict`.
        ValueError: ``schema`` is no JSON object, or nested too deeply to be read: no vendor takes it.
    """
    source = read_schema(schema)
    if source is None:
        raise ValueError("the schema is not an object")
    try:
        done = _top(source)
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return schema if done == source else write_schema(done)


def _top(source: Schema) -> Schema:
    """The whole schema: a reference on top is followed, a schema that says nothing is a tool without parameters."""
    top: Schema = source
    reference, seen = top.get("$ref"), set[str]()
    while isinstance(reference, str):
        named = _named(reference, source)
        if named is None or reference in seen:
            raise NotStrictError("$ref", f"nothing is found at {reference!r}")
        seen.add(reference)
        defs: Schema = {key: source[key] for key in _DEFS if key in source}
        top, reference = {**named, **defs}, named.get("$ref")
    if not top.keys() - _SILENT - {"type"} and top.get("type", "object") == "object":
        return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    if top.get("type", "object" if "properties" in top else None) != "object":
        raise NotStrictError("", "strict mode wants an object on top")
    if "properties" not in top and "allOf" not in top:
        top = {**top, "properties": Schema()}
    done = _strict(top, "")
    if "anyOf" in done:
        raise NotStrictError("anyOf", "strict mode takes no alternatives on top")
    return done


def _named(reference: str, root: Schema) -> Schema | None:
    found: object = root
    for step in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ():
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if is_object(found) else None
    return found if is_object(found) and found is not root else None


def _sub(schema: object, path: str) -> Schema:
    if not is_object(schema):
        raise NotStrictError(path, "strict mode must be told what stands here")
    return _strict(schema, path)


def _strict(source: Schema, path: str) -> Schema:
    """One schema and all below it."""
    source = _flat(source, path)
    done: Schema = {}
    for key in _DEFS:
        if key in source:
            members = source[key]
            named = members if is_object(members) else {}
            done[key] = {name: _sub(member, _join(path, key, name)) for name, member in named.items()}
    if "$ref" in source:
        return _reference(source, done, path)
    source = _typed(source, path)
    types = _types(source)
    untold = _keywords(source, done, path)
    if "object" in types:
        _object(source, done, path)
    if "array" in types and "items" not in source:
        raise NotStrictError(path, "strict mode must be told what the items are")
    tell(done, untold)
    return done


def _keywords(source: Schema, done: Schema, path: str) -> list[tuple[str, object]]:
    """Put what strict mode can force into ``done``, but for an object's own keywords; back comes what it cannot."""
    types = _types(source)
    known = _EVERYWHERE.union(*(_BY_TYPE.get(word, frozenset()) for word in types))
    untold: list[tuple[str, object]] = []
    for key, value in source.items():
        if key in _WIDER:
            raise NotStrictError(_join(path, key), "strict mode does not know this keyword")
        if key in {"anyOf", "oneOf"}:
            done["anyOf"] = _alternatives(key, value, path)
        elif key == "items" and "array" in types:
            done[key] = _sub(value, _join(path, key))
        elif key in known and (key != "format" or value in _FORMATS):
            done[key] = value
        elif key not in _HANDLED and key not in _SILENT:
            untold.append((key, value))
    return untold


def _reference(source: Schema, done: Schema, path: str) -> Schema:
    """A reference, which may have no neighbours: what is said beside it is said around it."""
    reference = source["$ref"]
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise NotStrictError(_join(path, "$ref"), "strict mode follows references within the schema only")
    beside: Schema = {key: source[key] for key in ("description", "title") if key in source}
    more = source.keys() - {"$ref", "description", "title", "default", "$defs", "definitions"} - _SILENT
    if more:
        raise NotStrictError(_join(path, min(more)), "strict mode takes nothing beside a reference")
    return {**done, **beside, "anyOf": [{"$ref": reference}]} if beside else {**done, "$ref": reference}


def _alternatives(key: str, value: object, path: str) -> list[Schema]:
    return [
        _sub(member, f"{_join(path, key)}[{place}]") for place, member in enumerate(value if is_list(value) else ())
    ]


def _object(source: Schema, done: Schema, path: str) -> None:
    """Close it, and require every property; one that was optional may be null."""
    if source.get("additionalProperties", False) is not False:
        raise NotStrictError(_join(path, "additionalProperties"), "strict mode takes no keys that are not named")
    properties = source.get("properties")
    if not is_object(properties):
        raise NotStrictError(path, "strict mode must be told which keys an object has")
    required = source.get("required")
    named = required if is_list(required) else []
    for name in named:
        if name not in properties:
            raise NotStrictError(_join(path, "required"), f"{name!r} is required and not described")
    members: Schema = {}
    for name, member in properties.items():
        strict = _sub(member, _join(path, "properties", name))
        members[name] = strict if name in named else _nullable(strict)
    done["properties"] = members
    done["required"] = named if set(named) == set(members) else list(members)
    done["additionalProperties"] = False


def _nullable(schema: Schema) -> Schema:
    types = _types(schema)
    if "null" in types:
        return schema
    if "anyOf" in schema:
        members = schema["anyOf"]
        known = members if is_list(members) else []
        takes_null = any(is_object(member) and "null" in _types(member) for member in known)
        return schema if takes_null else {**schema, "anyOf": [*known, {"type": "null"}]}
    if not types or "const" in schema:
        around = {key: schema[key] for key in ("description",) if key in schema}
        inner = {key: value for key, value in schema.items() if key not in around}
        return {**around, "anyOf": [inner, {"type": "null"}]}
    choices = schema.get("enum")
    nullable = {**schema, "type": [*types, "null"]}
    return {**nullable, "enum": [*choices, None]} if is_list(choices) and None not in choices else nullable


def _typed(source: Schema, path: str) -> Schema:
    """``source`` with a type, which strict mode wants to see everywhere but beside alternatives."""
    if "type" in source or "anyOf" in source or "oneOf" in source:
        return source
    choices = source["enum"] if is_list(source.get("enum")) else [source["const"]] if "const" in source else None
    if is_list(choices):
        names = list(dict.fromkeys(_NAMES[type(choice)] for choice in choices))
        if not {"array", "object"} & set(names):
            return {"type": names[0] if len(names) == 1 else names, **source}
    for word, keyword in (("object", "properties"), ("array", "items")):
        if keyword in source:
            return {"type": word, **source}
    raise NotStrictError(path, "strict mode must be told the type")


def _types(schema: Schema) -> list[str]:
    types = schema.get("type")
    return (
        [types]
        if isinstance(types, str)
        else [word for word in types if isinstance(word, str)]
        if is_list(types)
        else []
    )


def _flat(source: Schema, path: str) -> Schema:
    """``source`` without `allOf`: its members' properties beside its own, where no two of them say the same key."""
    if "allOf" not in source:
        return source
    members = source["allOf"]
    merged: Schema = {key: value for key, value in source.items() if key != "allOf"}
    for place, member in enumerate(members if is_list(members) else ()):
        where = f"{_join(path, 'allOf')}[{place}]"
        if not is_object(member):
            raise NotStrictError(where, "strict mode has no `allOf`, and this member cannot be merged")
        for key, value in (_flat(member, where) if "allOf" in member else member).items():
            merged[key] = _merged(key, merged[key], value, where) if key in merged else value
    return merged


def _merged(key: str, first: object, second: object, path: str) -> object:
    if first == second:
        return first
    if key == "required" and is_list(first) and is_list(second):
        return [*first, *(name for name in second if name not in first)]
    if key == "properties" and is_object(first) and is_object(second):
        clash = [name for name in second if name in first and first[name] != second[name]]
        if not clash:
            return {**first, **second}
        raise NotStrictError(
            _join(path, key, clash[0]), "strict mode has no `allOf`, and two members describe this differently"
        )
    if key in {"description", "title"}:
        return first
    raise NotStrictError(_join(path, key), "strict mode has no `allOf`, and two members differ here")


def _join(path: str, *steps: str) -> str:
    return ".".join((path, *steps)) if path else ".".join(steps)
