"""Header fields, as the server has and wants them: lower-case names and values, both bytes; and as text."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KEPT_BY_NOBODY", "RawHeaders", "decode_headers", "encode_headers", "read_headers"]

KEPT_BY_NOBODY: Final = ("cache-control", "no-store")
"""Of answers to whoever shows a key. Caches on the way leave alone what was sent for with `Authorization` (RFC 9111, section
3.5), and know neither `x-api-key` nor `?key=` nor a login's cookie."""

REMEMBERED: Final = 128
"""Characters of a value: longer ones are what a client said, and could be many."""

RawHeaders = tuple[tuple[bytes, bytes], ...]


def decode_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Values of repeated headers are joined by a comma, in order."""
    return read_headers(raw)[0]


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], int]:
    """Headers, decoded, and how many bytes they have together."""
    headers: dict[str, str] = {}
    size = 0
    for name, value in raw:
        size += len(name) + len(value)
        text = name.decode()  # a name is ASCII (RFC 9110, section 5.1)
        headers[text] = f"{headers[text]},{value.decode('latin-1')}" if text in headers else value.decode("latin-1")
    return headers, size


def encode_headers(headers: Iterable[tuple[str, str]], once: str = "") -> list[tuple[bytes, bytes]]:
    """Encode ``headers``. What cannot stand in a value (a line break above all) becomes a space or a question mark.

    ``once`` is a value that no other answer has, and need not be remembered for one.
    """
    return [
        (_encoded if pair[1] is once or len(pair[1]) > REMEMBERED else _remembered)(*pair) for pair in headers
    ]  # fmt: skip


def _encoded(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode(), value.encode() if value.isascii() and value.isprintable() else _printable(value)


_remembered: Final = lru_cache(maxsize=1024)(_encoded)
"""Nearly all answers say the same."""


def _printable(value: str) -> bytes:
    printable = "".join(character if character.isprintable() else " " for character in value)
    return printable.encode("latin-1", "replace")
