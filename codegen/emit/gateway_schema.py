"""The JSON Schema of gateway.yaml, from its settings: types, limits, defaults, examples, help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from codegen.emit.python import header
from codegen.emit.quantity import SCHEMAS, SECRET, written
from codegen.ir import AnyItem, Item, ListItem, MapItem, Plain, RecordItem, Section, Setting, SettingRecord
from codegen.load import VERSION

__all__ = ["DIALECT", "gateway_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Final = {"text": "string", "integer": "integer", "number": "number", "boolean": "boolean"}


def gateway_schema(sections: Sequence[Section]) -> dict[str, Any]:
    """The schema of the whole file."""
    records = {record.name: _record(record) for section in sections for record in section.records}
    return {
        "$schema": DIALECT,
        "$comment": header("schemas/config/"),
        "title": "gateway.yaml",
        "description": "The configuration of a Gatewright gateway.",
        "type": "object",
        "properties": {
            "version": {"description": "The version of gateway.yaml's format.", "const": VERSION},
            **{section.key: _section(section) for section in sections},
        },
        "required": ["version", *(section.key for section in sections if _is_required(section))],
        "additionalProperties": False,
        "$defs": records,
    }


def _is_required(section: Section) -> bool:
    return section.shape == "record" and isinstance(section.item, RecordItem) and not section.item.complete


def _section(section: Section) -> dict[str, Any]:
    entry = _item(section.item)
    shapes: dict[str, dict[str, Any]] = {
        "record": entry,
        "map": {"type": "object", **_names(section.names), "additionalProperties": entry},
        "list": {"type": "array", "items": entry},
    }
    return {"description": _prose(section.help), **shapes[section.shape], **_examples(section.example)}


def _record(record: SettingRecord) -> dict[str, Any]:
    return {
        "description": _prose(record.help),
        "type": "object",
        "properties": {setting.key: _setting(setting) for setting in record.settings},
        "required": [setting.key for setting in record.settings if setting.required],
        "additionalProperties": False,
    }


def _setting(setting: Setting) -> dict[str, Any]:
    schema = _item(setting.item)
    limits = _prose_limits(setting.item)
    if not setting.required and setting.default is msgspec.UNSET:
        schema = {"anyOf": [schema, {"type": "null"}]}
    default = {}
    if setting.default is not msgspec.UNSET:
        is_quantity = isinstance(setting.item, Plain) and setting.item.word in SCHEMAS
        default = {"default": setting.written if is_quantity else setting.default}
    return {"description": f"{_prose(setting.help)}{limits}", **schema, **default, **_examples(setting.example)}


def _examples(example: Any) -> dict[str, Any]:
    return {} if example is msgspec.UNSET else {"examples": [example]}


def _item(item: Item) -> dict[str, Any]:
    match item:
        case ListItem():
            limits = {"minItems": item.min_items, "maxItems": item.max_items}
            return {"type": "array", "items": _item(item.item), **_given(limits)}
        case MapItem():
            return {"type": "object", **_names(item.names), "additionalProperties": _item(item.item)}
        case AnyItem():
            return {"anyOf": [_item(part) for part in item.items]}
        case RecordItem():
            return {"$ref": f"#/$defs/{item.name}"}
        case Plain():
            return _plain(item)


def _plain(item: Plain) -> dict[str, Any]:
    if item.word == "choice":
        return {"enum": list(item.choices)}
    if item.word == "secret":
        return dict(SECRET)
    if item.word in SCHEMAS:
        return dict(SCHEMAS[item.word])
    return _given(
        {"type": _TYPES[item.word], "minimum": item.minimum, "maximum": item.maximum, "pattern": item.pattern}
    )


def _given(keywords: dict[str, Any]) -> dict[str, Any]:
    return {keyword: value for keyword, value in keywords.items() if value is not None}


def _names(pattern: str | None) -> dict[str, Any]:
    return {"propertyNames": {"pattern": pattern}} if pattern else {}


def _prose(text: str) -> str:
    return " ".join(text.split())


def _prose_limits(item: Item) -> str:
    """The limits of a quantity in words: JSON Schema cannot compare `30s` with `2m`."""
    if not isinstance(item, Plain) or item.word not in SCHEMAS:
        return ""
    least = "" if item.minimum is None else f" At least {written(item.word, item.minimum)}."
    most = "" if item.maximum is None else f" At most {written(item.word, item.maximum)}."
    return least + most
