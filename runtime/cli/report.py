"""Diagnostics as text, JSON, SARIF 2.1.0 and GitHub workflow commands. Prints nothing itself.

SARIF: OASIS "Static Analysis Results Interchange Format" 2.1.0, the part that code hosts read. GitHub: "Workflow
commands", whose values escape `%`, line ends and, in properties, `:` and `,`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec
import rich_click as click

from runtime.source import CODES, Diagnostic, Note, Severity, Span

__all__ = ["FORMATS", "as_github", "as_json", "as_sarif", "as_text", "moved", "summary"]

REFERENCE = "docs/reference/diagnostics.md"


def as_text(diagnostics: Sequence[Diagnostic]) -> str:
    """One line each, as the compilers print them, with the severity coloured."""
    return "\n".join(_painted(item) for item in diagnostics)


def as_json(diagnostics: Sequence[Diagnostic]) -> str:
    """A list of objects: severity, code, message, span, hint, notes."""
    return msgspec.json.format(msgspec.json.encode(diagnostics), indent=2).decode()


def as_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """One run of one tool, with the rules that its results name."""
    used = sorted({item.code for item in diagnostics})
    rules = [{"id": code, "shortDescription": {"text": CODES[code]}, "helpUri": REFERENCE} for code in used]
    driver = {"name": "gatewright", "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(i) for i in diagnostics]}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def as_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    return "\n".join(_annotation(item) for item in diagnostics)


FORMATS: Mapping[str, Callable[[Sequence[Diagnostic]], str]] = MappingProxyType(
    {"text": as_text, "json": as_json, "sarif": as_sarif, "github": as_github}
)


def moved(diagnostics: Sequence[Diagnostic], below: Path) -> tuple[Diagnostic, ...]:
    """``diagnostics`` of files that stand ``below`` where they are looked for."""

    def span(old: Span) -> Span:
        return msgspec.structs.replace(old, file=(below / old.file).as_posix())

    def note(old: Note) -> Note:
        return msgspec.structs.replace(old, span=span(old.span))

    return tuple(
        msgspec.structs.replace(item, span=span(item.span), notes=tuple(map(note, item.notes))) for item in diagnostics
    )


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """How many of each: `2 errors, 1 warning`."""
    errors = sum(item.severity is Severity.ERROR for item in diagnostics)
    warnings = len(diagnostics) - errors
    counts = [_count(errors, "error"), _count(warnings, "warning")]
    return ", ".join(count for count in counts if count) or "no complaints"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}" if number else ""


def _painted(item: Diagnostic) -> str:
    colour = "red" if item.severity is Severity.ERROR else "yellow"
    plain = f"{item.severity.value}[{item.code}]"
    return str(item).replace(plain, click.style(plain, fg=colour, bold=True), 1)


def _sentence(item: Diagnostic) -> str:
    return f"{item.message}; {item.hint}" if item.hint else item.message


def _result(item: Diagnostic) -> dict[str, object]:
    related = [
        {"message": {"text": near.message}, **_location(near.span.file, near.span.line, near.span.column)}
        for near in item.notes
    ]
    return {
        "ruleId": item.code,
        "level": item.severity.value,
        "message": {"text": _sentence(item)},
        "locations": [_location(item.span.file, item.span.line, item.span.column)],
        **({"relatedLocations": related} if related else {}),
    }


def _location(file: str, line: int, column: int) -> dict[str, object]:
    region = {"startLine": line, "startColumn": column}
    return {"physicalLocation": {"artifactLocation": {"uri": file}, "region": region}}


def _annotation(item: Diagnostic) -> str:
    span = item.span
    file = _escape(span.file, ",:")
    place = f"file={file},line={span.line},col={span.column},title={_escape(item.code, ',:')}"
    return f"::{item.severity.value} {place}::{_escape(_sentence(item))}"


def _escape(text: str, also: str = "") -> str:
    for mark in "%\r\n" + also:  # `%` first: the others' escapes hold it
        text = text.replace(mark, f"%{ord(mark):02X}")
    return text
