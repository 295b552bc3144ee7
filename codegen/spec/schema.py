"""The subset of JSON Schema 2020-12 that types are written in, in protocol and OpenAPI files alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

__all__ = ["Discriminator", "Schema", "TypeWord"]

TypeWord = Literal["string", "integer", "number", "boolean", "object", "array", "null"]


class Discriminator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which property tells the members of a `oneOf` apart. Each member has it as a `const`."""

    property_name: Annotated[str, Meta(description="The property that every member has as a const.")] = msgspec.field(
        name="propertyName"
    )


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One type. Exactly one of `type`, `$ref`, `oneOf`, `enum`, `const` and `x-raw` says what it is."""

    type: Annotated[
        TypeWord | tuple[TypeWord, ...] | None,
        Meta(description='A JSON type, or a list of one and "null".'),
    ] = None
    description: Annotated[str | None, Meta(description="One or more sentences; becomes the docstring.")] = None
    properties: dict[str, Schema] = {}
    required: Annotated[tuple[str, ...], Meta(description="The properties that are always there.")] = ()
    additional_properties: Annotated[
        Schema | bool | None,
        Meta(description="The type of every value: the object is a map. Or `false`: other properties are refused."),
    ] = msgspec.field(name="additionalProperties", default=None)
    items: Annotated[Schema | None, Meta(description="The type of an array's items.")] = None
    enum: Annotated[tuple[Any, ...], Meta(description="The allowed texts or whole numbers.")] = ()
    const: Annotated[Any, Meta(description="The only allowed value.")] = msgspec.UNSET
    default: Annotated[Any, Meta(description="The value when it is absent.")] = msgspec.UNSET
    ref: Annotated[str | None, Meta(description="`#/types/Name`, or a path to another file before the `#`.")] = (
        msgspec.field(name="$ref", default=None)
    )
    one_of: Annotated[tuple[Schema, ...], Meta(description="Any one of these.")] = msgspec.field(
        name="oneOf", default=()
    )
    discriminator: Discriminator | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = msgspec.field(name="minLength", default=None)
    max_length: int | None = msgspec.field(name="maxLength", default=None)
    min_items: int | None = msgspec.field(name="minItems", default=None)
    max_items: int | None = msgspec.field(name="maxItems", default=None)
    pattern: Annotated[str | None, Meta(description="A regular expression that texts match somewhere.")] = None
    raw: Annotated[bool, Meta(description="Any JSON, kept as the bytes that came.")] = msgspec.field(
        name="x-raw", default=False
    )
    examples: tuple[Any, ...] = ()
