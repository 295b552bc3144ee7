"""Hints for faults that the reader of YAML and the decoder of Structs report without one: they do not know gateway.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from runtime.source import Diagnostic

__all__ = ["with_hint"]

_EXPECTED: Final = (
    ("expected true or false", "write true or false, without quotes"),
    ("expected a list", "write `[a, b]`, or one `- …` per line"),
    ("expected a mapping", "write `name: value` lines below it"),
    ("expected a whole number", "write the number, without quotes"),
    ("expected a number", "write the number, without quotes"),
    ("needs at least", "add one, or remove the setting"),
)
_BY_CODE: Final = (
    ("yaml-empty", "write `version: 1`"),
    ("yaml-alias-cycle", "write the value out"),
    ("yaml-too-large", "write repeated values as combos or aliases"),
    ("yaml-encoding", "save the file as UTF-8 text"),
    ("key-not-text", "write a name"),
)
_MARKS: Final = frozenset("*&@`%")
"""What YAML keeps for itself at the beginning of a value."""
_ANY: Final = "docs/reference/settings.md says what the setting takes"


def with_hint(item: Diagnostic, lines: Mapping[str, list[str]]) -> Diagnostic:
    """``item``, with a hint if it has none. ``lines`` are the sources' lines by file."""
    if item.hint is not None:
        return item
    return msgspec.structs.replace(item, hint=_hint(item, lines.get(item.span.file, [])))


def _hint(item: Diagnostic, lines: list[str]) -> str:
    if item.code == "yaml-syntax":
        return _syntax_hint(lines[item.span.line - 1] if item.span.line <= len(lines) else "", item.span.column - 1)
    found = [hint for code, hint in _BY_CODE if code == item.code]
    found += [hint for part, hint in _EXPECTED if part in item.message]
    return found[0] if found else _ANY


def _syntax_hint(line: str, at: int) -> str:
    """``at`` is where the fault was found: at a mark that was misread, or right behind it."""
    mark = next((mark for mark in (line[at : at + 1], line[max(at - 1, 0) : at]) if mark in _MARKS), None)
    if mark is not None:
        return f'quote a value that begins with {mark}: "{mark}…"'
    if "${" in line and "{" in line.replace("${", ""):
        return 'inside braces quote a reference: "${NAME}"'
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "indent with spaces"
    return "look for an unclosed bracket or quote, or a line that is indented otherwise than its neighbours"
