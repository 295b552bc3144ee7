"""Pages to disk: write what differs, delete what is stale, touch nothing that is not ours.

A file is ours if its first lines bear the generator's header. Nothing else is overwritten or deleted.
"""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from codegen.emit.python import MARKER

__all__ = ["FOLDERS", "Outcome", "write"]

FOLDERS: Final = ("generated", "docs/reference")
"""Where generated files live, and so where stale ones are looked for."""

_HEADER_BYTES: Final = 400


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, or with ``check`` what would be. ``refused`` are hand-written files that stand in the way."""

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    diff: str = ""

    @property
    def differing(self) -> tuple[str, ...]:
        return tuple(sorted((*self.written, *self.deleted, *self.refused)))


def write(files: Mapping[str, str], out: Path, check: bool = False, prune: bool = True) -> Outcome:
    """Make the generated files below ``out`` equal to ``files``; with ``check`` only say what differs.

    ``prune`` deletes our files that are no longer produced; without it ``files`` may be incomplete.
    """
    differing = [path for path in sorted(files) if _read(out / path) != files[path]]
    refused = [path for path in differing if (out / path).exists() and not _is_ours(out / path)]
    written = [path for path in differing if path not in refused]
    deleted = [path for path in _ours(out) if path not in files] if prune else []
    diff = "".join(_diff(path, _read(out / path), files.get(path)) for path in sorted((*differing, *deleted)))
    if not check:
        for path in written:
            _replace(out / path, files[path])
        for path in deleted:
            (out / path).unlink()
    return Outcome(written=tuple(written), deleted=tuple(deleted), refused=tuple(refused), diff=diff)


def _read(path: Path) -> str | None:
    """The text as it stands, line ends and all; None if there is no such file."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return MARKER.encode() in file.read(_HEADER_BYTES)


def _ours(out: Path) -> Iterator[str]:
    for folder in FOLDERS:
        found = sorted(path for path in (out / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        for path in found:
            if _is_ours(path):
                yield path.relative_to(out).as_posix()


def _replace(path: Path, text: str) -> None:
    """Write in one step, so that nobody imports half a module."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".", delete=False) as file:
        file.write(text.encode())
    temporary = Path(file.name)
    temporary.chmod(0o644)
    temporary.replace(path)


def _diff(path: str, before: str | None, after: str | None) -> str:
    old = "/dev/null" if before is None else f"a/{path}"
    new = "/dev/null" if after is None else f"b/{path}"
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True), (after or "").splitlines(keepends=True), old, new
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
