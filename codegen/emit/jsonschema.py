"""`generated/jsonschema/`: what editors complete and underline while one writes the files below `schemas/`.

Made from the very Structs that the compiler decodes those files to, so the two cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Final, cast

import msgspec
from jinja2 import Environment
from msgspec import inspect

from codegen.emit.gateway_schema import DIALECT, gateway_schema
from codegen.emit.output import Output
from codegen.emit.python import header
from codegen.emit.quantity import SCHEMAS
from codegen.emit.settings import SOURCE
from codegen.ir import Project
from codegen.load import KINDS, VERSION, Kind
from codegen.spec.description import DESCRIPTIONS

__all__ = ["FILES", "emit_json_schemas", "kind_schema"]

FILES: Final = {"sections": "config", "protocols": "protocol", "providers": "provider", "openapi": "openapi"}
"""What the schema of each kind of file is called."""


def emit_json_schemas(project: Project, env: Environment) -> Iterator[Output]:
    """One JSON Schema for each kind of file, and one for gateway.yaml."""
    del env
    for kind in KINDS:
        yield _output(FILES[kind.name], kind_schema(kind), ())
    if project.sections:
        yield _output("gateway", gateway_schema(project.sections), (SOURCE,))


def kind_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of one kind of schema file."""
    schemas = _Schemas()
    schemas.of(inspect.type_info(kind.spec))
    root = schemas.definitions.pop(kind.spec.__name__)
    root["properties"] = {"version": {"description": "The version of this kind of file.", "const": VERSION}} | {
        name: schema for name, schema in root["properties"].items() if name != "version"
    }
    root["required"] = ["version", *(name for name in root["required"] if name != "version")]
    comment = header(f"codegen/spec and runtime/catalog ({kind.spec.__name__})")
    return {
        "$schema": DIALECT,
        "$comment": comment,
        "title": f"A {kind.noun} of Gatewright",
        **root,
        "$defs": schemas.definitions,
    }


def _output(name: str, schema: dict[str, Any], sources: tuple[str, ...]) -> Output:
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"
    return Output(path=f"generated/jsonschema/{name}.json", text=text, sources=sources)


class _Schemas:
    """Collects one definition for each Struct on the way."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, info: inspect.Type) -> dict[str, Any]:  # noqa: C901, PLR0912 — one line per type
        match info:
            case inspect.Metadata():
                return self._metadata(cast("Any", info))
            case inspect.StructType():
                return self._struct(info)
            case inspect.DictType():
                return {"type": "object", "additionalProperties": self.of(info.value_type)}
            case inspect.ListType() | inspect.VarTupleType():
                return {"type": "array", "items": self.of(info.item_type), **_limits(info)}
            case inspect.UnionType():
                return _any_of([self.of(member) for member in info.types])
            case inspect.EnumType():
                return {"enum": [member.value for member in info.cls]}
            case inspect.LiteralType():
                return {"enum": list(info.values)}
            case inspect.StrType():
                return {"type": "string", **_limits(info)}
            case inspect.IntType():
                return {"type": "integer", **_limits(info)}
            case inspect.FloatType():
                return {"type": "number", **_limits(info)}
            case inspect.BoolType():
                return {"type": "boolean"}
            case inspect.NoneType():
                return {"type": "null"}
            case _:
                return {}

    def _metadata(self, info: Any) -> dict[str, Any]:
        extra: dict[str, Any] = info.extra or {}
        quantity = extra.get("quantity")
        if quantity:
            return dict(SCHEMAS[quantity])
        return {**(info.extra_json_schema or {}), **self.of(info.type)}

    def _struct(self, info: inspect.StructType) -> dict[str, Any]:
        name = info.cls.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # a Struct may contain itself
            summary, attributes = _docstring(info.cls)
            attributes = {**attributes, **DESCRIPTIONS.get(name, {})}
            properties = {}
            for field in info.fields:
                schema = self.of(field.type)
                words = attributes.get(field.encode_name) or attributes.get(field.name)
                described = {"description": words} if words else {}
                properties[field.encode_name] = {**described, **schema, **_default(field)}
            self.definitions[name] = {
                "description": summary,
                "type": "object",
                "properties": properties,
                "required": [field.encode_name for field in info.fields if field.required],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """One list of types where nothing but the type is said, else `anyOf`."""
    if all(set(schema) == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _limits(info: Any) -> dict[str, Any]:
    names = {"ge": "minimum", "le": "maximum", "pattern": "pattern"}
    if isinstance(info, inspect.StrType):
        names |= {"min_length": "minLength", "max_length": "maxLength"}
    else:
        names |= {"min_length": "minItems", "max_length": "maxItems"}
    found = {keyword: getattr(info, name, None) for name, keyword in names.items()}
    return {keyword: value for keyword, value in found.items() if value is not None}


def _default(field: inspect.Field) -> dict[str, Any]:
    """A default worth showing: not "absent", and not a whole record."""
    value = field.default
    if value is msgspec.NODEFAULT or value is msgspec.UNSET or value is None or isinstance(value, msgspec.Struct):
        return {}
    return {"default": msgspec.to_builtins(value)}


def _docstring(cls: type[Any]) -> tuple[str, dict[str, str]]:
    """The prose of a docstring, and what its `Attributes` section says of each field."""
    text = cleandoc(cls.__doc__ or "")  # which Python 3.13 has done already
    prose, _, section = text.partition("\nAttributes:\n")
    attributes: dict[str, str] = {}
    entries = re.findall(r"^    ([a-z_0-9, ]+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    for names, description in entries:
        for name in names.split(", "):
            attributes[name] = _sentence(description)
    return " ".join(prose.split()), attributes


def _sentence(text: str) -> str:
    joined = " ".join(text.split())
    return joined[:1].upper() + joined[1:]
