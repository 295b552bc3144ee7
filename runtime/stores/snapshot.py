"""The whole store as one SQLite file, whatever it runs on: made while the gateway serves, and examined before it is trusted.

A snapshot sees one moment. Logins are not in it. From SQLite it is made by `VACUUM INTO`, from PostgreSQL row by row in one
transaction; so one of either can be put into the other. It is sealed: whoever has the file may read what overrides say, and
where they changed it, as to have a secret sent elsewhere, that is seen.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import Table, select, text
from sqlalchemy.engine import URL

from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.migrate import SCHEMA, migrate
from runtime.stores.tables import METADATA

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["LEFT_OUT", "Contents", "Stamp", "Unfit", "examine", "opened", "snapshot"]

LEFT_OUT: Final = frozenset({"limit_counters", "limit_holders", "limit_holds", "login_attempts", "logins"})
"""Tables that stay empty: what is of the moment, and over when a snapshot is put back."""

APPLICATION_ID: Final = 0x47777274
"""Says in the file's head whose it is."""

SEAL: Final = "seal"
"""The table of a snapshot, and of no store, that holds the HMAC-SHA-256 of what `_SEALED` finds."""

_SEALED: Final = (
    "SELECT section, name, document FROM overrides ORDER BY section, name",
    "SELECT id, store_key, hex(sealed) FROM stored_secrets ORDER BY id",
)

ROWS: Final = 500
MIN_BYTES: Final = 4096


class Unfit(Exception):  # noqa: N818 — told to whoever brought the file
    """A file that cannot be put back: no database, a damaged one, somebody else's, or a newer release's."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Of the gateway that makes a snapshot. ``mark`` says with which pepper keys are hashed; ``key``, made of it, seals."""

    mark: int = 0
    key: bytes = b""


UNSTAMPED: Final = Stamp()


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a snapshot. ``schema`` is the last step of the migrations, ``rows`` are counted by table.

    ``mark`` says with which pepper its keys are hashed, without telling it; 0 where nobody wrote it. ``sealed`` is the digest
    of overrides and secrets, ``seal`` the HMAC of it that was written with them; both empty in what an older release made.
    """

    schema: str
    mark: int = 0
    sealed: bytes = b""
    seal: bytes = b""
    size_bytes: int
    rows: dict[str, int]

    def sealed_by(self, key: bytes) -> bool:
        """Whether overrides and secrets are as who had ``key`` wrote them."""
        return bool(self.seal) and hmac.compare_digest(self.seal, _seal(self.sealed, key))


async def snapshot(database: Database, target: Path, stamp: Stamp = UNSTAMPED) -> Contents:
    """Make ``target``, for its owner alone, with ``stamp`` on it. Nothing is left where that fails. Raises StoreError."""
    draft = target.with_name(f".{target.name}.part")
    try:
        draft.unlink(missing_ok=True)
        if database.file is not None:
            await asyncio.to_thread(_vacuum, database.file, draft)
        else:
            await _copy(database, draft)
        contents = await asyncio.to_thread(_finished, draft, stamp)
        await asyncio.to_thread(_put, draft, target)
    except (Unfit, sqlite3.Error, OSError) as error:
        raise StoreError(f"{target.name} cannot be made: {error}") from error
    finally:
        for rest in (draft, Path(f"{draft}-journal"), Path(f"{draft}-wal"), Path(f"{draft}-shm")):
            rest.unlink(missing_ok=True)
    return contents


def examine(path: Path) -> Contents:
    """Whether ``path`` is a whole snapshot that this release can put back. Raises Unfit. Slow: every page is read."""
    with path.open("rb") as file:
        begins = file.read(16)
    if path.stat().st_size < MIN_BYTES or begins != b"SQLite format 3\0":
        raise Unfit("it is no SQLite database")
    try:
        with opened(path) as db:
            return _examined(db, path.stat().st_size)
    except sqlite3.Error as error:
        raise Unfit(f"it is damaged: {error}") from error


@contextmanager
def opened(path: Path) -> Generator[sqlite3.Connection, None, None]:
    """The file, for reading, with nothing of it believed. Raises sqlite3.Error."""
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    ) as db:
        db.isolation_level = None
        db.execute("PRAGMA trusted_schema = OFF")
        yield db


def _examined(db: sqlite3.Connection, size_bytes: int) -> Contents:
    (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Unfit(f"it is damaged: {found}")
    made: dict[str, str] = dict(db.execute("SELECT name, type FROM sqlite_master").fetchall())
    if "schema_version" not in made:
        raise Unfit("it is a database of something else: it has no `schema_version`")
    if strange := [name for name, kind in made.items() if kind not in {"table", "index"}]:
        raise Unfit(f"it holds what no store of ours does: {made[strange[0]]} {strange[0][:60]!r}")
    row = db.execute("SELECT version_num FROM schema_version").fetchone()
    schema = str(row[0]) if row is not None else ""
    if schema > SCHEMA:
        raise Unfit(f"it is of a newer release: its schema is {schema[:20]}, this one knows {SCHEMA}")
    if not schema:
        raise Unfit("its `schema_version` says nothing")
    if damaged := db.execute("PRAGMA foreign_key_check").fetchone():
        raise Unfit(f"rows of {damaged[0]!r} belong to nothing")
    tables = [table.name for table in METADATA.sorted_tables if made.get(table.name) == "table"]
    if not tables:
        raise Unfit("it is a database of something else: it has none of our tables")
    rows = {name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables}  # noqa: S608
    (mark,) = db.execute("PRAGMA user_version").fetchone()
    sealed, seal = b"", b""
    if made.get(SEAL) == "table":
        sealed = _sealed(db)
        written = db.execute(f"SELECT * FROM {SEAL}").fetchone()  # noqa: S608
        seal = written[0] if written and isinstance(written[0], bytes) else b""
    return Contents(schema=schema, mark=mark, sealed=sealed, seal=seal, size_bytes=size_bytes, rows=rows)


def _vacuum(source: Path, draft: Path) -> None:
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)) as db:
        db.isolation_level = None
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        db.execute("VACUUM INTO ?", (str(draft),))


async def _copy(database: Database, draft: Path) -> None:
    """Row by row, as of one moment."""
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    empty = Database(URL.create("sqlite", database=str(draft)))
    try:
        await migrate(empty)
    finally:
        await empty.aclose()
    with closing(sqlite3.connect(draft, isolation_level=None, check_same_thread=False)) as db:
        db.execute("BEGIN")

        async def rows_of(connection: AsyncConnection) -> None:
            await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            for table in METADATA.sorted_tables:
                if table.name not in LEFT_OUT:
                    await _copy_table(connection, table, db)

        await database.read(rows_of)
        await asyncio.to_thread(db.execute, "COMMIT")


async def _copy_table(connection: AsyncConnection, table: Table, db: sqlite3.Connection) -> None:
    put = _insertion(table)
    async with connection.stream(select(table).execution_options(yield_per=ROWS)) as rows:
        async for some in rows.partitions(ROWS):
            await asyncio.to_thread(db.executemany, put, [tuple(row) for row in some])


def _insertion(table: Table) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    return f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608 — names of ours


def _finished(draft: Path, stamp: Stamp) -> Contents:
    """Take out what is not kept, and see that it can be read."""
    with closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {stamp.mark}")
        db.execute("PRAGMA secure_delete = ON")
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in sorted(LEFT_OUT & there):
            db.execute(f'DELETE FROM "{name}"')  # noqa: S608
        db.execute(f"DROP TABLE IF EXISTS {SEAL}")
        if {"overrides", "stored_secrets"} <= there:
            db.execute(f"CREATE TABLE {SEAL} (mac BLOB NOT NULL)")
            db.execute(f"INSERT INTO {SEAL} VALUES (?)", (_seal(_sealed(db), stamp.key),))  # noqa: S608
    return examine(draft)


def _sealed(db: sqlite3.Connection) -> bytes:
    said = [db.execute(each).fetchall() for each in _SEALED]
    return hashlib.sha256(msgspec.json.encode(said)).digest()


def _seal(sealed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, sealed, "sha256")


def _put(draft: Path, target: Path) -> None:
    """Under its name only once it is whole and on the disk."""
    draft.chmod(0o600)
    _sync(draft)
    draft.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
