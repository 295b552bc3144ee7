"""Values as plain data that depends on nothing but what they equal: equal values give equal data.

msgspec leaves out of its data what *is* the default, not what equals it, and which equal values are one object is a matter
of what else the process has done: a list of a file that says what is the default anyway was there in one build, and not in
another one of the same sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, cast

import msgspec

__all__ = ["plain"]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_SAID: Final = object()
"""What no value equals: a field with it is always said."""


def plain(value: object) -> object:
    """``value``, made of Structs, mappings, lists and scalars. Fields that equal their defaults are left out where msgspec's may be."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, msgspec.Struct):
        return {
            written: item if type(item) in _SCALARS else plain(item)
            for written, name, default in _fields(type(value))
            if (item := getattr(value, name)) is not default and item != default
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[object]", value)]
    return msgspec.to_builtins(value)


@cache
def _fields(type_: type[msgspec.Struct]) -> tuple[tuple[str, str, object], ...]:
    """How each field is written, its name, and what it is left out for."""
    omits = type_.__struct_config__.omit_defaults
    fields = msgspec.structs.fields(type_)
    return tuple((field.encode_name, field.name, _default(field) if omits else _SAID) for field in fields)


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return _SAID if field.default is msgspec.NODEFAULT else field.default
