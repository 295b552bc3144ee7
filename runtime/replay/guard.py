"""What vectors do not tell apart: two questions that are near each other and still ask for different answers.

"Is it safe?" and "Is it not safe?" lie closer together than most paraphrases, and so do "2023" and "2024". A semantic hit
is therefore refused unless the marks of both texts are the same: every word with a digit in it, in order; how often each
word of denial, comparison or order occurs; names of things as programs write them; and what stands in quotes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["marks"]

_TURNING_WORDS: Final = (
    # English
    "no not never none nor neither nothing nobody without except unless only cannot cant dont wont isnt arent wasnt werent"
    " doesnt didnt hasnt havent shouldnt wouldnt couldnt mustnt before after above below over under more less fewer most least"
    " first last min max minimum maximum increase decrease enable disable on off start stop add remove include exclude allow"
    " deny true false left right open close buy sell import export best worst cheap expensive highest lowest higher lower"
    " yesterday today tomorrow"
    # numbers in words
    " zero one two three four five six seven eight nine ten eleven twelve hundred thousand million half twice"
    # German, French, Spanish, Italian, Portuguese, Dutch
    " nicht kein keine keinen nie niemals ohne außer vor nach mehr weniger pas ne jamais sans sauf aucun avant après plus moins"
    " nunca sin excepto ningún antes después más menos non mai senza prima dopo più meno não nunca sem depois mais niet geen"
    " nooit zonder voor na meer minder"
    # Russian, Polish
    " не нет никогда без nie nigdy bez"
)
_TURNING: Final = frozenset(_TURNING_WORDS.split())
_DENIALS: Final = ("不", "没", "沒", "無", "无", "ない", "ません", "안", "못", "없")

# Each of these takes a time that is proportional to the text: nowhere is a run that was read in vain read again from its
# next character on. Words and runs are read to their ends, and words from their beginnings only.
_RUN: Final = re.compile(r"[^\s,;:!?()]+")
_DIGIT: Final = re.compile(r"\d")
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4\u2032\uff07", "'"))
"""What stands in `can't` on some keyboards, beside the backtick, which quotes code where it stands elsewhere."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:['`][^\W\d_]+)?")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|`[^`]*`|(?<!\w)'[^']*'(?!\w)")
_QUOTED_BETWEEN: Final = tuple(
    (closing, re.compile(f"{opening}[^{closing}]*{closing}"))
    for opening, closing in ("“”", "«»", "»«", "„“", "「」", "『』")
)
_CODE: Final = re.compile(r"\b\w++(?:[./\\@#-]\w++)++|\b\w+_\w+|\b[a-z]+[A-Z]\w*|\b[A-Z]{2,}\b|[<>=+*/%^&|~$€£]+")


def marks(text: str) -> tuple[str, ...]:
    """All of ``text`` that must be the same in another for the two to share an answer."""
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    words = [word.replace("`", "'").casefold() for word in _WORD.findall(text)]
    turning = sorted(word for word in words if word.replace("'", "") in _TURNING or word.endswith("n't"))
    return (
        *(run.rstrip(".") for run in _RUN.findall(text) if _DIGIT.search(run)), "/",
        *turning, "/",
        *_quoted(text), "/",
        *_CODE.findall(text), "/",
        *(f"{sign}{text.count(sign)}" for sign in _DENIALS if sign in text),
    )  # fmt: skip


def _quoted(text: str) -> list[str]:
    """What stands in quotes. Behind the last closing one, no opening one is looked at: it has no end."""
    found = _QUOTED.findall(text)
    for closing, between in _QUOTED_BETWEEN:
        found += between.findall(text, 0, text.rfind(closing) + 1)
    return found
