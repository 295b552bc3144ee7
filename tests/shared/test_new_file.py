"""A file that several workers begin to use at once is in shape before any of them sees it."""

import sqlite3
from pathlib import Path
from unittest import mock

from runtime.shared.sqlite import SCHEMA
from runtime.shared.sqlite_file import check_file

WRITE_AHEAD = b"\x02\x02"
"""What bytes 18 and 19 of a file say that is written ahead (SQLite's file format, section 1.3.3)."""


def test_nobody_turns_on_write_ahead_logging_under_the_eyes_of_others(tmp_path: Path) -> None:
    """SQLite does not wait for its lock there: whoever opens the file meanwhile is told that it is locked."""
    seen: list[bytes] = []
    path = tmp_path / "data" / "shared.db"
    connect = sqlite3.connect

    def watch(database: Path | str, **options: object) -> sqlite3.Connection:
        if Path(database) == path:
            seen.append(path.read_bytes()[18:20])
        return connect(database, **options)  # type: ignore[call-overload,no-any-return]

    with mock.patch("sqlite3.connect", watch):
        check_file(path, SCHEMA)
        check_file(path, SCHEMA)

    assert [WRITE_AHEAD] * 2 == seen
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(path.parent.iterdir())
