"""Putting a snapshot back into the store while the gateway serves: one transaction, so everybody sees it wholly or not at all.

What is put back: keys, people, overrides with their secrets, kept responses. What is not: money and what was done are never
turned back. The ledger stands as it is, unless it is empty; the audit log keeps what it has and gets what it lacks; a key
that was revoked meanwhile stays revoked. Everybody's login ends. Every revision counts up, so that all workers read anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import Boolean, Table, delete, func, insert, select, text, update
from sqlalchemy.engine import URL

from runtime.stores.base import StoreError
from runtime.stores.database import Database, insert_new
from runtime.stores.migrate import SCHEMA, migrate
from runtime.stores.overrides import OverrideSet, SqlOverrides
from runtime.stores.snapshot import Contents, Unfit, examine, opened
from runtime.stores.tables import METADATA, audit_log, keys, revisions, revoked_keys, settlements

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["ADDED", "LEDGER", "REPLACED", "fit", "overrides_in", "restore"]

LEDGER: Final = frozenset({"attempts", "days", "journals", "ledger_marks", "prices", "settlements", "spent"})
"""Tables that are taken from a snapshot only where there is no settlement yet."""

ADDED: Final = frozenset({"audit_log", "revoked_keys"})
"""Tables that keep their rows and get those that they lack."""

REPLACED: Final = frozenset({"items", "keys", "links", "overrides", "people", "responses", "stored_secrets"})
"""Tables that are as in the snapshot afterwards."""

ROWS: Final = 500
PARAMETERS: Final = 30_000
"""PostgreSQL takes 32767 in a statement."""

WAIT_S: Final = 60.0
COUNTED: Final = "number"
"""The column that databases count up by themselves where rows have another name, too."""


def fit(path: Path) -> Contents:
    """Bring a snapshot of an older release, our own copy, into the present shape; its seal is that of before. Raises Unfit."""
    contents = examine(path)
    if contents.schema == SCHEMA:
        return contents
    try:
        asyncio.run(_migrate(path))
    except StoreError as error:
        raise Unfit(f"it cannot be brought to the present schema: {error}") from error
    return msgspec.structs.replace(examine(path), sealed=contents.sealed, seal=contents.seal)


async def overrides_in(path: Path) -> OverrideSet:
    """What the snapshot ``path``, which is `fit`, would lay over the configuration. Raises StoreError."""
    database = Database(URL.create("sqlite", database=str(path)))
    try:
        return await SqlOverrides(database).all()
    finally:
        await database.aclose()
        await asyncio.to_thread(_alone, path)


async def restore(database: Database, path: Path) -> None:
    """Put the snapshot ``path``, which is `fit`, into ``database``. Raises StoreError, and nothing was changed."""
    if database.file is not None:
        try:
            await asyncio.to_thread(_restore_file, database.file, path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the snapshot cannot be put back: {error}") from error
        return

    async def put_back(db: AsyncConnection) -> None:
        await _restore_rows(db, path)

    await database.write(put_back)


async def _migrate(path: Path) -> None:
    database = Database(URL.create("sqlite", database=str(path)))
    try:
        await migrate(database)
    finally:
        await database.aclose()
    _alone(path)


def _alone(path: Path) -> None:
    """All of it in one file, nothing beside it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


# -- SQLite into SQLite: the files are attached, and the database copies by itself


def _restore_file(live: Path, path: Path) -> None:
    with closing(sqlite3.connect(live, isolation_level=None, timeout=WAIT_S, uri=True)) as db:
        db.execute("ATTACH ? AS given", (f"{path.absolute().as_uri()}?mode=ro&immutable=1",))
        db.execute("PRAGMA foreign_keys = OFF")  # a parent goes before its children come back
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(db):
                db.execute(statement)
            if damaged := db.execute("PRAGMA main.foreign_key_check").fetchone():
                raise sqlite3.IntegrityError(f"rows of {damaged[0]} would belong to nothing")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _statements(db: sqlite3.Connection) -> Iterator[str]:
    (settled,) = db.execute("SELECT count(*) FROM (SELECT 1 FROM main.settlements LIMIT 1)").fetchone()
    yield "CREATE TEMP TABLE ended AS SELECT id, revoked_s FROM main.keys WHERE revoked_s IS NOT NULL"
    for table in METADATA.sorted_tables:
        columns = _listed(table, without_count=table.name in ADDED)
        if table.name in REPLACED or (table.name in LEDGER and not settled):
            yield f'DELETE FROM main."{table.name}"'  # noqa: S608 — all names here are ours
            yield f'INSERT INTO main."{table.name}" ({columns}) SELECT {columns} FROM given."{table.name}"'  # noqa: S608
        elif table.name in ADDED:
            yield f'INSERT OR IGNORE INTO main."{table.name}" ({columns}) SELECT {columns} FROM given."{table.name}"'  # noqa: S608
    yield (
        "UPDATE main.keys SET revoked_s = (SELECT revoked_s FROM temp.ended WHERE ended.id = keys.id)"
        " WHERE revoked_s IS NULL AND id IN (SELECT id FROM temp.ended)"
    )
    yield (
        "UPDATE main.keys SET revoked_s = (SELECT revoked_s FROM main.revoked_keys AS ended WHERE ended.hash = keys.hash)"
        " WHERE revoked_s IS NULL AND hash IN (SELECT hash FROM main.revoked_keys)"
    )
    yield "INSERT OR IGNORE INTO main.revisions (topic, revision) SELECT topic, 0 FROM given.revisions"
    yield (
        "UPDATE main.revisions SET revision = 1 + max(revision,"
        " coalesce((SELECT revision FROM given.revisions AS was WHERE was.topic = revisions.topic), 0))"
    )
    yield "DELETE FROM main.logins"
    yield "DROP TABLE temp.ended"


def _listed(table: Table, *, without_count: bool) -> str:
    names = [column.name for column in table.columns if not (without_count and column.name == COUNTED)]
    return ", ".join(f'"{name}"' for name in names)


# -- SQLite into another server's database: row by row, in one transaction of that


async def _restore_rows(db: AsyncConnection, path: Path) -> None:
    settled = await db.scalar(select(settlements.c.id).limit(1)) is not None
    ended = {row.id: row.revoked_s for row in await db.execute(select(keys).where(keys.c.revoked_s.is_not(None)))}
    replaced = [
        table for table in METADATA.sorted_tables if table.name in REPLACED or (table.name in LEDGER and not settled)
    ]
    for table in reversed(replaced):
        await db.execute(delete(table))
    for table in replaced:
        async for some in _rows(path, table):
            await db.execute(insert(table), some)
        await _count_on(db, table)
    for table in (audit_log, revoked_keys):
        async for some in _rows(path, table):
            new = [{name: value for name, value in row.items() if name != COUNTED} for row in some]
            await db.execute(insert_new(db, table).values(new))
    for id_, revoked_s in ended.items():
        still = update(keys).where(keys.c.id == id_, keys.c.revoked_s.is_(None))
        await db.execute(still.values(revoked_s=revoked_s))
    for row in (await db.execute(select(revoked_keys.c.hash, revoked_keys.c.revoked_s))).all():
        still = update(keys).where(keys.c.hash == row.hash, keys.c.revoked_s.is_(None))
        await db.execute(still.values(revoked_s=row.revoked_s))
    await _count_revisions(db, path)
    await db.execute(text("DELETE FROM logins"))


async def _count_on(db: AsyncConnection, table: Table) -> None:
    """The next row of ``table`` gets a number that none has."""
    column = table.columns.get(COUNTED)
    if column is None or not column.primary_key or column.autoincrement is False:
        return
    highest = await db.scalar(select(func.max(column)))
    if highest is not None:
        told = text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)")
        await db.execute(told, {"table": table.name, "column": COUNTED, "highest": highest})


async def _count_revisions(db: AsyncConnection, path: Path) -> None:
    given = {str(row["topic"]): _whole(row["revision"]) async for some in _rows(path, revisions) for row in some}
    for topic in given:
        await db.execute(insert_new(db, revisions).values(topic=topic, revision=0))
    for row in (await db.execute(select(revisions))).all():
        counted = 1 + max(row.revision, given.get(row.topic, 0))
        await db.execute(update(revisions).where(revisions.c.topic == row.topic).values(revision=counted))


async def _rows(path: Path, table: Table) -> AsyncIterator[list[dict[str, object]]]:
    """The rows of ``table`` in the snapshot, in pieces that fit into a statement."""
    columns = list(table.columns)
    size = max(1, min(ROWS, PARAMETERS // len(columns)))
    with opened(path) as db:
        asked = f'SELECT {_listed(table, without_count=False)} FROM "{table.name}"'  # noqa: S608
        cursor = await asyncio.to_thread(db.execute, asked)
        while some := await asyncio.to_thread(cursor.fetchmany, size):
            yield [
                {
                    column.name: bool(value) if isinstance(column.type, Boolean) and value is not None else value
                    for column, value in zip(columns, row, strict=True)
                }
                for row in some
            ]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
