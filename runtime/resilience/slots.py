"""How many requests a connection is answering at once, and who waits for a place. First come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping

from runtime.resilience.snapshot import PlaceState

__all__ = ["Room", "Slots"]


class Room:
    """The places of one connection, any number of them where ``limit`` is None."""

    __slots__ = ("_limit", "_taken", "_waiting")

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def configure(self, limit: int | None) -> None:
        """From now on by another limit. Who has a place keeps it; who waits for one that is there now gets it."""
        self._limit = limit
        self._hand_over()

    def take(self) -> bool:
        """Take a place if there is one."""
        if self._limit is not None and self._taken >= self._limit:
            return False
        self._taken += 1
        return True

    async def wait(self, limit_s: float) -> bool:
        """Wait for a place; False when there was none in time."""
        if self.take():
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(limit_s):
                await turn
        except TimeoutError:
            return self._has(turn)  # it may have come in the moment the time was up
        except asyncio.CancelledError:
            if self._has(turn):
                self.release()
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
        return True

    def release(self) -> None:
        """Give a place back; who has waited longest gets it."""
        self._taken -= 1
        if self._waiting:
            self._hand_over()

    def state(self, connection: str, limit: int) -> PlaceState:
        """How full it is, which may hold ``limit``."""
        return PlaceState(connection=connection, limit=limit, taken=self._taken, waiting=len(self._waiting))

    def _hand_over(self) -> None:
        while self._waiting and (self._limit is None or self._taken < self._limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)

    @staticmethod
    def _has(turn: asyncio.Future[None]) -> bool:
        return turn.done() and not turn.cancelled()


class Slots:
    """``limits`` maps connections to their number of places; one that is absent has any number."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._rooms: dict[str, Room] = {}

    def configure(self, limits: Mapping[str, int]) -> None:
        """From now on by other limits."""
        self._limits = limits
        for connection, room in self._rooms.items():
            room.configure(limits.get(connection))

    def room(self, connection: str) -> Room:
        """The places of ``connection``, the same ones every time."""
        found = self._rooms.get(connection)
        if found is None:
            found = self._rooms[connection] = Room(self._limits.get(connection))
        return found

    def states(self) -> Iterator[PlaceState]:
        """How full each connection is that has a limit."""
        for connection, limit in self._limits.items():
            yield self.room(connection).state(connection, limit)
