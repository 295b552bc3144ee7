"""Turns of those who change the configuration: one after the other, in this worker and beside all others that share state.

A turn saves what is thought of in vain; that nobody changes what he did not see is the store's to see to. So where the shared
state cannot be reached, or whoever has the turn died, it goes on without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

from runtime.shared import SharedError, SharedState

__all__ = ["Turns"]

HELD_S: Final = 10.0
"""For how long nobody else has the turn at the most."""

AGAIN_S: Final = 0.02

_TOPIC: Final = "overrides.turn"
_KEY: Final = "turn"


class Turns:
    """``own_id`` is this worker's."""

    def __init__(self, shared: SharedState, own_id: str) -> None:
        self._shared = shared
        self._own_id = own_id.encode()
        self._line = asyncio.Lock()

    @asynccontextmanager
    async def mine(self) -> AsyncGenerator[None, None]:
        """Wait for the turn, in the order in which it was asked for here, and have it."""
        async with self._line:
            try:
                await self._claim()
                yield
            finally:
                with suppress(SharedError):  # it ends by itself
                    await self._shared.remove(_TOPIC, _KEY, self._own_id)

    async def _claim(self) -> None:
        with suppress(SharedError):
            while True:
                if await self._shared.claim(_TOPIC, _KEY, self._own_id, HELD_S) is None:
                    return
                await asyncio.sleep(AGAIN_S)
