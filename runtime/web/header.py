"""Header fields, as the server has and wants them: lower-case names and values, both bytes; and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RawHeaders", "decode_headers", "encode_headers"]

RawHeaders = tuple[tuple[bytes, bytes], ...]


def decode_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Values of repeated headers are joined by a comma, in order."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def encode_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Encode ``headers``. What cannot stand in a value (a line break above all) becomes a space or a question mark."""
    return [
        (
            name.lower().encode("latin-1"),
            (value if value.isprintable() else _printable(value)).encode("latin-1", "replace"),
        )
        for name, value in headers
    ]


def _printable(value: str) -> str:
    return "".join(character if character.isprintable() else " " for character in value)
