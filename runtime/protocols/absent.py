"""Members of received JSON that are there and say nothing: vendors write null where others leave a member out."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

__all__ = ["NULL", "is_null", "present"]

NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")


def present(value: T | msgspec.UnsetType | None) -> T | None:
    """None for what is absent, null, or JSON's null."""
    if value is None or value is msgspec.UNSET or (isinstance(value, msgspec.Raw) and value == NULL):
        return None
    return value


def is_null(raw: msgspec.Raw) -> bool:
    return raw == NULL
