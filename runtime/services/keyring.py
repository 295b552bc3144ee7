"""The keys that are good, in this worker: the configured ones and the stored ones, swapped as a whole when either changes.

Calls look keys up in memory. Whoever changes a key tells the other workers, which read the store at once; each asks the
store twice a second for its revision too, in case the news are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final

from runtime.errors import AuthenticationFailed
from runtime.resilience import Door
from runtime.services.access import Access
from runtime.stores.base import StoreError
from runtime.stores.heard import HeardKeys
from runtime.stores.keys import KeySet, SqlKeys
from runtime.web.key import KeyRecord, KeyRing
from runtime.web.patience import within

__all__ = ["KEYS", "GoodKeys"]

KEYS: Final = "keys"
"""The kind of news: keys were changed."""

POLL_S: Final = 0.5
USED_S: Final = 10.0
LOOK_S: Final = 0.1
"""How far apart the store is asked for keys that are not known, however many are tried."""

LOOK_LIMIT_S: Final = 2.0
UNSURE_S: Final = 1.0
"""For how long nobody waits for another look when the store could not be asked."""

STRANGER_S: Final = 1.0
"""How long what is no key at all, also no revoked one, is refused without another look. Nobody can present a key before
it is made; only a backup that is restored brings back one that was not there."""

MAX_STRANGERS: Final = 4096


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
        public: Callable[[str], str] = lambda name: name,
        heard: HeardKeys | None = None,
    ) -> None:
        """``public`` gives the public id that a bare model name stands for, and any other name as it is; ``heard`` keeps what is read."""
        self.configured = configured
        self._store = store
        self._access = access
        self._door = door
        self._on_fault = on_fault
        self._public = public
        self._heard = heard
        self._known: KeySet | None = None
        self._revision = -1
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._look: asyncio.Task[bool] | None = None
        self._looks: dict[str, asyncio.Task[bool]] = {}  # that run or are due, by the hash of what is no key so far
        self._looked_s = float("-inf")
        self._unsure_until_s = float("-inf")
        self._kept: frozenset[str] = frozenset()
        self._strangers: dict[str, float] = {}  # until when, by hash

    def adopt(self, configured: KeyRing, public: Callable[[str], str]) -> None:
        """From now on these are configured, and bare names stand for what ``public`` says."""
        self.configured, self._public = configured, public
        if self._known is not None:
            self._apply(self._known)
        elif not self._access.unheard:
            self._access.use(configured)

    def told(self, _: bytes) -> None:
        """What is done at KEYS."""
        self._wake.set()

    async def refresh(self) -> None:
        """Read the store if it was changed. Raises StoreError."""
        async with self._turn:
            await self._read()

    async def recall(self) -> None:
        """Begin without the store, with what it said when it was last heard on this machine.

        Where nobody knows that, no key is good, also none of the configuration: it may have been revoked.
        """
        found = None if self._heard is None else await asyncio.to_thread(self._heard.read)
        if found is not None:
            self._apply(found)
            self._known = found
        else:
            self._access.unheard = True
            self._access.use(self.configured.changed({}, self.configured.hashes))

    def look_again(self, digest: str) -> Coroutine[object, object, bool] | None:
        """Read the store if it was changed, for a key whose hash is not known here: it may have been made a moment ago.

        Whether what is known now is all there is to know of it: not where the store cannot be asked and has perhaps a key
        of this hash. All that come before a look begins share it, and all that come before it ends with what it looks for
        and is no key so far; when one fails, nobody waits for another for a moment, however many keys are tried. What a look
        has shown to be nothing is not looked for again at once, and there is nothing to wait for then: clients with a wrong
        key try it again and again.
        """
        if not digest or self._strangers.get(digest, 0.0) > asyncio.get_running_loop().time():
            return None
        return self._looked_for(digest)

    async def _looked_for(self, digest: str) -> bool:
        now = asyncio.get_running_loop().time
        if now() < self._unsure_until_s or not await self._has_looked(digest):
            return self._is_known(digest)
        if not self._is_known(digest):
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.clear()
            self._strangers[digest] = now() + STRANGER_S
        return True

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
            except Exception as error:  # noqa: BLE001 — whatever it is: who stopped looking would let revoked keys in for good
                if not failed:  # once, not twice a second
                    self._on_fault(error, "")
                failed = True

    async def note_used(self) -> None:
        """Write down when keys were used last. Raises StoreError."""
        if used := self._access.take_used():
            await self._store.used(used)

    def _is_known(self, digest: str) -> bool:
        """Whether a key has it, good or not."""
        if self._access.unheard:
            return False
        revoked = () if self._known is None else self._known.revoked
        return digest in self._kept or digest in self.configured.hashes or digest in revoked

    async def _has_looked(self, digest: str) -> bool:
        """Whether the store could be asked, in the look that is due or in one that begins now."""
        look = None if self._is_known(digest) else self._looks.get(digest)
        if look is None:
            if self._look is None:
                self._look = asyncio.create_task(self._look_in_turn())
            look = self._looks[digest] = self._look
            look.add_done_callback(lambda _: self._looks.pop(digest, None))
        try:
            looked = await within(LOOK_LIMIT_S, asyncio.shield(look))
        except TimeoutError:
            looked = False
        if not looked:
            self._unsure_until_s = asyncio.get_running_loop().time() + UNSURE_S
        return looked

    async def _look_in_turn(self) -> bool:
        """Whether the store could be asked."""
        now = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._looked_s + LOOK_S - now()))
        async with self._turn:
            self._look = None  # from here on the store may get keys that this look does not see
            self._looked_s = now()
            try:
                await self._read()
            except StoreError:  # `run` says it
                return False
            return True

    async def _read(self) -> None:
        revision = await self._store.revision()
        self._unsure_until_s = float("-inf")
        if revision == self._revision:
            return
        found = await self._store.all()
        self._access.unheard = False
        self._apply(found)
        self._known, self._revision = found, found.revision
        if self._heard is not None:
            with suppress(OSError):  # nothing is kept then, which is safe
                await asyncio.to_thread(self._heard.keep, found)

    def _apply(self, found: KeySet) -> None:
        good = {
            key.hash: KeyRecord(
                id=key.id,
                scopes=frozenset(key.scopes),
                models=tuple(map(self._public, key.models)),
                pins=key.pins,
                expires_s=key.expires_s,
                tenant=key.tenant,
                limits=key.limits,
            )
            for key in found.keys
            if key.active and key.revoked_s is None
        }
        self._strangers.clear()
        self._kept = frozenset(key.hash for key in found.keys)
        if found.unread:
            self._on_fault(StoreError(f"keys that cannot be read are refused: {', '.join(found.unread[:10])}"), "")
        ring = self.configured.changed(good, found.ended)
        self._access.use(ring)
        known = {record.id for record in ring.hashes.values()}
        lost = self._door.owners - known - {KeyRecord.anonymous().id}
        self._door.dismiss(lost, AuthenticationFailed("the API key was revoked", code="invalid_api_key"))
