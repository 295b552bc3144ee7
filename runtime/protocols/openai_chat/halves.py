"""Characters beyond the basic plane that a server cut in two: half a surrogate pair in each of two chunks.

JSON writes such a character as two escapes, and some servers split a text between them. Neither half is text by itself;
no JSON reader of ours takes one. So halves are marked before reading and joined when the other half has come.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Joiner", "mark_halves"]

_ESCAPE: Final = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_MARKS_FROM: Final = 0x100000
"""Marks lie in the last private plane: this much above the half they stand for."""

_MARK: Final = re.compile(f"[{chr(_MARKS_FROM + 0xD800)}-{chr(_MARKS_FROM + 0xDFFF)}]")


def mark_halves(data: bytes) -> bytes | None:
    """``data`` with every lone half replaced by its mark; None when there is none, and the JSON is broken otherwise."""
    escapes = list(_ESCAPE.finditer(data))
    out: list[bytes] = []
    position = 0
    for place, escape in enumerate(escapes):
        unit = int(escape[1], 16) if escape[1] else 0
        if not 0xD800 <= unit <= 0xDFFF:
            continue
        neighbour = escapes[place + 1] if unit < 0xDC00 and place + 1 < len(escapes) else None
        if unit < 0xDC00 and neighbour is not None and neighbour.start() == escape.end() and _is_low(neighbour):
            continue
        if unit >= 0xDC00 and place and escapes[place - 1].end() == escape.start() and _is_high(escapes[place - 1]):
            continue
        out += (data[position : escape.start()], chr(_MARKS_FROM + unit).encode())
        position = escape.end()
    return b"".join((*out, data[position:])) if out else None


class Joiner:
    """Joins the halves of one text as its pieces come. Pieces without halves pass at the cost of one test."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str, *, marked: bool) -> str:
        """The sound text that ``text`` completes; ``marked``: it may hold marks."""
        if not marked and not self._held:
            return text
        text = self._held + (_MARK.sub(lambda mark: chr(ord(mark[0]) - _MARKS_FROM), text) if marked else text)
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rest(self) -> str:
        """What is left at the end: a replacement character for a half that never met its other."""
        held, self._held = self._held, ""
        return "\ufffd" if held else ""


def _is_low(escape: re.Match[bytes]) -> bool:
    return escape[1] is not None and 0xDC00 <= int(escape[1], 16) <= 0xDFFF


def _is_high(escape: re.Match[bytes]) -> bool:
    return escape[1] is not None and 0xD800 <= int(escape[1], 16) <= 0xDBFF
