"""What is kept goes with age, and before that when there is too much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from generated.config import ResponseSettings
from runtime.stores.base import ResponseStore, StoreError

__all__ = ["keep_swept"]

SWEEP_S: Final = 60.0


async def keep_swept(
    store: ResponseStore,
    settings: ResponseSettings,
    now: Callable[[], float],
    on_fault: Callable[[Exception, str], None],
    every_s: float = SWEEP_S,
) -> None:
    """Sweep ``store`` again and again, until cancelled. ``now`` gives Unix seconds."""
    while True:
        try:
            await store.sweep(now() - settings.retention_ms / 1000, settings.storage_limit_bytes)
        except StoreError as error:
            on_fault(error, "")
        await asyncio.sleep(every_s)
