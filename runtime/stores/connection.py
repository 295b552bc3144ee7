"""Connections of a server's database for coroutines, without SQLAlchemy's extension for them: it loads the ORM, of which nothing is used.

What waits runs in a greenlet, as there. A result is given when all its rows are here. Those of an SQLite file are in `threads.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from sqlalchemy.util import greenlet_spawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable, Result, ScalarResult, Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult

    Rows = Result[*tuple[object, ...]]
    Values = Mapping[str, object] | Sequence[Mapping[str, object]] | None

__all__ = ["connect"]

P = ParamSpec("P")
T = TypeVar("T")


async def connect(engine: Engine) -> AsyncConnection:
    """A connection of ``engine``, whose driver is one for coroutines."""
    return cast("AsyncConnection", _Connected(await greenlet_spawn(engine.connect)))


class _Connected:
    """What stores use of an `AsyncConnection`, and typed as one."""

    __slots__ = ("sync_connection",)

    def __init__(self, connection: Connection) -> None:
        self.sync_connection = connection

    @property
    def dialect(self) -> Dialect:
        return self.sync_connection.dialect

    async def execute(self, statement: Executable, values: Values = None) -> Rows:
        return await greenlet_spawn(_whole, self.sync_connection.execute, statement, values)

    async def exec_driver_sql(self, statement: str, values: Sequence[tuple[object, ...]] | None = None) -> Rows:
        return await greenlet_spawn(_whole, self.sync_connection.exec_driver_sql, statement, values)

    async def scalar(self, statement: Executable) -> object:
        return await greenlet_spawn(self.sync_connection.scalar, statement)

    async def scalars(self, statement: Executable) -> ScalarResult[object]:
        return (await self.execute(statement)).scalars()

    def stream(
        self, statement: Select[*tuple[object, ...]]
    ) -> AbstractAsyncContextManager[AsyncResult[*tuple[object, ...]]]:
        """Row by row, which the extension alone can; for copies of whole databases."""
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

        return AsyncConnection(AsyncEngine(self.sync_connection.engine), self.sync_connection).stream(statement)

    async def run_sync(self, do: Callable[[Connection], T]) -> T:
        return await greenlet_spawn(do, self.sync_connection)

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[None, None]:
        """A transaction: kept if the block ends well, undone otherwise."""
        transaction = await greenlet_spawn(self.sync_connection.begin)
        try:
            yield
        except BaseException as error:
            await greenlet_spawn(transaction.__exit__, type(error), error, error.__traceback__)
            raise
        await greenlet_spawn(transaction.__exit__, None, None, None)

    async def close(self) -> None:
        await greenlet_spawn(self.sync_connection.close)


def _whole(ask: Callable[P, CursorResult[*tuple[object, ...]]], *given: P.args, **named: P.kwargs) -> Rows:
    """What ``ask`` finds, fetched and its cursor closed, which may have to be waited for."""
    found = ask(*given, **named)
    return found.freeze()() if found.returns_rows else found
