"""Overriding: the settings that were written, laid over the facts they override."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["given", "overridden"]

S = TypeVar("S", bound=msgspec.Struct)


def given(settings: msgspec.Struct | None) -> dict[str, object]:
    """The fields of ``settings`` that have a value, by their Python name."""
    if settings is None:
        return {}
    values = ((field, getattr(settings, field)) for field in settings.__struct_fields__)
    return {field: value for field, value in values if value is not None}


def overridden(facts: S, settings: msgspec.Struct | None) -> S:
    """``facts`` with the fields of the same name that ``settings`` gives."""
    return msgspec.structs.replace(facts, **given(settings))
