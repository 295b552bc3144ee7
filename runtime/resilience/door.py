"""Who is being served, and the order to stop: new calls are refused, running ones get a grace, then an honest end."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import msgspec

from runtime.errors import GatewayError, ShuttingDown
from runtime.resilience.turns import Turns

__all__ = ["Door"]


class _Visit(msgspec.Struct, eq=False):
    """One call inside: whose it is, why it was told to end, if it was, and how often that the call has not yet heard."""

    owner: str
    task: asyncio.Task[Any]
    dismissed: GatewayError | None = None
    orders: int = 0

    def end(self) -> None:
        """Order the call to end."""
        self.orders += 1
        self.task.cancel()


class Door:
    """Every call passes through: ``with door: …``. Open until `close`.

    ``expired`` turns true when the grace is over; a call that is cancelled then shall tell its client that the gateway
    shuts down, in place of vanishing. ``turns`` are what calls that begin or end together take.
    """

    def __init__(self) -> None:
        self._inside: dict[asyncio.Task[Any], _Visit] = {}
        self._visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)  # tasks of a call are of its visit
        self._empty = asyncio.Event()
        self.turns = Turns()
        self.closed = False
        self.expired = False

    def __enter__(self) -> _Visit:
        """Who came: its task, and whose it is once that is known. Raises ShuttingDown once closed."""
        if self.closed:
            raise ShuttingDown("the gateway is shutting down; try again", retry_after_s=1)
        task = asyncio.current_task()
        assert task is not None, "a call is served by a task"
        before = self._visit.get()
        visit = _Visit("" if before is None else before.owner, task)
        self._inside[task] = visit
        self._visit.set(visit)
        return visit

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        visit = self._visit.get()
        assert visit is not None
        self._inside.pop(visit.task, None)
        if not isinstance(error, asyncio.CancelledError):  # else the call may ask for its `farewell` outside
            self._visit.set(None)
        if self.closed and not self._inside:
            self._empty.set()

    @property
    def calls(self) -> int:
        """How many calls are being served."""
        return len(self._inside)

    @property
    def owners(self) -> frozenset[str]:
        """Whose calls are being served."""
        return frozenset(visit.owner for visit in self._inside.values() if visit.owner)

    def dismiss(self, owners: frozenset[str], error: GatewayError) -> int:
        """End the calls of ``owners`` that are being served: each tells its client ``error``. How many there were."""
        ended = [visit for visit in self._inside.values() if visit.owner in owners and visit.dismissed is None]
        for visit in ended:
            visit.dismissed = error
            visit.end()
        return len(ended)

    async def close(self, grace_s: float, farewell_s: float = 2.0) -> int:
        """Refuse new calls and wait for the running ones; then end them. Returns how many had to be ended.

        ``farewell_s`` is how long those may take to tell their clients.
        """
        self.closed = True
        if await self._emptied(grace_s):
            return 0
        self.expired = True
        left = tuple(self._inside.values())
        for visit in left:
            visit.end()
        await self._emptied(farewell_s)
        return len(left)

    def farewell(self) -> GatewayError | None:
        """For a call that was cancelled: what to tell its client if it was dismissed or the gateway shuts down, else None.

        Takes the cancellation back, so that the call can still speak.
        """
        task, visit = asyncio.current_task(), self._visit.get()
        dismissed = None if visit is None else visit.dismissed
        if task is None or not (self.expired or dismissed):
            return None
        left = task.uncancel()
        if visit is not None and visit.task is task:  # a task of the call may ask, too, and was ordered nothing itself
            for _ in range(visit.orders - 1):  # it was ordered to end again before it could ask
                left = task.uncancel()
            visit.orders = 0
        if left > 0:
            return None
        if task not in self._inside:
            self._visit.set(None)
        return dismissed or ShuttingDown("the gateway shut down before the answer was complete")

    async def _emptied(self, limit_s: float) -> bool:
        if not self._inside:
            return True
        try:
            async with asyncio.timeout(limit_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
