"""Shared state in an SQLite file, for the processes of one machine. Times are a clock's that they have in common.

A word or two is all that a question takes; nothing here needs to survive a power cut, so nothing waits for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from typing_extensions import override

from runtime.shared.base import SHORT_BYTES, News, SharedState
from runtime.shared.prefix import beyond
from runtime.shared.sqlite_file import Schema, SqliteFile

__all__ = ["SCHEMA", "SHARED_FILE", "SqliteState"]

SHARED_FILE: Final = "shared.db"
"""Its name in the data directory."""

_LONG: Final = f"WHERE length(value) > {SHORT_BYTES}"

SCHEMA: Final = Schema(
    topic="shared",
    application=0x47575348,
    version=1,
    statements=(
        """CREATE TABLE entries (
            topic TEXT NOT NULL,
            key TEXT NOT NULL,
            until_s REAL NOT NULL,
            value BLOB NOT NULL,
            UNIQUE (topic, key)
        ) STRICT""",
        "CREATE INDEX entries_by_end ON entries (until_s)",
        f"CREATE INDEX long_entries_by_end ON entries (until_s) {_LONG}",
        """CREATE TABLE news (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            topic TEXT NOT NULL,
            told_s REAL NOT NULL,
            message BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX news_by_topic ON news (topic, number)",
    ),
)

_BUSY_S: Final = 1.0
_SWEEP_EVERY: Final = 64
"""Writes of one process. What is over is never given, swept or not."""

_BATCH: Final = 500
"""Rows that one sweep deletes, so that nobody waits long for it; far more than are written between two sweeps."""

_NEWS_S: Final = 120.0

T = TypeVar("T")


class SqliteState(SharedState):
    """``now`` gives seconds that only go on, the same in all processes.

    Beyond ``limit_bytes`` what would end first goes before its time, long values before short ones.
    """

    def __init__(self, path: Path, now: Callable[[], float], limit_bytes: int = 1 << 28) -> None:
        self._file = SqliteFile(path, SCHEMA, busy_s=_BUSY_S)
        self._now = now
        self._limit_bytes = limit_bytes
        self._writes = 0

    @override
    async def get(self, topic: str, key: str) -> bytes | None:
        return await self._file.read(partial(_get, topic=topic, key=key, now_s=self._now()))

    @override
    async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        now_s = self._now()
        await self._write(partial(_set, topic=topic, key=key, value=value, now_s=now_s, ttl_s=ttl_s))

    @override
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        now_s = self._now()
        return await self._write(partial(_claim, topic=topic, key=key, value=value, now_s=now_s, ttl_s=ttl_s))

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        return await self._write(
            partial(_replace, topic=topic, key=key, expected=expected, value=value, now_s=self._now(), ttl_s=ttl_s)
        )

    @override
    async def remove(self, topic: str, key: str, expected: bytes | None = None) -> bool:
        return await self._write(partial(_remove, topic=topic, key=key, expected=expected, now_s=self._now()))

    @override
    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        return await self._file.read(partial(_entries, topic=topic, prefix=prefix, limit=limit, now_s=self._now()))

    @override
    async def clear(self, topic: str, prefix: str = "") -> int:
        return await self._write(partial(_clear, topic=topic, prefix=prefix, now_s=self._now()))

    @override
    async def tell(self, topic: str, message: bytes) -> None:
        await self._write(partial(_tell, topic=topic, message=message, now_s=self._now()))

    @override
    async def news(self, topic: str, cursor: int | None) -> News:
        return await self._file.read(partial(_news, topic=topic, cursor=cursor))

    @override
    async def aclose(self) -> None:
        await self._file.aclose()

    async def _write(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        self._writes += 1
        if self._writes % _SWEEP_EVERY == 0:
            ask = partial(_swept, ask=ask, now_s=self._now(), limit_bytes=self._limit_bytes)
        return await self._file.write(ask)


# -- writing


def _set(db: sqlite3.Connection, topic: str, key: str, value: bytes, now_s: float, ttl_s: float) -> None:
    if ttl_s > 0:
        db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (topic, key, now_s + ttl_s, value))
    else:
        db.execute("DELETE FROM entries WHERE topic = ? AND key = ?", (topic, key))


def _claim(db: sqlite3.Connection, topic: str, key: str, value: bytes, now_s: float, ttl_s: float) -> bytes | None:
    found = _get(db, topic, key, now_s)
    if found is None:
        _set(db, topic, key, value, now_s, ttl_s)
    return found


def _replace(
    db: sqlite3.Connection, topic: str, key: str, expected: bytes, value: bytes, now_s: float, ttl_s: float
) -> bool:
    if _get(db, topic, key, now_s) != expected:
        return False
    _set(db, topic, key, value, now_s, ttl_s)
    return True


def _remove(db: sqlite3.Connection, topic: str, key: str, expected: bytes | None, now_s: float) -> bool:
    found = _get(db, topic, key, now_s)
    if found is None or (expected is not None and found != expected):
        return False
    db.execute("DELETE FROM entries WHERE topic = ? AND key = ?", (topic, key))
    return True


def _clear(db: sqlite3.Connection, topic: str, prefix: str, now_s: float) -> int:
    found = (topic, prefix, _end(prefix))
    live = db.execute(
        "SELECT count(*) FROM entries WHERE topic = ? AND key >= ? AND key < ? AND until_s > ?", (*found, now_s)
    ).fetchone()
    db.execute("DELETE FROM entries WHERE topic = ? AND key >= ? AND key < ?", found)
    return int(live[0])


def _tell(db: sqlite3.Connection, topic: str, message: bytes, now_s: float) -> None:
    db.execute("INSERT INTO news (topic, told_s, message) VALUES (?, ?, ?)", (topic, now_s, message))


def _swept(db: sqlite3.Connection, ask: Callable[[sqlite3.Connection], T], now_s: float, limit_bytes: int) -> T:
    """What ``ask`` says, after a sweep."""
    db.execute(
        "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE until_s <= ? ORDER BY until_s LIMIT ?)",
        (now_s, _BATCH),
    )
    db.execute(
        "DELETE FROM news WHERE number IN (SELECT number FROM news WHERE told_s < ? ORDER BY number LIMIT ?)",
        (now_s - _NEWS_S, _BATCH),
    )
    surplus = _used_bytes(db) - limit_bytes
    if surplus > 0:
        _make_room(db, surplus)
    db.execute("PRAGMA incremental_vacuum(1000)").fetchall()
    return ask(db)


def _make_room(db: sqlite3.Connection, surplus: int) -> None:
    """Short values go only where there are no long ones."""
    for some in (_LONG, ""):
        first = f"SELECT rowid, length(value) FROM entries {some} ORDER BY until_s LIMIT ?"  # noqa: S608 — ours
        found: list[tuple[int, int]] = db.execute(first, (_BATCH,)).fetchall()
        for rowid, size in found:
            db.execute("DELETE FROM entries WHERE rowid = ?", (rowid,))
            surplus -= size
            if surplus <= 0:
                return
        if len(found) == _BATCH:  # there are more, for the next time
            return


def _used_bytes(db: sqlite3.Connection) -> int:
    page_size, page_count, free = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count", "freelist_count")
    )
    return (page_count - free) * page_size


# -- reading


def _get(db: sqlite3.Connection, topic: str, key: str, now_s: float) -> bytes | None:
    row = db.execute(
        "SELECT value FROM entries WHERE topic = ? AND key = ? AND until_s > ?", (topic, key, now_s)
    ).fetchone()
    return None if row is None else bytes(row[0])


def _entries(db: sqlite3.Connection, topic: str, prefix: str, limit: int, now_s: float) -> list[tuple[str, bytes]]:
    rows = db.execute(
        "SELECT key, value FROM entries WHERE topic = ? AND key >= ? AND key < ? AND until_s > ? ORDER BY key LIMIT ?",
        (topic, prefix, _end(prefix), now_s, limit),
    )
    return [(key, value) for key, value in rows]


def _end(prefix: str) -> str | bytes:
    """What comes behind all keys that begin with ``prefix``: at the end of all texts come blobs."""
    end = beyond(prefix)
    return b"" if end is None else end


def _news(db: sqlite3.Connection, topic: str, cursor: int | None) -> News:
    told = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'news'").fetchone()
    last = 0 if told is None else int(told[0])
    if cursor is None:
        return News(cursor=last, messages=())
    since = cursor if cursor <= last else 0  # the file is another one than it was
    rows = db.execute(
        "SELECT number, message FROM news WHERE topic = ? AND number > ? ORDER BY number", (topic, since)
    ).fetchall()
    return News(cursor=max(last, rows[-1][0]) if rows else last, messages=tuple(message for _, message in rows))
