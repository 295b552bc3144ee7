"""What the compilers have to say: collected, ordered, printed one way for people and machines.

Used by the schema compiler, the plan compiler and the check of every override, so that all three speak alike.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec
from typing_extensions import override

from runtime.source.codes import CODES
from runtime.source.span import Span

__all__ = ["Diagnostic", "Diagnostics", "Note", "Severity", "closest"]

MAX_WORD_CHARS: Final = 500
"""Nobody slips in a name as long as this, and a search takes time."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Note(msgspec.Struct, frozen=True):
    """A second place that explains the first, such as the earlier of two equal keys."""

    span: Span
    message: str


class Diagnostic(msgspec.Struct, frozen=True):
    """One fault or doubt. ``code`` is stable and documented; ``hint`` says what to write instead."""

    severity: Severity
    code: str
    message: str
    span: Span
    hint: str | None = None
    notes: tuple[Note, ...] = ()

    @override
    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        lines = [f"{self.span}: {self.severity.value}[{self.code}]: {self.message}{hint}"]
        lines += [f"  {note.span}: note: {note.message}" for note in self.notes]
        return "\n".join(lines)


class Diagnostics:
    """Collects diagnostics during a compilation; a stage reads ``failed`` at its end and stops there, never earlier."""

    def __init__(self) -> None:
        self._items: list[Diagnostic] = []

    def error(self, code: str, span: Span, message: str, hint: str | None = None, notes: Iterable[Note] = ()) -> None:
        """Record a fault. Raises KeyError for a code that ``codes.py`` does not document."""
        self._add(Severity.ERROR, code, span, message, hint, notes)

    def warn(self, code: str, span: Span, message: str, hint: str | None = None, notes: Iterable[Note] = ()) -> None:
        """Record a doubt: the configuration compiles, and this is what may surprise."""
        self._add(Severity.WARNING, code, span, message, hint, notes)

    def extend(self, others: Iterable[Diagnostic]) -> None:
        self._items.extend(others)

    @property
    def failed(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self._items)

    def __iter__(self) -> Iterator[Diagnostic]:
        """In order of position, each once."""
        return iter(sorted(dict.fromkeys(self._items), key=lambda item: (item.span, item.severity, item.code)))

    def __len__(self) -> int:
        return len(dict.fromkeys(self._items))

    def _add(
        self, severity: Severity, code: str, span: Span, message: str, hint: str | None, notes: Iterable[Note]
    ) -> None:
        if code not in CODES:
            raise KeyError(f"undocumented diagnostic code: {code}")
        self._items.append(Diagnostic(severity, code, message, span, hint, tuple(notes)))


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` is probably a slip of, or None. Case is forgiven."""
    if len(word) > MAX_WORD_CHARS:
        return None
    pool = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    found = difflib.get_close_matches(word.lower(), list(pool), n=1, cutoff=0.6)
    return pool[found[0]] if found else None
