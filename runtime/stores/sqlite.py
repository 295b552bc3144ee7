"""Responses in an SQLite file. Items are kept once per owner, however many responses share them.

A conversation of n turns is n responses that each list all their items; listing costs a few bytes per item, so that a
response can be deleted, or go with age, without breaking those that follow it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from typing_extensions import override

from runtime.stores.base import Item, ItemPage, Key, ResponseStore, Status, StoredResponse
from runtime.stores.sqlite_file import Schema, SqliteFile

__all__ = ["RESPONSES_FILE", "SCHEMA", "SqliteResponses"]

RESPONSES_FILE: Final = "responses.db"
"""Its name in the data directory."""

SCHEMA: Final = Schema(
    topic="responses",
    application=0x47575253,
    version=1,
    statements=(
        """CREATE TABLE responses (
            number INTEGER PRIMARY KEY,
            owner TEXT NOT NULL,
            id TEXT NOT NULL,
            status TEXT NOT NULL,
            created_s REAL NOT NULL,
            background INTEGER NOT NULL,
            lease_until_s REAL NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (owner, id)
        ) STRICT""",
        "CREATE INDEX responses_by_age ON responses (created_s)",
        """CREATE TABLE items (
            number INTEGER PRIMARY KEY,
            owner TEXT NOT NULL,
            id TEXT NOT NULL,
            digest BLOB NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (owner, digest)
        ) STRICT""",
        "CREATE INDEX items_by_id ON items (owner, id)",
        """CREATE TABLE links (
            response INTEGER NOT NULL REFERENCES responses (number),
            output INTEGER NOT NULL,
            position INTEGER NOT NULL,
            item INTEGER NOT NULL REFERENCES items (number),
            PRIMARY KEY (response, output, position)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX links_by_item ON links (item)",
    ),
)

BATCH: Final = 100
"""Responses deleted in one transaction, so that nobody waits long for it."""

_LISTED: Final = (
    "SELECT items.id, items.body FROM links JOIN items ON items.number = links.item WHERE links.response = ?"
)
_AFTER: Final = {
    "ASC": "SELECT max(position) FROM links JOIN items ON items.number = item WHERE response = ? AND output = 0 AND id = ?",
    "DESC": "SELECT min(position) FROM links JOIN items ON items.number = item WHERE response = ? AND output = 0 AND id = ?",
}
"""Where the next page begins; an id that stands twice is passed for good."""


class SqliteResponses(ResponseStore):
    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, SCHEMA)

    @override
    async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
        await self._file.write(partial(_put, response=response, context=context, output=output))

    @override
    async def get(self, key: Key) -> StoredResponse | None:
        return await self._file.read(partial(_get, key=key))

    @override
    async def conversation(self, key: Key) -> tuple[Item, ...] | None:
        return await self._file.read(partial(_conversation, key=key))

    @override
    async def context(self, key: Key, *, limit: int, newest_first: bool, after: str | None) -> ItemPage | None:
        return await self._file.read(partial(_page, key=key, limit=limit, newest_first=newest_first, after=after))

    @override
    async def item(self, owner: str, item_id: str) -> Item | None:
        return await self._file.read(partial(_item, owner=owner, item_id=item_id))

    @override
    async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
        return await self._file.write(partial(_set_status, key=key, status=status, body=body, output=output))

    @override
    async def renew(self, keys: Iterable[Key], lease_until_s: float) -> frozenset[Key]:
        return await self._file.write(partial(_renew, keys=tuple(keys), lease_until_s=lease_until_s))

    @override
    async def delete(self, key: Key) -> bool:
        return await self._file.write(partial(_delete_one, key=key))

    @override
    async def sweep(self, before_s: float, max_bytes: int) -> int:
        swept = 0
        while count := await self._file.write(partial(_delete_old, before_s=before_s)):
            swept += count
        while count := await self._file.write(partial(_delete_beyond, max_bytes=max_bytes)):
            swept += count
        return swept

    @override
    async def aclose(self) -> None:
        await self._file.aclose()


# -- writing


def _put(db: sqlite3.Connection, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
    _delete_one(db, response.key)
    number = db.execute(
        "INSERT INTO responses (owner, id, status, created_s, background, lease_until_s, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            response.owner,
            response.id,
            response.status,
            response.created_s,
            response.background,
            response.lease_until_s,
            response.body,
        ),
    ).fetchone()[0]
    _link(db, number, response.owner, 0, context)
    _link(db, number, response.owner, 1, output)


def _link(db: sqlite3.Connection, response: int, owner: str, output: int, items: Sequence[Item]) -> None:
    for position, item in enumerate(items):
        digest = hashlib.sha256(item.id.encode() + b"\0" + item.body).digest()
        known = db.execute("SELECT number FROM items WHERE owner = ? AND digest = ?", (owner, digest)).fetchone()
        if known is None:
            known = db.execute(
                "INSERT INTO items (owner, id, digest, body) VALUES (?, ?, ?, ?) RETURNING number",
                (owner, item.id, digest, item.body),
            ).fetchone()
        db.execute("INSERT INTO links VALUES (?, ?, ?, ?)", (response, output, position, known[0]))


def _set_status(db: sqlite3.Connection, key: Key, status: Status, body: bytes, output: Sequence[Item]) -> bool:
    found = db.execute(
        "UPDATE responses SET status = ?, body = ?"
        " WHERE owner = ? AND id = ? AND status IN ('queued', 'in_progress') RETURNING number",
        (status, body, *key),
    ).fetchone()
    if found is None:
        return False
    _link(db, found[0], key[0], 1, output)
    return True


def _renew(db: sqlite3.Connection, keys: Sequence[Key], lease_until_s: float) -> frozenset[Key]:
    renewal = (
        "UPDATE responses SET lease_until_s = ? WHERE owner = ? AND id = ? AND status IN ('queued', 'in_progress')"
    )
    return frozenset(key for key in keys if db.execute(renewal, (lease_until_s, *key)).rowcount)


def _delete_one(db: sqlite3.Connection, key: Key) -> bool:
    number = _number(db, key)
    if number is not None:
        _delete(db, [number])
    return number is not None


def _delete_old(db: sqlite3.Connection, before_s: float) -> int:
    old = (
        "SELECT number FROM responses"
        " WHERE created_s < ?1 AND (status NOT IN ('queued', 'in_progress') OR lease_until_s < ?1)"
        " ORDER BY created_s LIMIT ?2"
    )
    return _delete(db, [row[0] for row in db.execute(old, (before_s, BATCH))])


def _delete_beyond(db: sqlite3.Connection, max_bytes: int) -> int:
    """One batch of the oldest, as far as all take more than ``max_bytes``."""
    if _used_bytes(db) <= max_bytes:
        return 0
    oldest = (
        "SELECT number FROM responses WHERE status NOT IN ('queued', 'in_progress') ORDER BY created_s, number LIMIT ?"
    )
    deleted = 0
    for (number,) in db.execute(oldest, (BATCH,)).fetchall():
        deleted += _delete(db, [number])
        if _used_bytes(db) <= max_bytes:
            break
    return deleted


def _used_bytes(db: sqlite3.Connection) -> int:
    page_size, page_count, free = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count", "freelist_count")
    )
    return (page_count - free) * page_size


def _delete(db: sqlite3.Connection, numbers: Sequence[int]) -> int:
    for number in numbers:
        items = db.execute("DELETE FROM links WHERE response = ? RETURNING item", (number,)).fetchall()
        db.execute("DELETE FROM responses WHERE number = ?", (number,))
        db.executemany(
            "DELETE FROM items WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM links WHERE item = ?1)", set(items)
        )
    if numbers:
        db.execute("PRAGMA incremental_vacuum(1000)").fetchall()
    return len(numbers)


# -- reading


def _number(db: sqlite3.Connection, key: Key) -> int | None:
    row = db.execute("SELECT number FROM responses WHERE owner = ? AND id = ?", key).fetchone()
    return None if row is None else int(row[0])


def _get(db: sqlite3.Connection, key: Key) -> StoredResponse | None:
    row = db.execute(
        "SELECT status, created_s, background, lease_until_s, body FROM responses WHERE owner = ? AND id = ?", key
    ).fetchone()
    if row is None:
        return None
    status, created_s, background, lease_until_s, body = row
    return StoredResponse(
        owner=key[0],
        id=key[1],
        status=status,
        created_s=created_s,
        background=bool(background),
        lease_until_s=lease_until_s,
        body=body,
    )


def _conversation(db: sqlite3.Connection, key: Key) -> tuple[Item, ...] | None:
    number = _number(db, key)
    if number is None:
        return None
    rows = db.execute(f"{_LISTED} ORDER BY output, position", (number,))
    return tuple(Item(id=id_, body=body) for id_, body in rows)


def _page(db: sqlite3.Connection, key: Key, limit: int, newest_first: bool, after: str | None) -> ItemPage | None:
    number = _number(db, key)
    if number is None:
        return None
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    where, values = "", [number]
    if after is not None:
        place = db.execute(_AFTER[order], (number, after)).fetchone()[0]
        if place is None:
            raise LookupError(after)
        where, values = f" AND position {beyond} ?", [number, place]
    rows = db.execute(
        f"{_LISTED} AND output = 0{where} ORDER BY position {order} LIMIT ?", (*values, limit + 1)
    ).fetchall()
    return ItemPage(items=tuple(Item(id=id_, body=body) for id_, body in rows[:limit]), more=len(rows) > limit)


def _item(db: sqlite3.Connection, owner: str, item_id: str) -> Item | None:
    row = db.execute(
        "SELECT body FROM items WHERE owner = ? AND id = ? ORDER BY number DESC LIMIT 1", (owner, item_id)
    ).fetchone()
    return None if row is None else Item(id=item_id, body=row[0])
