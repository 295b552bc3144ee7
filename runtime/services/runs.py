"""The responses that this process makes in the background: their tasks, their leases, the word to stop, and how they stand.

Another process says it through the store: a response that does not run there any more is not made here any longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Final

import msgspec

from runtime.errors import InvalidRequest, RateLimited
from runtime.services.response_object import with_fields
from runtime.stores.base import RUNNING, Key, ResponseStore, StoredResponse, StoreError

__all__ = ["LEASE_S", "Runs"]

LEASE_S: Final = 13.0
POLL_S: Final = 0.5
DOUBT_S: Final = 2.0
"""How long after a store that was away is back its last user may notice; who asks for a response may have noticed at once."""


GIVEN_UP: Final = msgspec.Raw(b'{"code":"server_error","message":"The gateway stopped while it made this response."}')


class Runs:
    """At most ``limit`` at once, with 0 none at all. ``now`` gives seconds that are the same in all processes and are never set back.

    Attributes:
        poll_s: how long whoever makes a response leaves the store alone.
        doubt_s: how long a lease that is over may still be renewed.
    """

    def __init__(
        self,
        store: ResponseStore,
        limit: int,
        now: Callable[[], float],
        on_fault: Callable[[Exception, str], None],
        poll_s: float = POLL_S,
        doubt_s: float = DOUBT_S,
    ) -> None:
        self._store = store
        self._limit = limit
        self._now = now
        self._on_fault = on_fault
        self.poll_s = poll_s
        self.doubt_s = doubt_s
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._preparing = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._poll: asyncio.Task[None] | None = None

    def configure(self, limit: int) -> None:
        """From now on at most ``limit`` at once."""
        self._limit = limit

    @contextmanager
    def place(self) -> Generator[None, None, None]:
        """Held for one that is not started yet.

        Raises InvalidRequest where none are made here, RateLimited when there is no room for another.
        """
        if not self._limit:
            raise InvalidRequest(
                "Unsupported parameter: 'background'. Responses are not made in the background here; ask without it.",
                param="background",
                code="unsupported_parameter",
            )
        if len(self._tasks) + self._preparing >= self._limit:
            raise RateLimited(f"{self._limit} responses are being made in the background; try again", retry_after_s=5)
        self._preparing += 1
        try:
            yield
        finally:
            self._preparing -= 1

    def lease(self) -> float:
        """Until when a response counts as being made if nobody says so again."""
        return self._now() + LEASE_S

    def lapsed(self, lease_until_s: float) -> bool:
        """Whether nobody makes the response any more that has this lease."""
        return lease_until_s < self._now()

    async def standing(self, key: Key) -> StoredResponse | None:
        """The response as it stands; one that nobody makes any more has failed from now on. Raises StoreError."""
        found = await self._store.get(key)
        if found is None or not self._abandoned(found):
            return found
        await asyncio.sleep(
            self.doubt_s
        )  # the store may have just begun to answer again, and its maker not have renewed
        found = await self._store.get(key)
        if found is None or not self._abandoned(found):
            return found
        failed = with_fields(found.body, {"status": "failed", "error": GIVEN_UP})
        await self._store.set_status(key, "failed", failed)
        return await self._store.get(key)

    def _abandoned(self, found: StoredResponse) -> bool:
        return found.status in RUNNING and self.lapsed(found.lease_until_s)

    def start(self, key: Key, run: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(run)
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._watch())

    def stop(self, key: Key) -> None:
        """End the run of ``key``, if it is here."""
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
            self._hold(task)

    def let_finish(self, key: Key) -> None:
        """The run has its answer: it is no longer stopped, and ends by itself."""
        task = self._tasks.pop(key, None)
        if task is not None:
            self._hold(task)

    async def aclose(self) -> None:
        """End all. Those that are left were told before by the door."""
        for key in tuple(self._tasks):
            self.stop(key)
        if self._poll is not None:
            self._poll.cancel()
        left = [task for task in (*self._closing, self._poll) if task is not None]
        await asyncio.gather(*left, return_exceptions=True)

    def _hold(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _watch(self) -> None:
        while self._tasks:
            await asyncio.sleep(self.poll_s)
            keys = tuple(self._tasks)
            try:
                running = await self._store.renew(keys, self.lease())
            except StoreError as error:
                self._on_fault(error, "")
                continue
            for key in keys:
                if key not in running:
                    self.stop(key)
