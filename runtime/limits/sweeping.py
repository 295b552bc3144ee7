"""Forgetting, once an hour, the finer sums of what was used, which no limit asks for any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from runtime.stores.base import StoreError

__all__ = ["keep_spent_swept"]

EVERY_S: Final = 3600.0


class Sweepable(Protocol):
    async def sweep(self, now_s: float) -> int: ...


async def keep_spent_swept(
    spending: Sweepable, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Until it is cancelled."""
    while True:
        await sleep(EVERY_S)
        try:
            await spending.sweep(now())
        except StoreError:
            continue  # in an hour, then
