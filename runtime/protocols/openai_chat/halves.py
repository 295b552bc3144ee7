"""Characters beyond the basic plane that a server cut in two: half a surrogate pair in each of two chunks.

JSON writes such a character as two escapes, and some servers split a text between them. Neither half is text by itself;
no JSON reader of ours takes one. So halves are marked before reading and joined when the other half has come.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

__all__ = ["UNREADABLE", "Joiner", "Mender", "mark_halves", "marked", "may_hold_halves", "read_marked", "unmarked"]

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a JSON decoder raises for a provider's bytes: half a character among others."""

_ESCAPE: Final = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_BACKSLASH: Final = 92
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


def read_marked(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """What ``decoder`` reads of ``data`` with its halves marked; None where there are none, or where it is broken besides."""
    mended = mark_halves(data)
    try:
        return None if mended is None else decoder.decode(mended)
    except UNREADABLE:
        return None


class Joiner:
    """Joins the halves of one text as its pieces come. A piece without marks is itself when nothing is ``held``."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""

    def add(self, text: str, *, marked: bool) -> str:
        """The sound text that ``text`` completes; ``marked``: it may hold marks."""
        if not marked and not self.held:
            return text
        text = self.held + (_MARK.sub(lambda mark: chr(ord(mark[0]) - _MARKS_FROM), text) if marked else text)
        self.held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self.held = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rest(self) -> str:
        """What is left at the end: a replacement character for a half that never met its other."""
        held, self.held = self.held, ""
        return "\ufffd" if held else ""


class Mender:
    """Mends a stream's frames, one after the other: a half at a text's end waits for the frame whose text begins with the other.

    For dialects whose frames hold one piece of text each. A half without its other becomes a replacement character.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = 0

    def mend(self, data: bytes) -> bytes:
        """``data`` without halves; ``data`` itself where there are none."""
        if not may_hold_halves(data):
            return data
        halves = mark_halves(data)
        if halves is None:
            return data
        return _MARK.sub(self._whole, halves.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _whole(self, mark: re.Match[str]) -> str:
        unit, text = ord(mark[0]) - _MARKS_FROM, mark.string
        held, self._held = self._held, 0
        if unit < 0xDC00:
            if text[mark.end() : mark.end() + 1] != '"':
                return "\ufffd"
            self._held = unit
            return ""
        if not held or text[mark.start() - 1 : mark.start()] != '"':
            return "\ufffd"
        return (chr(held) + chr(unit)).encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def marked(data: bytes) -> bytes:
    """``data`` with its halves marked; ``data`` itself where there are none."""
    return (mark_halves(data) if may_hold_halves(data) else None) or data


def may_hold_halves(data: bytes) -> bool:
    """Whether ``data`` has escapes like those of halves; most servers escape other characters, too."""
    return _BACKSLASH in data and (data.find(b"\\ud") >= 0 or data.find(b"\\uD") >= 0)


def unmarked(data: bytes) -> bytes:
    """JSON with the halves that were marked in it as they came: as escapes."""
    text = _MARK.sub(lambda mark: f"\\u{ord(mark[0]) - _MARKS_FROM:04x}", data.decode("utf-8", "surrogateescape"))
    return text.encode("utf-8", "surrogateescape")


def _is_low(escape: re.Match[bytes]) -> bool:
    return escape[1] is not None and 0xDC00 <= int(escape[1], 16) <= 0xDFFF


def _is_high(escape: re.Match[bytes]) -> bool:
    return escape[1] is not None and 0xD800 <= int(escape[1], 16) <= 0xDBFF
