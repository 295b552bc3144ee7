"""How often somebody tried to log in and failed, counted for all workers and machines together.

An attempt counts before it is known whether it succeeds, so that many at the same time are not more than are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, or_, select, update

from runtime.stores.database import Database
from runtime.stores.tables import login_attempts

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SqlAttempts"]


class SqlAttempts:
    """``limit`` attempts in ``window_s`` seconds. What they are about (an account, an address) are hashes or names of ours."""

    def __init__(self, database: Database, limit: int, window_s: float) -> None:
        self._database = database
        self._limit = limit
        self._window_s = window_s

    async def begin(self, attempt: str, about: Sequence[str], now_s: float) -> float:
        """Count ``attempt``; 0, or after how many seconds the next one is let in, and nothing was counted.

        Raises StoreError.
        """
        wait_s = await self._database.read(partial(self._wait_s, about=about, now_s=now_s))
        if 0 < wait_s <= self._window_s:  # without writing, however often it is tried
            return wait_s
        return await self._database.write(partial(self._begin, attempt=attempt, about=about, now_s=now_s))

    async def withdraw(self, attempt: str) -> None:
        """It was none: nobody looked at it. Raises StoreError."""

        async def forget(db: AsyncConnection) -> None:
            await db.execute(delete(login_attempts).where(login_attempts.c.attempt == attempt))

        await self._database.write(forget)

    async def succeeded(self, attempt: str, account: str) -> None:
        """It was none that failed, and ``account`` has none any more. Raises StoreError."""
        mine = or_(login_attempts.c.attempt == attempt, login_attempts.c.about == account)

        async def forget(db: AsyncConnection) -> None:
            await db.execute(delete(login_attempts).where(mine))

        await self._database.write(forget)

    async def forget_all(self) -> None:
        """As if nobody had ever failed. Raises StoreError."""

        async def forget(db: AsyncConnection) -> None:
            await db.execute(delete(login_attempts))

        await self._database.write(forget)

    async def _begin(self, db: AsyncConnection, attempt: str, about: Sequence[str], now_s: float) -> float:
        if db.dialect.name == "postgresql":  # two that count at once would not see each other
            await db.exec_driver_sql("LOCK TABLE login_attempts IN SHARE ROW EXCLUSIVE MODE")
        ahead = update(login_attempts).where(login_attempts.c.at_s > now_s)
        await db.execute(ahead.values(at_s=now_s))  # the clock was set back: nobody is locked out for longer by that
        await db.execute(delete(login_attempts).where(login_attempts.c.at_s <= now_s - self._window_s))
        wait_s = await self._wait_s(db, about, now_s)
        if wait_s > 0:
            return wait_s
        rows = [{"attempt": attempt, "about": each, "at_s": now_s} for each in about]
        await db.execute(insert(login_attempts), rows)
        return 0.0

    async def _wait_s(self, db: AsyncConnection, about: Sequence[str], now_s: float) -> float:
        """Until fewer than the limit lie in the window, of each."""
        longest_s = 0.0
        for each in about:
            recent = select(login_attempts.c.at_s).where(
                login_attempts.c.about == each, login_attempts.c.at_s > now_s - self._window_s
            )
            latest = list(await db.scalars(recent.order_by(login_attempts.c.at_s.desc()).limit(self._limit)))
            if len(latest) == self._limit:
                longest_s = max(longest_s, latest[-1] + self._window_s - now_s)
        return longest_s
