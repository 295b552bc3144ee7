"""How many requests a connection is answering at once, and who waits for a place. First come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping

from runtime.resilience.snapshot import PlaceState

__all__ = ["Slots"]


class Slots:
    """``limits`` maps connections to their number of places; one that is absent has any number."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def configure(self, limits: Mapping[str, int]) -> None:
        """From now on by other limits. Who has a place keeps it; who waits for one that is there now gets it."""
        self._limits = limits
        for connection, queue in self._waiting.items():
            while queue and self._free(connection):
                self._hand_over(connection, queue)

    def take(self, connection: str) -> bool:
        """Take a place if there is one."""
        taken, limit = self._taken.get(connection, 0), self._limits.get(connection)
        if limit is not None and taken >= limit:
            return False
        self._taken[connection] = taken + 1
        return True

    async def wait(self, connection: str, limit_s: float) -> bool:
        """Wait for a place; False when there was none in time."""
        if self.take(connection):
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(connection, deque())
        queue.append(turn)
        try:
            async with asyncio.timeout(limit_s):
                await turn
        except TimeoutError:
            return self._has(turn)  # it may have come in the moment the time was up
        except asyncio.CancelledError:
            if self._has(turn):
                self.release(connection)
            raise
        finally:
            if turn in queue:
                queue.remove(turn)
        return True

    def release(self, connection: str) -> None:
        """Give a place back; who has waited longest gets it."""
        self._taken[connection] -= 1
        queue = self._waiting.get(connection)
        while queue and self._free(connection):
            self._hand_over(connection, queue)

    def states(self) -> Iterator[PlaceState]:
        """How full each connection is."""
        for connection, limit in self._limits.items():
            waiting, taken = len(self._waiting.get(connection, ())), self._taken.get(connection, 0)
            yield PlaceState(connection=connection, limit=limit, taken=taken, waiting=waiting)

    def _free(self, connection: str) -> bool:
        limit = self._limits.get(connection)
        return limit is None or self._taken.get(connection, 0) < limit

    def _hand_over(self, connection: str, queue: deque[asyncio.Future[None]]) -> None:
        turn = queue.popleft()
        if not turn.done():
            self._taken[connection] = self._taken.get(connection, 0) + 1
            turn.set_result(None)

    @staticmethod
    def _has(turn: asyncio.Future[None]) -> bool:
        return turn.done() and not turn.cancelled()
