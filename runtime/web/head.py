"""How large the headers of a request may be: larger ones are refused by us, in words that the client understands.

The server that parses them knows one limit, and refuses what is beyond it without a word that any SDK could read. So it
lets in more than we take, enough to say what was too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runtime.errors import InvalidRequest

__all__ = ["HeadTooLarge", "demand_small_head", "readable_bytes"]

TOLD_BYTES: Final = 1 << 20
_SHOWN: Final = 64


class HeadTooLarge(InvalidRequest):
    """The connection ends with the answer: what follows such a head is not read."""


def readable_bytes(limit_bytes: int) -> int:
    """How much of a head is read where ``limit_bytes`` is what is taken: one more header of a mebibyte is still told of."""
    return max(limit_bytes, 64 << 10) + TOLD_BYTES


def demand_small_head(headers: Iterable[tuple[bytes, bytes]], limit_bytes: int) -> None:
    """Raises HeadTooLarge, naming the largest header, when all of them together have more than ``limit_bytes``."""
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    if size > limit_bytes:
        raise _too_large(headers, size, limit_bytes)


def _too_large(headers: Iterable[tuple[bytes, bytes]], size: int, limit_bytes: int) -> HeadTooLarge:
    name, value = max(headers, key=lambda pair: len(pair[0]) + len(pair[1]))
    shown = name[:_SHOWN].decode("latin-1")
    return HeadTooLarge(
        f"the headers have {size} bytes, and {limit_bytes} are taken; the largest is {shown}, with {len(value)}",
        param=shown,
    )
