"""JSON Schema to the middle's types, for protocols and OpenAPI components alike.

Reports what the dialect does not have, and keywords that have nothing to act on: a limit that limits nothing is a
promise nobody keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from codegen.ir import (
    Alias,
    Boolean,
    Choice,
    Declaration,
    Field,
    Inline,
    Integer,
    ListOf,
    MapOf,
    Null,
    Number,
    OneOf,
    Raw,
    Record,
    Reference,
    Text,
    Type,
)  # fmt: skip
from codegen.link import Links
from codegen.naming import is_class_name
from codegen.spec.schema import Schema
from runtime.source import Diagnostics, MappingNode, Node, SequenceNode, Span, locate

__all__ = ["lower_type", "lower_types"]

_UNWRITABLE: Final = re.compile(r'["\\\x00-\x1f]|^$')
"""Property names that the JSON encoder cannot write without escapes, and so refuses; and the empty one."""

_COMMON: Final = frozenset({"description", "default", "examples"})
_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"type", "enum", "const", "minLength", "maxLength", "pattern"}),
    "integer": frozenset({"type", "enum", "const", "minimum", "maximum"}),
    "number": frozenset({"type", "minimum", "maximum"}),
    "boolean": frozenset({"type"}),
    "null": frozenset({"type"}),
    "object": frozenset({"type", "properties", "required", "additionalProperties"}),
    "array": frozenset({"type", "items", "minItems", "maxItems"}),
    "choice": frozenset({"type", "enum"}),
    "const": frozenset({"type", "const"}),
    "$ref": frozenset({"$ref"}),
    "oneOf": frozenset({"oneOf", "discriminator"}),
    "x-raw": frozenset({"x-raw"}),
}


def lower_types(
    schemas: Mapping[str, Schema], table: Node, file: str, links: Links, diagnostics: Diagnostics
) -> tuple[Declaration, ...]:
    """Lower a table of named types. ``table`` is the node that ``schemas`` was decoded from."""
    lowerer = _Lowerer(file, links, diagnostics)
    declarations: list[Declaration] = []
    for name, schema in schemas.items():
        span = locate(table, (name,), key=True)
        if not is_class_name(name):
            hint = "begin with a capital, use letters and digits, and no word of Python's typing"
            diagnostics.error("bad-name", span, f"{name!r} cannot be the name of a type", hint)
        declarations.append(lowerer.declaration(name, schema, _at(table, name), span))
    return tuple(declarations)


def lower_type(schema: Schema, node: Node, file: str, links: Links, diagnostics: Diagnostics) -> Type:
    """Lower one schema that has no name, such as a parameter's."""
    return _Lowerer(file, links, diagnostics).type(schema, node)


def _at(node: Node, *path: str | int) -> Node:
    for step in path:
        found: Node | None = None
        if isinstance(node, MappingNode):
            found = node.get(str(step))
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            found = node.items[step]
        if found is None:
            return node
        node = found
    return node


class _Lowerer:
    def __init__(self, file: str, links: Links, diagnostics: Diagnostics) -> None:
        self._file = file
        self._links = links
        self._diagnostics = diagnostics

    def declaration(self, name: str, schema: Schema, node: Node, span: Span) -> Declaration:
        lowered = self.type(schema, node)
        if isinstance(lowered, Inline):
            return msgspec.structs.replace(lowered.record, name=name, span=span)
        return Alias(name=name, type=lowered, description=schema.description, span=span)

    def type(self, schema: Schema, node: Node) -> Type:
        words = (schema.type,) if isinstance(schema.type, str) else schema.type or ()
        plain = tuple(word for word in words if word != "null")
        kind = self._kind(schema, plain, node)
        if kind is None:
            return Raw()
        self._check_keywords(kind, node)
        lowered = self._of_kind(kind, schema, node)
        if len(plain) < len(words) and plain:
            return OneOf(members=(lowered, Null()), span=node.span)
        return lowered

    def _kind(self, schema: Schema, words: tuple[str, ...], node: Node) -> str | None:
        if len(words) > 1:
            self._unsupported(node.span, f"several types in one list: {', '.join(words)}", "use oneOf")
            return None
        for present, kind in (
            (schema.ref is not None, "$ref"),
            (bool(schema.one_of), "oneOf"),
            (schema.raw, "x-raw"),
            (bool(schema.enum), "choice"),
            (schema.const is not msgspec.UNSET, "const"),
        ):
            if present:
                return kind
        if words:
            return words[0]
        if schema.type is not None:
            return "null"
        if isinstance(node, MappingNode) and node.get("type") is not None:
            return None  # the word is wrong, and that has been said
        hint = "write type, $ref, oneOf, enum or const; or `x-raw: true` for any JSON"
        self._unsupported(node.span, "a schema that does not say what it describes", hint)
        return None

    def _check_keywords(self, kind: str, node: Node) -> None:
        allowed = _KEYWORDS[kind] | _COMMON
        for entry in node.entries if isinstance(node, MappingNode) else ():
            if entry.key not in allowed:
                what = f"a {kind}" if kind in {"choice", "const"} else f"`{kind}`"
                self._diagnostics.error(
                    "useless-keyword", entry.span, f"{entry.key} has no effect on {what}", "remove it"
                )

    def _of_kind(self, kind: str, schema: Schema, node: Node) -> Type:
        match kind:
            case "$ref":
                target = self._links.resolve(schema.ref or "", self._file)
                return Reference(module=self._links.modules.get(target.file, ""), name=target.name)
            case "oneOf":
                return self._one_of(schema, node)
            case "choice" | "const":
                return self._choice(schema, node)
            case "object":
                return self._object(schema, node)
            case "array":
                return self._array(schema, node)
            case "string":
                self._check_pattern(schema.pattern, node)
                return Text(min_length=schema.min_length, max_length=schema.max_length, pattern=schema.pattern)
            case "integer":
                return Integer(minimum=self._whole(schema.minimum, node), maximum=self._whole(schema.maximum, node))
            case "number":
                return Number(minimum=schema.minimum, maximum=schema.maximum)
            case "boolean":
                return Boolean()
            case "null":
                return Null()
            case _:
                return Raw()

    def _one_of(self, schema: Schema, node: Node) -> Type:
        property_name = schema.discriminator.property_name if schema.discriminator else None
        members: list[Type] = []
        for number, member in enumerate(schema.one_of):
            lowered = self.type(member, _at(node, "oneOf", number))
            if isinstance(lowered, Inline):
                tag = member.properties.get(property_name) if property_name else None
                hint = str(tag.const) if tag is not None and tag.const is not msgspec.UNSET else f"variant {number + 1}"
                lowered = msgspec.structs.replace(lowered, hint=hint)
            members.append(lowered)
        return OneOf(members=tuple(members), discriminator=property_name, span=node.span)

    def _choice(self, schema: Schema, node: Node) -> Type:
        const = schema.const is not msgspec.UNSET
        values = (schema.const,) if const else schema.enum
        nullable = any(value is None for value in values)
        values = tuple(value for value in values if value is not None)
        if not values or any(not isinstance(value, str | int) or isinstance(value, bool) for value in values):
            self._unsupported(
                node.span, "only texts and whole numbers can be chosen from", "use `type: boolean`, or oneOf"
            )
            return Raw()
        if len(set(values)) < len(values):
            self._diagnostics.error("duplicate-name", locate(node, ("enum",)), "a choice stands here twice", "keep one")
        choice = Choice(values=values, const=const)
        return OneOf(members=(choice, Null()), span=node.span) if nullable else choice

    def _object(self, schema: Schema, node: Node) -> Type:
        more = schema.additional_properties
        if more is True:
            hint = "leave it out: what is not named is let through"
            self._unsupported(locate(node, ("additionalProperties",)), "`additionalProperties: true`", hint)
        elif isinstance(more, Schema):
            if schema.properties:
                hint = "give the map a property of its own, or use `x-raw: true`"
                self._unsupported(node.span, "an object with properties and additionalProperties", hint)
            return MapOf(value=self.type(more, _at(node, "additionalProperties")))
        for number, name in enumerate(schema.required):
            if name not in schema.properties:
                span = locate(node, ("required", number))
                self._diagnostics.error("unknown-name", span, f"required names no property {name!r}", "remove it")
        for name in schema.properties:
            if _UNWRITABLE.search(name):
                span = locate(node, ("properties", name), key=True)
                hint = "take quotes, backslashes and control characters out"
                self._diagnostics.error("bad-name", span, f"{name!r} cannot be the name of a property", hint)
        fields = [
            self._field(name, child, _at(node, "properties", name), name in schema.required, node)
            for name, child in schema.properties.items()
        ]
        record = Record(
            name="", description=schema.description, fields=tuple(fields), closed=more is False, span=node.span
        )
        return Inline(record=record)

    def _field(self, name: str, schema: Schema, node: Node, required: bool, parent: Node) -> Field:
        return Field(
            wire=name,
            type=self.type(schema, node),
            required=required,
            default=schema.default,
            description=schema.description,
            span=locate(parent, ("properties", name), key=True),
        )

    def _array(self, schema: Schema, node: Node) -> Type:
        if schema.items is None:
            self._unsupported(node.span, "an array that does not say what it holds", "add items")
            return ListOf(item=Raw())
        item = self.type(schema.items, _at(node, "items"))
        return ListOf(item=item, min_items=schema.min_items, max_items=schema.max_items)

    def _check_pattern(self, pattern: str | None, node: Node) -> None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            self._diagnostics.error("bad-pattern", locate(node, ("pattern",)), f"no regular expression: {error}")

    def _whole(self, number: float | None, node: Node) -> int | None:
        if number is None:
            return None
        if number != int(number):
            self._diagnostics.error("invalid-value", node.span, f"the limit {number} of a whole number is not whole")
        return int(number)

    def _unsupported(self, span: Span, what: str, hint: str) -> None:
        self._diagnostics.error("unsupported-schema", span, what, hint)
