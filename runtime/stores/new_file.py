"""A new SQLite file that several processes may begin to use at the same moment."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["make_file"]


def make_file(path: Path) -> None:
    """An empty database, for its owner alone, beside its place and then moved there, as nobody else did before.

    SQLite does not wait for others while it turns on write-ahead logging, so this must not happen under their eyes. It
    gives its other files the same mode.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # made with 0600
    os.close(descriptor)
    try:
        made = sqlite3.connect(name, isolation_level=None)
        try:
            made.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes hold in a file without tables only
            made.execute("PRAGMA journal_mode = WAL")
        finally:
            made.close()
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
