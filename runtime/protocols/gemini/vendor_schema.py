"""The vendor's own schema form, types in capitals, to JSON Schema, which all others read.

Also JSON Schemas in which a client of this vendor wrote types in capitals. A schema that is sound already stays the very text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from runtime.errors import InvalidRequest
from runtime.protocols.gemini.spelling import camel
from runtime.protocols.gemini.wire import text_of
from runtime.protocols.json_schema import Schema, is_list, is_object

__all__ = ["json_schema_of", "lower_types"]

_CAPITALS: Final = re.compile(rb'"type"[ \t\r\n]*:[ \t\r\n]*(?:\[[^\]]*)?"[A-Z]')
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_MAPS: Final = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONES: Final = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_NAMES: Final = {"defs": "$defs", "ref": "$ref"}
_DROPPED: Final = frozenset({"nullable", "propertyOrdering", "example"})

Convert = Callable[[object], object]


def json_schema_of(raw: msgspec.Raw, path: str) -> str:
    """A schema in the vendor's form as JSON Schema. Raises InvalidRequest that names ``path``."""
    _object(raw, path)
    return _written(raw, path, _converted)


def lower_types(raw: msgspec.Raw, path: str) -> str:
    """A JSON Schema with its types as JSON Schema spells them. Raises InvalidRequest that names ``path``."""
    _object(raw, path)
    return _written(raw, path, _lowered) if _CAPITALS.search(memoryview(raw)) else text_of(raw)


def _object(raw: msgspec.Raw, path: str) -> None:
    """Schemas that are true or false hold inside others only: no vendor takes one of them for a whole."""
    if bytes(memoryview(raw)[:1]) != b"{":
        raise InvalidRequest(f"The field '{path}' must be an object.", param=path, code="invalid_type")


def _written(raw: msgspec.Raw, path: str, convert: Convert) -> str:
    try:
        return msgspec.json.encode(convert(msgspec.json.decode(raw))).decode()
    except RecursionError:
        raise InvalidRequest(f"The field '{path}' is nested too deeply.", param=path) from None
    except msgspec.DecodeError as error:  # a number beyond all bounds: everything else was read before
        raise InvalidRequest(f"The field '{path}' cannot be read: {error}.", param=path) from None


def _converted(schema: object) -> object:
    if not is_object(schema):
        return schema
    given = {_NAMES.get(camel(key), camel(key)) if key[:1] != "$" else key: value for key, value in schema.items()}
    done = _inside({key: value for key, value in given.items() if key not in _DROPPED}, _converted)
    for count in _COUNTS & done.keys():
        done[count] = _number(done[count])
    if done.get("format") == "enum":
        del done["format"]
    if given.get("example") is not None:
        done["examples"] = [given["example"]]
    if done.get("type") == "type_unspecified":
        del done["type"]
    _order(done, given.get("propertyOrdering"))
    return _nullable(done) if given.get("nullable") is True else done


def _lowered(schema: object) -> object:
    return _inside(schema, _lowered) if is_object(schema) else schema


def _inside(schema: Schema, convert: Convert) -> Schema:
    done: Schema = {}
    for key, value in schema.items():
        match key:
            case "type":
                done[key] = _lower(value)
            case _ if key in _MAPS and is_object(value):
                done[key] = {name: convert(member) for name, member in value.items()}
            case _ if key in _LISTS and is_list(value):
                done[key] = [convert(member) for member in value]
            case _ if key in _ONES:
                done[key] = [convert(member) for member in value] if is_list(value) else convert(value)
            case _:
                done[key] = value
    return done


def _lower(value: object) -> object:
    if is_list(value):
        return [_lower(word) for word in value]
    return value.lower() if isinstance(value, str) else value


def _order(schema: Schema, names: object) -> None:
    """The order of properties, which JSON Schema has no word for, is that in which they stand."""
    properties = schema.get("properties")
    if is_list(names) and is_object(properties):
        first = {name: properties[name] for name in names if isinstance(name, str) and name in properties}
        schema["properties"] = {**first, **properties}


def _nullable(schema: Schema) -> Schema:
    types, values = schema.get("type"), schema.get("enum")
    if isinstance(types, str):
        schema["type"] = [types, "null"]
        if is_list(values) and None not in values:
            schema["enum"] = [*values, None]
        return schema
    choices = schema.get("anyOf")
    if is_list(choices):
        schema["anyOf"] = [*choices, {"type": "null"}]
    return schema


def _number(value: object) -> object:
    whole = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19
    return int(value) if whole and isinstance(value, str) else value
