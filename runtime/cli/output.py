"""What a build changes below a root, and making it so. Files are replaced in one step, and only when they differ."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import msgspec

from runtime.cli.project import Outcome

__all__ = ["Changes", "joined", "put_pages", "put_plan"]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Paths relative to the root. ``refused`` are hand-written files that stand where a generated one belongs."""

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    diff: str = ""

    def __bool__(self) -> bool:
        return bool(self.written or self.deleted or self.refused)

    @property
    def code(self) -> bool:
        """Whether Python changes, which this process may have imported already."""
        return any(path.endswith(".py") for path in (*self.written, *self.deleted))


def put_pages(root: Path, outcome: Outcome, *, check: bool) -> Changes:
    """Write what was made of the schemas; with ``check`` only say what differs."""
    if outcome.pages is None:
        return Changes()
    from codegen.writer import write

    done = write(outcome.pages, root, check=check)
    return Changes(written=done.written, deleted=done.deleted, refused=done.refused, diff=done.diff)


def put_plan(root: Path, outcome: Outcome, *, check: bool) -> Changes:
    """Write the plan and its lock; with ``check`` only say what differs."""
    files = outcome.artefacts()
    before = {path: (root / path).read_bytes() if (root / path).is_file() else b"" for path in files}
    differing = tuple(path for path in files if files[path] != before[path])
    diff = "".join(_diff(path, before[path], files[path]) for path in differing)
    if not check:
        for path in differing:
            _replace(root / path, files[path])
    return Changes(written=differing, diff=diff)


def joined(first: Changes, second: Changes) -> Changes:
    """Both, in this order."""
    return Changes(
        written=first.written + second.written,
        deleted=first.deleted + second.deleted,
        refused=first.refused + second.refused,
        diff=first.diff + second.diff,
    )


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _diff(path: str, before: bytes, after: bytes) -> str:
    old, new = (data.decode("utf-8", "replace").splitlines(keepends=True) for data in (before, after))
    return "".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
