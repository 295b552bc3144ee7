"""`generated/openapi.json`: the document that the gateway serves, whole, with types as they are decoded.

Made from the middle, not from the files: what the document promises is what the generated types accept. Every reference
points into `components.schemas`, where a type is called `<module>.<Name>`; only types that an operation reaches are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import msgspec
from jinja2 import Environment

from codegen.emit.output import Output
from codegen.emit.python import header
from codegen.ir import (
    Alias,
    Boolean,
    Choice,
    Declaration,
    Field,
    Integer,
    ListOf,
    MapOf,
    Null,
    Number,
    OneOf,
    Project,
    Raw,
    Record,
    Reference,
    Text,
    Type,
)
from codegen.ir.operations import Body, Content, Header, Operation, Parameter, Response
from codegen.lower.openapi import PUBLIC
from codegen.passes.rewrite import Table, references, table

__all__ = ["PATH", "SOURCES", "document", "emit_openapi_json", "schema"]

PATH = "generated/openapi.json"
SOURCES = ("schemas/openapi/", "schemas/protocols/")

Json = dict[str, object]


def emit_openapi_json(project: Project, env: Environment) -> Iterator[Output]:
    """The document; nothing without a root file."""
    del env
    if project.api is None:
        return
    text = msgspec.json.format(msgspec.json.encode(document(project)), indent=2).decode() + "\n"
    yield Output(path=PATH, sources=SOURCES, text=text)


def document(project: Project) -> Json:
    """The document as plain data. Raises ValueError when the project has no root file."""
    api = project.api
    if api is None:
        raise ValueError("the project has no root file")
    operations = [operation for resource in project.resources for operation in resource.operations]
    info = {"title": api.title, "version": api.version, "summary": api.summary, "description": api.description}
    schemas = _schemas(operations, table(project))
    made: Json = {
        "openapi": "3.1.0",
        "x-generated": header(*SOURCES),
        "info": _given(info),
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [_given({"url": url, "description": text}) for url, text in api.servers],
        "tags": [_given({"name": name, "description": text}) for name, text in api.tags],
        "paths": _paths(operations, [name for name, _ in api.schemes]),
        "components": {
            "schemas": schemas,
            "securitySchemes": dict(api.schemes),
        },
    }
    _map_discriminators(made, schemas)
    return made


def schema(type_: Type) -> Json:
    """A type as JSON Schema."""
    match type_:
        case Text():
            limits = {"minLength": type_.min_length, "maxLength": type_.max_length, "pattern": type_.pattern}
            return _given({"type": "string", **limits})
        case Integer():
            return _given({"type": "integer", "minimum": type_.minimum, "maximum": type_.maximum})
        case Number():
            return _given({"type": "number", "minimum": type_.minimum, "maximum": type_.maximum})
        case Boolean():
            return {"type": "boolean"}
        case Null():
            return {"type": "null"}
        case Choice():
            return {"const": type_.values[0]} if type_.const else {"enum": list(type_.values)}
        case ListOf():
            limits = {"minItems": type_.min_items, "maxItems": type_.max_items}
            return _given({"type": "array", "items": schema(type_.item), **limits})
        case MapOf():
            return {"type": "object", "additionalProperties": schema(type_.value)}
        case Reference():
            return {"$ref": f"#/components/schemas/{_component(type_.module, type_.name)}"}
        case OneOf():
            return _union(type_)
        case Raw():
            return {}
        case _:
            raise TypeError("the flatten pass leaves no inline object")


def _union(union: OneOf) -> Json:
    members = [schema(member) for member in union.members]
    if len(members) == 2 and isinstance(union.members[1], Null) and isinstance(members[0].get("type"), str):
        return {**members[0], "type": [members[0]["type"], "null"]}
    if union.discriminator is None or any(not isinstance(member, Reference) for member in union.members):
        return {"anyOf": members}
    return {"oneOf": members, "discriminator": {"propertyName": union.discriminator}}


def _declaration(item: Declaration) -> Json:
    if isinstance(item, Alias):
        return _given({"description": item.description, **schema(item.type)})
    return _given(
        {
            "type": "object",
            "description": item.description,
            "properties": _properties(item),
            "required": _required(item) or None,
            "additionalProperties": False if item.closed else None,
        }
    )


def _properties(record: Record) -> Json:
    tag: Json = {record.tag.field: {"const": record.tag.value}} if record.tag else {}
    return {**tag, **{field.wire: _field(field) for field in record.fields}}


def _required(record: Record) -> list[str]:
    tag = [record.tag.field] if record.tag else []
    return tag + [field.wire for field in record.fields if field.required]


def _field(field: Field) -> Json:
    described = _given({"description": field.description, **schema(field.type)})
    return described if field.default is msgspec.UNSET else {**described, "default": field.default}


# -- operations


def _paths(operations: Iterable[Operation], schemes: list[str]) -> Json:
    paths: Json = {}
    items: dict[str, Json] = {}
    for operation in operations:
        item = items.setdefault(operation.paths[0], {})
        paths[operation.paths[0]] = item
        if len(operation.paths) > 1:
            item["x-aliases"] = list(operation.paths[1:])
        item[operation.verb.lower()] = _operation(operation, schemes)
    return paths


def _operation(operation: Operation, schemes: list[str]) -> Json:
    nothing: list[str] = []
    return _given(
        {
            "operationId": operation.id,
            "summary": operation.summary,
            "description": operation.description,
            "tags": list(operation.tags),
            "x-scope": operation.scope,
            "x-operator": operation.operator or None,
            "x-raw": operation.protocol,
            "security": [] if operation.scope == PUBLIC else [{name: nothing} for name in schemes],
            "parameters": [_parameter(parameter) for parameter in operation.parameters] or None,
            "requestBody": _body(operation.body) if operation.body else None,
            "responses": {response.status: _response(response) for response in operation.responses},
        }
    )


def _parameter(parameter: Parameter) -> Json:
    described = schema(parameter.type)
    if parameter.default is not msgspec.UNSET:
        described["default"] = parameter.default
    lowered = {
        "name": parameter.wire,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required or None,
        "x-slashes": parameter.slashes or None,
        "schema": described,
    }
    return _given(lowered | ({} if parameter.example is msgspec.UNSET else {"example": parameter.example}))


def _body(body: Body) -> Json:
    required = body.required or None
    return _given({"description": body.description, "required": required, "content": _content(body.content)})


def _response(response: Response) -> Json:
    headers = {one.name: _header(one) for one in response.headers}
    content = _content(response.content)
    return _given({"description": response.description, "headers": headers or None, "content": content or None})


def _header(one: Header) -> Json:
    return _given({"description": one.description, "required": one.required or None, "schema": schema(one.type)})


def _content(content: Iterable[Content]) -> Json:
    return {one.media_type: {} if one.type is None else {"schema": schema(one.type)} for one in content}


# -- components


def _schemas(operations: Iterable[Operation], names: Table) -> Json:
    """What the operations reach, by module, each module in the order of its file."""
    reached: set[tuple[str, str]] = set()
    waiting = [found for operation in operations for type_ in _types(operation) for found in references(type_)]
    while waiting:
        found = waiting.pop()
        key = (found.module, found.name)
        if key in reached or key not in names:
            continue
        reached.add(key)
        item = names[key]
        types = [item.type] if isinstance(item, Alias) else [field.type for field in item.fields]
        waiting += [inner for type_ in types for inner in references(type_)]
    modules = sorted({module for module, _ in reached})
    return {
        _component(module, name): _declaration(item)
        for wanted in modules
        for (module, name), item in names.items()
        if module == wanted and (module, name) in reached
    }


def _map_discriminators(found: object, schemas: Mapping[str, object]) -> None:
    """Say which member each value of a discriminator stands for; without that, values are names of schemas."""
    if isinstance(found, list):
        for each in cast("list[object]", found):
            _map_discriminators(each, schemas)
    elif isinstance(found, dict):
        node = cast("Json", found)
        discriminator, members = node.get("discriminator"), node.get("oneOf")
        if isinstance(discriminator, dict) and isinstance(members, list):
            told = cast("Json", discriminator)
            told["mapping"] = _mapping(str(told["propertyName"]), cast("list[Json]", members), schemas)
        for each in node.values():
            _map_discriminators(each, schemas)


def _mapping(field: str, members: Iterable[Json], schemas: Mapping[str, object]) -> Json:
    mapping: Json = {}
    for member in members:
        record = cast("Json", schemas[str(member["$ref"]).rpartition("/")[2]])
        said = cast("Json", cast("Json", record.get("properties", {})).get(field, {}))
        values = [said["const"]] if "const" in said else said.get("enum", [])
        mapping |= {str(value): member["$ref"] for value in cast("list[object]", values)}
    return mapping


def _types(operation: Operation) -> Iterator[Type]:
    for parameter in operation.parameters:
        yield parameter.type
    bodies = [operation.body.content] if operation.body else []
    for response in operation.responses:
        bodies.append(response.content)
        yield from (one.type for one in response.headers)
    yield from (one.type for content in bodies for one in content if one.type is not None)


def _component(module: str, name: str) -> str:
    return f"{module}.{name}"


def _given(values: Mapping[str, object]) -> Json:
    return {key: value for key, value in values.items() if value is not None}
