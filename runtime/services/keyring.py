"""The keys that are good, in this worker: the configured ones and the stored ones, swapped as a whole when either changes.

Calls look keys up in memory. Whoever changes a key tells the other workers, which read the store at once; each asks the
store twice a second for its revision too, in case the news are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from runtime.errors import AuthenticationFailed
from runtime.resilience import Door
from runtime.services.access import Access
from runtime.stores.base import StoreError
from runtime.stores.keys import KeySet, SqlKeys
from runtime.web.key import KeyRecord, KeyRing

__all__ = ["KEYS", "GoodKeys"]

KEYS: Final = "keys"
"""The kind of news: keys were changed."""

POLL_S: Final = 0.5
USED_S: Final = 10.0


class GoodKeys:
    """Keeps ``access`` in step with the store, and ends the calls of keys that are good no more.

    Attributes:
        configured: the keys of the configuration, revoked ones included.
    """

    def __init__(
        self,
        configured: KeyRing,
        store: SqlKeys,
        access: Access,
        door: Door,
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self.configured = configured
        self._store = store
        self._access = access
        self._door = door
        self._on_fault = on_fault
        self._revision = -1
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()

    def told(self, _: bytes) -> None:
        """What is done at KEYS."""
        self._wake.set()

    async def refresh(self) -> None:
        """Read the store if it was changed. Raises StoreError."""
        async with self._turn:
            if await self._store.revision() == self._revision:
                return
            found = await self._store.all()
            self._apply(found)
            self._revision = found.revision

    async def run(self) -> None:
        """Until it is cancelled."""
        loop, failed = asyncio.get_running_loop(), False
        used_s = loop.time()
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self.refresh()
                if loop.time() >= used_s + USED_S:
                    used_s = loop.time()
                    await self.note_used()
                failed = False
            except StoreError as error:
                if not failed:  # once, not twice a second
                    self._on_fault(error, "")
                failed = True

    async def note_used(self) -> None:
        """Write down when keys were used last. Raises StoreError."""
        if used := self._access.take_used():
            await self._store.used(used)

    def _apply(self, found: KeySet) -> None:
        good = {
            key.hash: KeyRecord(
                id=key.id,
                scopes=frozenset(key.scopes),
                models=key.models,
                pins=key.pins,
                expires_s=key.expires_s,
            )
            for key in found.keys
            if key.active and key.revoked_s is None
        }
        ring = self.configured.changed(good, found.revoked)
        self._access.use(ring)
        known = {record.id for record in ring.hashes.values()}
        lost = self._door.owners - known - {KeyRecord.anonymous().id}
        self._door.dismiss(lost, AuthenticationFailed("the API key was revoked", code="invalid_api_key"))
