"""Who is being served, and the order to stop: new calls are refused, running ones get a grace, then an honest end."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from runtime.errors import ShuttingDown

__all__ = ["Door"]


class Door:
    """Every call passes through: ``with door: …``. Open until `close`.

    ``expired`` turns true when the grace is over; a call that is cancelled then shall tell its client that the gateway
    shuts down, in place of vanishing.
    """

    def __init__(self) -> None:
        self._inside: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()
        self.closed = False
        self.expired = False

    def __enter__(self) -> None:
        """Raises ShuttingDown once closed."""
        if self.closed:
            raise ShuttingDown("the gateway is shutting down; try again", retry_after_s=1)
        task = asyncio.current_task()
        assert task is not None, "a call is served by a task"
        self._inside.add(task)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._inside.discard(task)
        if self.closed and not self._inside:
            self._empty.set()

    async def close(self, grace_s: float, farewell_s: float = 2.0) -> int:
        """Refuse new calls and wait for the running ones; then end them. Returns how many had to be ended.

        ``farewell_s`` is how long those may take to tell their clients.
        """
        self.closed = True
        if await self._emptied(grace_s):
            return 0
        self.expired = True
        left = tuple(self._inside)
        for task in left:
            task.cancel()
        await self._emptied(farewell_s)
        return len(left)

    def farewell(self) -> ShuttingDown | None:
        """For a call that was cancelled: what to tell its client if it was the shutdown that cancelled it, else None.

        Takes the cancellation back, so that the call can still speak.
        """
        task = asyncio.current_task()
        if not self.expired or task is None or task.uncancel() > 0:
            return None
        return ShuttingDown("the gateway shut down before the answer was complete")

    async def _emptied(self, limit_s: float) -> bool:
        if not self._inside:
            return True
        try:
            async with asyncio.timeout(limit_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
