"""A plan as plain data. Settings are spelled out, defaults too, so that a plan means the same when a default has changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast

import msgspec

from runtime.config.plain import plain
from runtime.config.plan import Plan

__all__ = ["plan_data", "plan_sections"]


@cache
def plan_sections() -> tuple[str, ...]:
    """The sections of the configuration that a plan holds as they are."""
    return tuple(field.name for field in msgspec.structs.fields(Plan) if _is_section(field.type))


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def plan_data(plan: Plan) -> dict[str, object]:
    """``plan`` in the order of its fields, under the names its JSON has."""
    data = cast("dict[str, object]", plain(plan))
    for section in plan_sections():
        data[section] = _complete(getattr(plan, section))
    if plan.provider_timeouts:
        data["provider_timeouts"] = _each(plan.provider_timeouts)
    return data


def _each(settings: Mapping[str, msgspec.Struct]) -> dict[str, object]:
    return {name: _complete(item) for name, item in settings.items()}


def _complete(settings: msgspec.Struct) -> dict[str, object]:
    return {written: plain(getattr(settings, name)) for written, name in _names(type(settings))}


@cache
def _names(type_: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """How each field is written, and its name. To find that takes longer than all else about a plan."""
    return tuple((field.encode_name, field.name) for field in msgspec.structs.fields(type_))
