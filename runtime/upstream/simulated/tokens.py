"""Texts cut into small pieces, which are at once what is streamed, what is counted and what limits are counted in.

Not a model's tokenizer: a piece is a word of up to eight letters or up to four other characters, with the spaces before
it. The pieces of a text, joined, are the text. Counts are repeatable and about as large as a real tokenizer's; that is
all they are good for.
"""

from __future__ import annotations

import re

__all__ = ["count", "pieces"]

PIECE = re.compile(r"\s{0,8}(?:\w{1,8}|[^\w\s]{1,4})|\s{1,8}")


def pieces(text: str) -> tuple[str, ...]:
    return tuple(PIECE.findall(text))


def count(text: str) -> int:
    return sum(1 for _ in PIECE.finditer(text))
