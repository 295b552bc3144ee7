"""Sweeping: what the settings say, again and again, and not stopped by a store that fails for a while."""

from __future__ import annotations

import asyncio

import pytest
from typing_extensions import override

from generated.config import ResponseSettings
from runtime.services.retention import keep_swept
from runtime.stores.base import StoreError
from tests.support.responses import MemoryResponses


async def test_the_store_is_swept_by_the_settings_again_and_again() -> None:
    class Watched(MemoryResponses):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[tuple[float, int]] = []
            self.often = asyncio.Event()

        @override
        async def sweep(self, before_s: float, max_bytes: int) -> int:
            self.asked.append((before_s, max_bytes))
            if len(self.asked) == 1:
                raise StoreError("locked")
            self.often.set()
            return 0

    store, faults = Watched(), list[Exception]()
    settings = ResponseSettings(retention_ms=60_000, storage_limit_bytes=1 << 20)
    sweeping = asyncio.create_task(
        keep_swept(store, lambda: settings, lambda: 100.0, lambda error, _: faults.append(error), every_s=0.0)
    )
    await store.often.wait()
    sweeping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sweeping
    assert set(store.asked) == {(40.0, 1 << 20)}
    assert [str(fault) for fault in faults] == ["locked"]
