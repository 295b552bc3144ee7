"""Many calls that begin or end in the same moment do so a few at a time, so that those under way are not kept waiting.

What a stream does at each of its events takes microseconds, its beginning and its end many times that. Without this, five
hundred that end together would stop all others until the last of them is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

__all__ = ["Turns"]

MOST: Final = 8
"""So many calls begin or end in one turn of the loop at the most; the others go on in the next ones, in the order they came."""


class Turns:
    """Costs a comparison where few calls are in the way of each other."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Go on in this turn of the loop, or in one of the next. Cancelling gives the place to the next."""
        if (turn := self.turn()) is not None:
            await turn

    def turn(self) -> asyncio.Future[None] | None:
        """`take`: None where there is nothing to wait for."""
        if self._taken < self._most:
            self._taken += 1
            if self._taken == self._most:  # in however many turns: nobody counts those
                asyncio.get_running_loop().call_soon(self._next)
            return None
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        return place

    def _next(self) -> None:
        """A new turn of the loop."""
        self._taken = 0
        while self._waiting and self._taken < self._most:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._taken += 1
        if self._taken == self._most:
            asyncio.get_running_loop().call_soon(self._next)
