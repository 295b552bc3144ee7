"""One SQL database, SQLite or PostgreSQL, in which every topic of the store lies. Several processes use it at once.

SQLite is a file in write-ahead logging: what was committed survives the death of a process; a power cut may cost the last
transactions, and never the file. Knows no topic: a topic brings its tables and its statements, in SQLAlchemy Core.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Engine,
    Insert,
    Table,
    Text,
    any_,
    create_engine,
    event,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from runtime.errors import ConfigError, InvalidRequest
from runtime.stores.base import StoreError, StoreGoneError, StoreRefusedError
from runtime.stores.connection import connect
from runtime.stores.new_file import make_file
from runtime.stores.threads import WRITES, Threads

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = [
    "DATABASE_FILE",
    "MOST",
    "Database",
    "adding",
    "among",
    "database_url",
    "give_back",
    "insert_new",
    "insert_or",
]

MOST: Final = 2**63 - 1
"""What a column of 64 bits holds."""

DATABASE_FILE: Final = "gatewright.db"
"""Its name in the data directory, where no other database is configured."""

BUSY_S: Final = 5.0
"""How long a connection, a free place in the pool or another writer may be waited for."""
STATEMENT_S: Final = 30.0
AGAIN_S: Final = 1.0
"""How long nobody else asks a server that was gone."""

CONNECTIONS: Final = 4
CACHE_KIB: Final = 4096
PAGES: Final = 1000

TRIES: Final = 5
"""How often a transaction is made that others were in the way of."""

_COLLISIONS: Final = frozenset({"40001", "40P01", "23503", "23505"})
"""PostgreSQL's codes for what is over when it is done anew: it serialises nothing by itself, and rows come and go."""

_UNFIT: Final = "22"
"""PostgreSQL's class of codes for values that it cannot hold, a NUL character in a text or a number beyond 64 bits."""

_AGAINST: Final = ("22", "23", "54000", "P0001")
"""PostgreSQL's codes, or how they begin, for what it has against a row: also too long for an index, and said by a trigger."""

_SILENT: Final = (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError)
"""What it ends with to ask a database that is locked, full or gone."""

T = TypeVar("T")


class Database:
    """Connects when it is first asked, and again after the server was gone.

    Whoever finds that a server is gone or silent waits for it; the others are refused at once, until one in a second finds
    that it is back. A file is waited for by everybody: it is locked for a moment, and never gone.

    ``changed`` is called with the reason when it does not answer, with None when it does again.
    """

    def __init__(self, url: URL, changed: Callable[[str | None], None] = lambda _: None) -> None:
        self.sqlite = url.get_backend_name() == "sqlite"
        self._path = Path(url.database or "") if self.sqlite else None
        self._where = url.render_as_string(hide_password=True) if self._path is None else str(self._path)
        self._engine = _engine(url)
        self._threads = Threads(self._engine, CONNECTIONS) if self.sqlite else None
        self._asking: set[asyncio.Task[object]] = set()
        self._gone: Exception | None = None
        self._again_s = 0.0
        self._changed = changed
        self._lost: Literal["reads", "writes"] | None = None

    @property
    def file(self) -> Path | None:
        """The SQLite file; None where it is another server's."""
        return self._path

    def words(self, insert: Insert, names: Sequence[str]) -> str:
        """``insert`` of the columns ``names``, as the driver wants it said."""
        return str(insert.compile(dialect=self._engine.dialect, column_keys=names))

    def there(self) -> bool:
        """Whether there may be something in it: a file that is not there yet has nothing."""
        return self._path is None or self._path.exists()

    async def read(self, ask: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What ``ask`` answers, in a transaction that sees one state.

        Who no longer waits ends it, in a task of its own: a driver that is cancelled a second time leaves things behind.

        Raises StoreError, and InvalidRequest where it looks for a value that no database can hold.
        """
        task = self._asked(self._read(ask))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def write(self, ask: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """As one transaction: all of it or nothing. It is finished even when the caller no longer waits."""
        return await asyncio.shield(self._asked(self._write(ask)))

    async def aclose(self) -> None:
        """Let what is being asked and written end first."""
        await asyncio.gather(*self._asking, return_exceptions=True)
        if self._threads is not None:
            await self._threads.aclose()
        else:
            await greenlet_spawn(self._engine.dispose)

    def _asked(self, asking: Coroutine[object, object, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    async def _read(self, ask: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        try:
            found = await self._transaction(ask, writes=False)
        except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError, OverflowError, UnicodeEncodeError) as error:
            if _unfit(error):
                raise InvalidRequest("there is nothing with such a name or number: no store could hold it") from error
            raise self._failed(error, "reads") from error
        if self._lost == "reads":  # a file that is locked for writers may be read
            self._heard()
        return found

    async def _write(self, ask: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        for tries in range(TRIES):
            try:
                found = await self._transaction(ask, writes=True)
            except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError, OverflowError, UnicodeEncodeError) as error:
                if tries + 1 == TRIES or not _collided(error):
                    raise self._failed(error, "writes") from error
            else:
                self._heard()
                return found
        raise AssertionError

    async def _transaction(self, ask: Callable[[AsyncConnection], Awaitable[T]], *, writes: bool) -> T:
        if self._threads is not None:
            self._prepare()
            return await self._threads.run(ask, writes=writes)
        connection = await self._reach()
        try:
            async with connection.begin():
                return await ask(connection)
        finally:
            await connection.close()

    async def _reach(self) -> AsyncConnection:
        """A connection that was heard of just now."""
        now_s = asyncio.get_running_loop().time
        if self._gone is not None:
            if now_s() < self._again_s:
                raise self._gone
            self._again_s = now_s() + BUSY_S + AGAIN_S  # for this one's trial
        try:
            async with asyncio.timeout(BUSY_S + AGAIN_S):
                connection = await connect(self._engine)
        except PoolTimeout:  # all connections are in use: it is there
            raise
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._gone = TimeoutError(f"no answer within {BUSY_S + AGAIN_S:g} s") if not str(error) else error
            self._again_s = now_s() + AGAIN_S
            raise self._gone from error
        self._gone = None
        return connection

    def _prepare(self) -> None:
        if self._path is not None and not self._path.exists():
            make_file(self._path)

    def _failed(self, error: Exception, what: Literal["reads", "writes"]) -> StoreError:
        cause = getattr(error, "orig", None) or error
        message = f"{self._where}: {str(cause).splitlines()[0] if str(cause) else type(cause).__name__}"
        if _refused(error):
            return StoreRefusedError(message)
        if not isinstance(error, _SILENT):
            return StoreError(message)
        if self._lost is None:
            self._changed(message)
        if self._lost != "writes":
            self._lost = what
        return StoreGoneError(message)

    def _heard(self) -> None:
        if self._lost is not None:
            self._lost = None
            self._changed(None)


def insert_new(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that leaves out rows which are there already."""
    return insert_or(connection, table).on_conflict_do_nothing()


def insert_or(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that can say what becomes of rows which are there already. Only the database's own dialect is imported."""
    return _insert_in(connection.dialect.name, table)


def _insert_in(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


@lru_cache(maxsize=8)
def adding(dialect: str, table: Table, sums: tuple[str, ...]) -> postgresql.Insert | sqlite.Insert:
    """An insert that adds the ``sums`` of a row, from 0 to `MOST` each, to those of the one that is there already.

    What would be more than `MOST` stays there. Remembered: to make it takes longer than to run it.
    """
    statement = _insert_in(dialect, table)
    most, least = literal_column(str(MOST), BigInteger), func.min if dialect == "sqlite" else func.least
    added = {name: least(table.c[name], most - statement.excluded[name]) + statement.excluded[name] for name in sums}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=added)


def among(connection: AsyncConnection, column: Column[str], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether ``column`` is one of ``values``. They are one parameter: to put many into words takes longer than to look for them."""
    if connection.dialect.name == "sqlite":
        given = func.json_each(msgspec.json.encode(values).decode()).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(values, ARRAY(Text)))


def _collided(error: Exception) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _COLLISIONS


def _unfit(error: Exception) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return isinstance(error, OverflowError | UnicodeEncodeError) or code.startswith(_UNFIT)


def _refused(error: Exception) -> bool:
    """Whether it is what was to be written that is at fault."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    against = isinstance(error, DataError | IntegrityError | OverflowError | UnicodeEncodeError)
    return against or code.startswith(_AGAINST)


async def give_back(connection: AsyncConnection) -> None:
    """Return some of the pages that are free to the file system; PostgreSQL does so by itself."""
    if connection.dialect.name == "sqlite":
        await connection.run_sync(_give_back)


def _give_back(connection: Connection) -> None:
    """By the driver: rows of no columns, a page at each of them, are none to SQLAlchemy."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()


def database_url(written: str | None, data_dir: Path) -> URL:
    """The database that ``written`` names, or the file in the data directory. Raises ConfigError, without the password."""
    if written is None:
        return URL.create("sqlite", database=str(data_dir / DATABASE_FILE))
    try:
        url = make_url(written)
    except ArgumentError:
        raise ConfigError("`store.url` is no URL of a database") from None
    if url.drivername in {"postgres", "postgresql"}:
        return _asyncpg(url)
    if url.drivername == "sqlite" and url.database:
        return URL.create("sqlite", database=str(data_dir / url.database))
    raise ConfigError(f"`store.url` begins with {url.drivername!r}; say `postgresql://…` or `sqlite:///file`")


def _asyncpg(url: URL) -> URL:
    """Say what libpq's words mean in asyncpg's."""
    query = dict(url.query)
    mode = query.pop("sslmode", None)
    if mode is not None:
        query["ssl"] = mode
    return url.set(drivername="postgresql+asyncpg", query=query)


def _engine(url: URL) -> Engine:
    # The one that was used last goes first: it has in its cache what it wrote, and what others wrote makes it read anew.
    pool = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": BUSY_S, "pool_use_lifo": True}
    pool["hide_parameters"] = True  # errors are logged, and what was to be written is no matter of a log's
    if url.get_backend_name() != "sqlite":
        timing = {"timeout": BUSY_S, "command_timeout": STATEMENT_S}
        return create_engine(url, connect_args=timing, pool_pre_ping=True, **pool)
    engine = create_engine(url, connect_args={"timeout": BUSY_S, "check_same_thread": False}, **pool)
    event.listen(engine, "connect", _tune)
    event.listen(engine, "begin", _begin)
    return engine


def _tune(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """A new connection to an SQLite file. Transactions are begun by `_begin`, not by the driver's guess."""
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    """A writer asks for the lock at once: one that began by reading could not get it later without starting over."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
