"""Hashing and comparing passwords beside the calls that a worker serves: one at a time, in a thread, and no long queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from runtime.errors import RouteUnavailable
from runtime.web.password import hash_password, password_matches

__all__ = ["Passwords"]

WAITING: Final = 8
"""How many may wait for their turn; a turn takes a fraction of a second of one core."""

T = TypeVar("T")


class Passwords:
    """Make it in the worker: it has a thread of its own, started when it is needed first."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        self._waiting = 0

    async def hash(self, plain: str) -> str:
        """Raises RouteUnavailable when too many wait."""
        return await self._in_turn(lambda: hash_password(plain))

    async def matches(self, stored: str | None, plain: str) -> bool:
        """Whether ``plain`` is it; takes as long where there is none. Raises RouteUnavailable when too many wait."""
        return await self._in_turn(lambda: password_matches(stored, plain))

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting > WAITING:
            raise RouteUnavailable("too many log in at this moment", retry_after_s=2)
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        running.add_done_callback(self._done)  # also when whoever asked has left meanwhile
        return await asyncio.shield(running)

    def _done(self, _: asyncio.Future[T]) -> None:
        self._waiting -= 1
