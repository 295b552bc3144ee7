"""The whole ledger at one moment, row after row, for whoever goes through the books."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from sqlalchemy import select, text

from runtime.catalog import Prices
from runtime.stores.database import Database
from runtime.stores.entries import AttemptEntry, Settlement
from runtime.stores.history import attempt_of, settlement_of
from runtime.stores.ledger import PRUNED, SUMS, Where
from runtime.stores.tables import attempts, days, ledger_marks, prices, settlements

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Books", "review"]

BATCH: Final = 1000

T = TypeVar("T")


class Books:
    """One state of the ledger, whatever is written meanwhile."""

    def __init__(self, db: AsyncConnection) -> None:
        self._db = db

    async def prices(self) -> dict[str, Prices | None]:
        """By version; None where what is kept of them cannot be read."""
        found = await self._db.execute(select(prices.c.version, prices.c.document))
        return {version: _read(document) for version, document in found}

    async def settlements(self) -> AsyncIterator[Settlement]:
        """All of them with their attempts, in the order in which they came."""
        after = -1
        while True:
            query = select(settlements).where(settlements.c.number > after)
            rows = (await self._db.execute(query.order_by(settlements.c.number).limit(BATCH))).all()
            if not rows:
                return
            entries: dict[str, list[AttemptEntry]] = {row.id: [] for row in rows}
            of_them = select(attempts).where(attempts.c.settlement.in_(list(entries)))
            for row in await self._db.execute(of_them.order_by(attempts.c.settlement, attempts.c.number)):
                entries[row.settlement].append(attempt_of(row))
            for row in rows:
                yield settlement_of(row, tuple(entries[row.id]))
            after = rows[-1].number

    async def days(self) -> dict[Where, list[int]]:
        """The sums by day, as `runtime.stores.ledger.summed` gives them."""
        return {
            (row.day, row.tenant, row.key, row.model, row.provider, row.connection): [
                int(getattr(row, name)) for name in SUMS
            ]
            for row in await self._db.execute(select(days))
        }

    async def pruned_before_s(self) -> float | None:
        """Of requests that began before or at that time, some are there no more."""
        found: float | None = await self._db.scalar(select(ledger_marks.c.value).where(ledger_marks.c.name == PRUNED))
        return found


async def review(database: Database, ask: Callable[[Books], Awaitable[T]]) -> T:
    """What ``ask`` finds in the books. Raises StoreError."""

    async def read(db: AsyncConnection) -> T:
        if db.dialect.name == "postgresql":
            await db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return await ask(Books(db))

    return await database.read(read)


def _read(document: bytes) -> Prices | None:
    try:
        return msgspec.json.decode(document, type=Prices)
    except msgspec.DecodeError:
        return None
