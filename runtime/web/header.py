"""Header fields of answers, as the server wants them: lower-case names and values, both bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RawHeaders", "encode_headers"]

RawHeaders = tuple[tuple[bytes, bytes], ...]


def encode_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Encode ``headers``. What cannot stand in a value (a line break above all) becomes a space or a question mark."""
    return [(name.lower().encode("latin-1"), _value(value)) for name, value in headers]


def _value(value: str) -> bytes:
    if not value.isprintable():
        value = "".join(character if character.isprintable() else " " for character in value)
    return value.encode("latin-1", "replace")
