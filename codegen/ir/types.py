"""Types of the middle: records, aliases, and what a field can hold. Knows neither JSON Schema nor Python's syntax."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from runtime.source import Span

__all__ = [
    "Alias", "Boolean", "Choice", "Declaration", "Field", "Inline", "Integer", "ListOf", "MapOf", "Module", "Null", "Number",
    "OneOf", "Raw", "Record", "Reference", "Tag", "Text", "Type",
]  # fmt: skip


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all parts of the middle share: frozen, compared by content, printed without defaults."""


class Text(Node, frozen=True, kw_only=True, tag_field="is", tag="text"):
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


class Integer(Node, frozen=True, kw_only=True, tag_field="is", tag="integer"):
    minimum: int | None = None
    maximum: int | None = None


class Number(Node, frozen=True, kw_only=True, tag_field="is", tag="number"):
    minimum: float | None = None
    maximum: float | None = None


class Boolean(Node, frozen=True, kw_only=True, tag_field="is", tag="boolean"):
    pass


class Null(Node, frozen=True, kw_only=True, tag_field="is", tag="null"):
    pass


class Raw(Node, frozen=True, kw_only=True, tag_field="is", tag="raw"):
    """Any JSON, kept as bytes."""


class Choice(Node, frozen=True, kw_only=True, tag_field="is", tag="choice"):
    """One of a few texts or whole numbers. ``const``: it is always this one, so it can be left out when building."""

    values: tuple[str | int, ...]
    const: bool = False


class ListOf(Node, frozen=True, kw_only=True, tag_field="is", tag="list"):
    item: Type
    min_items: int | None = None
    max_items: int | None = None


class MapOf(Node, frozen=True, kw_only=True, tag_field="is", tag="map"):
    value: Type


class Reference(Node, frozen=True, kw_only=True, tag_field="is", tag="reference"):
    """A declared type by name. ``module`` is the name of the module that declares it."""

    module: str
    name: str


class OneOf(Node, frozen=True, kw_only=True, tag_field="is", tag="one_of"):
    """Any one of the members; ``discriminator`` is the property that tells them apart."""

    members: tuple[Type, ...]
    discriminator: str | None = None
    span: Span


class Inline(Node, frozen=True, kw_only=True, tag_field="is", tag="inline"):
    """An object written where it is used. The flatten pass turns it into a declared record; ``hint`` is a name for it."""

    record: Record
    hint: str | None = None


Type: TypeAlias = Text | Integer | Number | Boolean | Null | Raw | Choice | ListOf | MapOf | Reference | OneOf | Inline


class Field(Node, frozen=True, kw_only=True):
    """One property. ``name`` is the Python name, empty until the naming pass; ``default`` is plain JSON, UNSET if none."""

    wire: str
    name: str = ""
    type: Type
    required: bool = False
    nullable: bool = False
    default: Any = msgspec.UNSET
    description: str | None = None
    span: Span


class Tag(Node, frozen=True, kw_only=True):
    """The property that tells a record from the other members of its unions, and its value."""

    field: str
    value: str | int


class Record(Node, frozen=True, kw_only=True, tag_field="is", tag="record"):
    """``closed``: properties that it does not name are refused, not let through."""

    name: str
    description: str | None = None
    fields: tuple[Field, ...]
    tag: Tag | None = None
    closed: bool = False
    span: Span


class Alias(Node, frozen=True, kw_only=True, tag_field="is", tag="alias"):
    """A name for a type that is no record."""

    name: str
    type: Type
    description: str | None = None
    span: Span


Declaration: TypeAlias = Record | Alias


class Module(Node, frozen=True, kw_only=True):
    """The types of one source file, in the order in which they are emitted."""

    name: str
    source: str
    title: str
    declarations: tuple[Declaration, ...]
