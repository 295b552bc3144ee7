"""Values to the Python expressions that build them: what is a default is left out, enums go by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, cast

import msgspec

from codegen.emit.layout import Atom, Call, Expression, Mapping, Sequence_, string

__all__ = ["classes", "expression"]


def expression(value: Any) -> Expression:
    """The expression for plain values, enums, and frozen Structs of them."""
    match value:
        case Enum():
            return Atom(f"{type(value).__name__}.{value.name}")
        case str():
            return string(value)
        case bool() | None:
            return Atom(repr(value))
        case int():
            return Atom(f"{value:_}" if abs(value) >= 10_000 else str(value))
        case float():
            return Atom(repr(value))
        case tuple() | list():
            items = tuple(expression(item) for item in cast("Sequence[Any]", value))
            return Sequence_(items, "()" if isinstance(value, tuple) else "[]")
        case dict():
            return Mapping(tuple((key, expression(item)) for key, item in cast("dict[str, Any]", value).items()))
        case msgspec.Struct():
            return Call(type(value).__name__, tuple((name, expression(item)) for name, item in _given(value)))
        case _:
            raise TypeError(f"no expression for {type(value).__name__}")


def classes(value: Any) -> Iterator[str]:
    """The names of the classes that the expression for ``value`` uses."""
    match value:
        case Enum():
            yield type(value).__name__
        case tuple() | list():
            for item in cast("Sequence[Any]", value):
                yield from classes(item)
        case dict():
            for item in cast("dict[str, Any]", value).values():
                yield from classes(item)
        case msgspec.Struct():
            yield type(value).__name__
            for _, item in _given(value):
                yield from classes(item)
        case _:
            return


def _given(value: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """The fields that are not at their default."""
    for field in msgspec.structs.fields(value):
        current = getattr(value, field.name)
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if default is msgspec.NODEFAULT or current != default:
            yield field.name, current
