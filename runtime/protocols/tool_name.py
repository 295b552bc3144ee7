"""Make tool names and tool-call ids fit a provider, the same way every time, and give back the way home.

A repaired word keeps what it can of the old one and ends in a piece of the old one's hash. So two words never become
one, and a client that knows nothing of the repair gets the same words in the next turn, on another machine too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from runtime.canonical import NamedTool, Request, Tool, ToolCall, ToolSubset

__all__ = ["WordRule", "declared_again", "fit", "fit_all", "tool_names", "way_back"]

_HASH_CHARS = 8
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_PATTERN = re.compile(r"\^?\[(?P<chars>[^\]]+)\](?:\{(?P<least>\d+)(?:,(?P<most>\d*))?\}|(?P<any>[+*]))\$?")


class WordRule(msgspec.Struct, frozen=True):
    """What a provider takes: ``chars`` as the inside of a regular expression's brackets, and lengths."""

    chars: str = "a-zA-Z0-9_-"
    max_chars: int = 64
    min_chars: int = 1

    @classmethod
    def of(cls, pattern: str, max_chars: int = 64) -> WordRule:
        """The rule that a pattern like `[a-zA-Z0-9]{9}` or `^[a-z_-]+$` says.

        Raises:
            ValueError: it is not one set of characters and a count.
        """
        match = _PATTERN.fullmatch(pattern)
        if match is None:
            raise ValueError(f"not a set of characters with a count: {pattern}")
        if match["any"]:
            return cls(match["chars"], max_chars)
        least, most = int(match["least"]), match["most"]
        upper = least if most is None else int(most) if most else max(least, max_chars)
        return cls(match["chars"], upper, least)


def fit(word: str, rule: WordRule) -> str:
    """``word`` itself where the rule allows it, else its repair."""
    if rule.min_chars <= len(word) <= rule.max_chars and re.fullmatch(f"[{rule.chars}]+", word):
        return word
    filler = "_" if re.fullmatch(f"[{rule.chars}]", "_") else ""
    kept = re.sub(f"[^{rule.chars}]", filler, word)
    suffix = _hash(word, rule, min(max(_HASH_CHARS, rule.min_chars), rule.max_chars))
    room = rule.max_chars - len(suffix) - len(filler)
    return kept[:room] + filler + suffix if room > 0 and kept else suffix


def fit_all(words: Iterable[str], rule: WordRule) -> dict[str, str]:
    """Each distinct word to what the provider is told, unrepaired ones too. No two share one."""
    distinct = dict.fromkeys(words)
    if not distinct:
        return {}
    wire: dict[str, str] = {}
    taken: set[str] = set()
    for word in sorted(distinct, key=lambda word: fit(word, rule) != word):
        fitted, again = fit(word, rule), 0
        while fitted in taken:
            again += 1
            fitted = fit(f"{word} {again}", WordRule(rule.chars, rule.max_chars, rule.max_chars))
        wire[word] = fitted
        taken.add(fitted)
    return wire


def way_back(wire: dict[str, str]) -> dict[str, str]:
    """The provider's word to the client's, for those that differ."""
    return {fitted: word for word, fitted in wire.items() if fitted != word} if wire else {}


def _hash(word: str, rule: WordRule, count: int) -> str:
    letters = [letter for letter in _LETTERS if re.fullmatch(f"[{rule.chars}]", letter)]
    number = int.from_bytes(hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest(), "big")
    digits: list[str] = []
    for _ in range(count):
        number, digit = divmod(number, len(letters))
        digits.append(letters[digit])
    return "".join(digits)


def declared_again(tools: Sequence[Tool]) -> Collection[int]:
    """Places of functions whose name an earlier one has: some vendors refuse a list with two of a name, others take it."""
    named = [tool.name for tool in tools if tool.native is None]
    if len(set(named)) == len(named):
        return ()
    again: list[int] = []
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if tool.native is None and tool.name in seen:
            again.append(index)
        elif tool.native is None:
            seen.add(tool.name)
    return again


def tool_names(request: Request) -> list[str]:
    """All names that the request speaks of, the tools' own first."""
    names = [tool.name for tool in request.tools if tool.native is None]
    match request.tool_choice:
        case NamedTool(name=name):
            names.append(name)
        case ToolSubset(names=chosen):
            names += chosen
        case _:
            pass
    names += [part.name for message in request.messages for part in message.content if isinstance(part, ToolCall)]
    return names
