"""One SQLite file, used by one thread of each process. Several processes may use it at once.

Write-ahead logging without a sync per commit: what was committed survives the death of a process; a power cut may cost
the last transactions, and never the file. Knows no topic: a topic brings its schema and its queries.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from runtime.errors import ConfigError
from runtime.shared.base import SharedError
from runtime.stores.new_file import make_file

__all__ = ["Schema", "SqliteFile", "check_file"]

BUSY_S: Final = 5.0

T = TypeVar("T")


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """``application`` marks a file as this topic's (SQLite's `application_id`), ``version`` counts changes of its shape."""

    topic: str
    application: int
    version: int
    statements: tuple[str, ...]


class SqliteFile:
    """Opened when it is first asked; each question is a function that is given the connection, on the file's thread."""

    def __init__(self, path: Path, schema: Schema, busy_s: float = BUSY_S) -> None:
        """``busy_s`` is how long to wait while another process writes."""
        self._path = path
        self._schema = schema
        self._busy_s = busy_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=schema.topic)
        self._connection: sqlite3.Connection | None = None

    async def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Raises SharedError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, ask)

    async def write(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """As one transaction: all of it or nothing. It is finished even when the caller no longer waits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, ask)

    async def aclose(self) -> None:
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    # -- on the thread

    def _read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return ask(self._opened())
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error

    def _write(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = ask(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error
        return answer

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _open(self._path, self._schema, self._busy_s)
            except ConfigError as error:
                raise SharedError(error.message) from error
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def check_file(path: Path, schema: Schema) -> None:
    """Open the file, making it where it is missing, and look whether it is sound. Raises ConfigError."""
    connection = _open(path, schema)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        raise _unusable(path, str(error)) from error
    finally:
        connection.close()


def _open(path: Path, schema: Schema, busy_s: float = BUSY_S) -> sqlite3.Connection:
    try:
        if not path.exists():
            make_file(path)
        os.close(os.open(path, os.O_RDWR))  # says better than SQLite why it cannot be
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise _unusable(path, str(error)) from error
    try:
        _prepare(connection, path, schema)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise _unusable(path, str(error)) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Bring a new file into shape; refuse one that is not ours, or newer than we are."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes hold in a file without tables only
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    if _number(connection, "user_version") == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _number(connection, "user_version") == 0:  # nobody was faster
            if _number(connection, "schema_version") != 0:
                raise _unusable(path, "it is a database of something else")
            for statement in schema.statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {schema.application}")
            connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    if _number(connection, "application_id") != schema.application:
        raise _unusable(path, "it is a database of something else")
    version = _number(connection, "user_version")
    if version > schema.version:
        raise _unusable(path, f"it has version {version}, and this release knows up to {schema.version}")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _unusable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path} cannot be used: {reason}; move it away, and a new one is made")


def _failed(path: Path, error: sqlite3.Error) -> SharedError:
    return SharedError(f"{path.name}: {error}")
