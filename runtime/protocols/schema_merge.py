"""One JSON Schema for several that must all hold: `allOf` without the word."""

from __future__ import annotations

from collections.abc import Callable

from runtime.protocols.json_schema import Schema, is_list, is_object

__all__ = ["ContradictionError", "both", "merged"]

_LEAST = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_MOST = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_WORDS = frozenset({"title", "default", "examples", "$comment", "$schema", "$id", "deprecated", "format"})

Resolve = Callable[[Schema], Schema]


class ContradictionError(ValueError):
    """Two schemas that no value satisfies, or that no one schema says."""


def merged(schema: Schema, resolve: Resolve) -> Schema:
    """``schema`` with its `allOf` taken in. Raises ContradictionError."""
    result = {key: value for key, value in schema.items() if key != "allOf"}
    members = schema.get("allOf")
    for member in members if is_list(members) else ():
        if member is False:
            raise ContradictionError("one of the schemas allows no value")
        if is_object(member):
            found = resolve(member)
            result = both(result, merged(found, resolve) if "allOf" in found else found)
    return result


def both(first: Schema, second: Schema) -> Schema:
    """Values that satisfy both."""
    result = dict(first)
    for key, value in second.items():
        result[key] = _both(key, result[key], value) if key in result and result[key] != value else value
    return result


def _both(key: str, first: object, second: object) -> object:
    if key == "properties" and is_object(first) and is_object(second):
        shared = {name: _property(first[name], second[name]) for name in first.keys() & second.keys()}
        return {name: shared.get(name, {**second, **first}[name]) for name in {**first, **second}}
    if key == "required" and is_list(first) and is_list(second):
        return [*first, *(name for name in second if name not in first)]
    if key in {"$defs", "definitions"} and is_object(first) and is_object(second):
        return {**second, **first}
    if key == "description" and isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    if isinstance(first, int | float) and isinstance(second, int | float) and key in _LEAST | _MOST:
        return max(first, second) if key in _LEAST else min(first, second)
    if key in _WORDS:
        return first
    return _narrower(key, first, second)


def _narrower(key: str, first: object, second: object) -> object:
    match key:
        case "enum" if is_list(first) and is_list(second):
            kept = [value for value in first if value in second]
            if not kept:
                raise ContradictionError("the lists of values have none in common")
            return kept
        case "type":
            return _types(first, second)
        case "additionalProperties":
            return _property(first, second)
        case "items" if is_object(first) and is_object(second):
            return both(first, second)
        case _:
            raise ContradictionError(f"'{key}' is said twice, in ways that cannot be told as one")


def _types(first: object, second: object) -> object:
    one = first if is_list(first) else [first]
    other = second if is_list(second) else [second]
    kept = [word for word in one if word in other or (word == "integer" and "number" in other)]
    kept += [word for word in other if word == "integer" and "number" in one and word not in kept]
    if not kept:
        raise ContradictionError("the types have none in common")
    return kept[0] if len(kept) == 1 else kept


def _property(first: object, second: object) -> object:
    if first is False or second is False:
        return False
    if is_object(first) and is_object(second):
        return both(first, second)
    return first if is_object(first) else second
