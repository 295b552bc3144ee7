"""Saying, once in each window, that a key has spent as much of a budget as its `warningThreshold` says.

Every worker looks; whichever sees it first says it, for all workers and machines that share the store. A budget that was made
larger, or that warns from another part on, is another one to be told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from runtime.stores.base import StoreError
from runtime.stores.spending import SpentRow
from runtime.telemetry.log import Log
from runtime.web.key import KeyRecord
from runtime.window import Limit, calendar_start_ms, dollars

__all__ = ["BudgetNews"]

EVERY_S: Final = 2.0


class Spending(Protocol):
    """`SqlSpending`."""

    async def days(self, subjects: Sequence[str], start_s: int) -> dict[str, list[SpentRow]]: ...
    async def first(self, what: str, of: str, window_s: int) -> bool: ...


class _Watched(NamedTuple):
    """A budget of a key, in the window that began at ``start_s``."""

    key: KeyRecord
    budget: Limit
    start_s: int

    @property
    def of(self) -> str:
        return f"{self.key.id}/{self.budget.span}"

    @property
    def what(self) -> str:
        return f"{self.budget.amount}/{self.budget.warn_at}"


class BudgetNews:
    """``keys`` gives those that are good, ``now`` Unix seconds, ``log`` the log of the moment."""

    def __init__(
        self,
        keys: Callable[[], Iterable[KeyRecord]],
        spending: Spending,
        now: Callable[[], float],
        log: Callable[[], Log],
    ) -> None:
        self._keys = keys
        self._spending = spending
        self._now = now
        self._log = log
        self._told: set[tuple[str, str, int]] = set()  # by us or by another; the store knows, and need not be asked

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except StoreError:
                continue  # the store says that itself

    async def look(self) -> None:
        """Say what is to be said now. Raises StoreError."""
        watched = self._watched()
        self._told &= {(each.of, each.what, each.start_s) for each in watched}
        due = [each for each in watched if (each.of, each.what, each.start_s) not in self._told]
        if not due:
            return
        subjects = sorted({f"key/{each.key.id}" for each in due})
        spent = await self._spending.days(subjects, min(each.start_s for each in due))
        for each in due:
            rows = spent.get(f"key/{each.key.id}", ())
            used = sum(row.nano_usd for row in rows if row.start_s >= each.start_s)
            if each.budget.warns(used):
                await self._tell(each, used)

    def _watched(self) -> list[_Watched]:
        now_ms = int(self._now() * 1000)
        return [
            _Watched(key, limit, calendar_start_ms(limit.calendar, now_ms) // 1000)
            for key in self._keys()
            for limit in key.limits
            if limit.warn_at > 0 and limit.of == "usd" and limit.calendar is not None
        ]

    async def _tell(self, each: _Watched, used: int) -> None:
        first = await self._spending.first(each.what, each.of, each.start_s)
        self._told.add((each.of, each.what, each.start_s))
        if first:
            log = self._log()
            log.warning(
                "budget_warning",
                key=each.key.id,
                tenant=each.key.tenant,
                budget=each.budget.words,
                used_usd=dollars(used),
                threshold=each.budget.warn_at,
            )
