"""Say so when a field's default is no value of the field's type, or when a required field has one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from codegen.ir import Boolean, Choice, Field, Integer, ListOf, MapOf, Null, Number, OneOf, Project, Record, Text, Type
from codegen.passes.rewrite import Table, resolve, table
from runtime.source import Diagnostics

__all__ = ["check_defaults"]


def check_defaults(project: Project, diagnostics: Diagnostics) -> Project:
    """Changes nothing."""
    names = table(project)
    for item in names.values():
        for field in item.fields if isinstance(item, Record) else ():
            if field.default is not msgspec.UNSET:
                _check(field, names, diagnostics)
    return project


def _check(field: Field, names: Table, diagnostics: Diagnostics) -> None:
    shown = msgspec.json.encode(field.default).decode()
    if field.required:
        message = f"{field.wire!r} is required, so its default is never used"
        diagnostics.error("useless-keyword", field.span, message, "remove one of the two")
    elif not _accepts(field.type, field.default, names):
        message = f"the default {shown} is no value of {field.wire!r}"
        diagnostics.error("invalid-value", field.span, message, "a list or map may be empty, an object has no default")


def _accepts(type_: Type, value: Any, names: Table) -> bool:
    match resolve(type_, names):
        case OneOf(members=members):
            return any(_accepts(member, value, names) for member in members)
        case Choice(values=values):
            return not isinstance(value, bool) and value in values
        case Text() as text:
            return isinstance(value, str) and (text.pattern is None or re.search(text.pattern, value) is not None)
        case Integer() as limits:
            return isinstance(value, int) and not isinstance(value, bool) and _within(value, limits)
        case Number() as limits:
            return isinstance(value, int | float) and not isinstance(value, bool) and _within(value, limits)
        case Boolean():
            return isinstance(value, bool)
        case Null():
            return value is None
        case ListOf(item=item):
            parts = cast("Sequence[Any]", value) if isinstance(value, list) else [None]
            return all(_is_plain(part) and _accepts(item, part, names) for part in parts)
        case MapOf():
            return isinstance(value, dict) and not value
        case _:
            return False


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _within(value: float, limits: Integer | Number) -> bool:
    low, high = limits.minimum, limits.maximum
    return (low is None or value >= low) and (high is None or value <= high)
