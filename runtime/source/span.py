"""Where something stands in a file. Lines and columns count from 1, columns in characters."""

from __future__ import annotations

import msgspec
from typing_extensions import override

__all__ = ["Span"]


class Span(msgspec.Struct, frozen=True, order=True):
    """A position in a source file, printed as ``file:line:column``. ``file`` is relative to the project's root."""

    file: str
    line: int
    column: int

    @override
    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"
