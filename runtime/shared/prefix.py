"""Keys that begin alike are neighbours in the order of their code points, which is that of their UTF-8 bytes, too."""

from __future__ import annotations

from typing import Final

__all__ = ["beyond"]

_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def beyond(prefix: str) -> str | None:
    """The first text behind all that begin with ``prefix``; None when there is none."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1]) + 1
        if point <= _LAST:
            return prefix[: end - 1] + chr(_SURROGATES.stop if point in _SURROGATES else point)
    return None
