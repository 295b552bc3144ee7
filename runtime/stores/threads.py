"""Transactions on an SQLite file, each in a thread from its first statement to its last.

What stores hand in are coroutines, since a server has to be waited for. A file has not: there a coroutine ends with its first
step. To bring each statement to a thread and what it found back, as drivers for coroutines do, takes several times what
the statements of a small transaction do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable, ScalarResult
    from sqlalchemy.ext.asyncio import AsyncConnection

    Rows = CursorResult[*tuple[object, ...]]
    Values = Mapping[str, object] | Sequence[Mapping[str, object]] | None

__all__ = ["THREADS", "WRITES", "Threads"]

WRITES = "gatewright_writes"
"""The option of a connection that is going to write."""

THREADS = "sqlite"
"""What the names of the threads begin with."""

T = TypeVar("T")


class Threads:
    """As many as ``engine`` has connections. They begin when they are needed, and end with `aclose` until they are needed again."""

    def __init__(self, engine: Engine, many: int) -> None:
        self._engine = engine
        self._many = many
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, ask: Callable[[AsyncConnection], Awaitable[T]], *, writes: bool) -> T:
        """What ``ask`` answers in a transaction: kept if it ends well, undone otherwise.

        Who no longer waits is told so at once. A transaction that has begun is brought to its end.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._many, thread_name_prefix=THREADS)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, ask, writes)

    async def aclose(self) -> None:
        """Let those end that nobody waits for, too."""
        threads, self._threads = self._threads, None
        await asyncio.to_thread(self._close, threads)

    def _run(self, ask: Callable[[AsyncConnection], Awaitable[T]], writes: bool) -> T:
        with self._engine.connect() as connection:
            if writes:
                connection.execution_options(**{WRITES: True})
            with connection.begin():
                return _ended(ask(cast("AsyncConnection", _Here(connection))))

    def _close(self, threads: ThreadPoolExecutor | None) -> None:
        if threads is not None:
            threads.shutdown()
        self._engine.dispose()


class _Here:
    """What stores use of an `AsyncConnection`, and typed as one. Nothing waits: the thread does. Rows are read in the transaction."""

    __slots__ = ("sync_connection",)

    def __init__(self, connection: Connection) -> None:
        self.sync_connection = connection

    @property
    def dialect(self) -> Dialect:
        return self.sync_connection.dialect

    async def execute(self, statement: Executable, values: Values = None) -> Rows:
        return self.sync_connection.execute(statement, values)

    async def exec_driver_sql(self, statement: str, values: Sequence[tuple[object, ...]] | None = None) -> Rows:
        return self.sync_connection.exec_driver_sql(statement, values)

    async def scalar(self, statement: Executable) -> object:
        return self.sync_connection.scalar(statement)

    async def scalars(self, statement: Executable) -> ScalarResult[object]:
        return self.sync_connection.scalars(statement)

    async def run_sync(self, do: Callable[[Connection], T]) -> T:
        return do(self.sync_connection)


def _ended(asking: Awaitable[T]) -> T:
    """What ``asking`` comes to at its first step."""
    steps = asking.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast("T", end.value)
    steps.close()
    raise RuntimeError("a transaction on a file waits for something else than the file")
