"""Workers tell each other what they learn of providers: whose breaker opened or closed, which connection rests.

Off the path of requests: changes are gathered, and told and heard four times a second. Clocks differ between machines, so
a change says how long ago it was and how long it lasts; who hears it trusts the sender's clock no further than it was
deaf itself. A worker that comes late, or in the place of one that died, hears what still holds of that which was told since
its gateway was started; a gateway that is started anew begins with nothing held against anybody. A cooldown is heeded by those who have the same credential only. Where the state is gone, each worker knows
what it finds out itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Final

import msgspec

from runtime.resilience.change import Change
from runtime.resilience.health import Health
from runtime.shared import SharedError, SharedState

__all__ = ["Sharing"]

TOPIC: Final = "health"
EVERY_S: Final = 0.25
_PENDING: Final = 1000
"""Changes that wait while the state is gone. The oldest go: what they said is over."""


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    sender: str
    sent_s: float
    changes: tuple[Change, ...]


class Sharing:
    """``since_s`` is when the gateway was started, by ``wall``, which gives the time of day. ``credentials`` has a mark of each connection's: the same where the credential is."""

    def __init__(
        self,
        health: Health,
        shared: SharedState,
        own_id: str,
        wall: Callable[[], float],
        credentials: Mapping[str, str],
        since_s: float = inf,
    ) -> None:
        self._health = health
        self._shared = shared
        self._own_id = own_id
        self._wall = wall
        self._credentials = credentials
        self._since_s = since_s
        self._pending: deque[Change] = deque(maxlen=_PENDING)
        self._cursor: int | None = None
        self._heard_s = health.clock()
        health.listen(self._pending.append)

    def adopt(self, credentials: Mapping[str, str]) -> None:
        """From now on by these marks."""
        self._credentials = credentials

    async def run(self) -> None:
        """Share until cancelled."""
        while True:
            with suppress(SharedError):  # said where the state is watched; what is pending waits
                await self.exchange()
            await asyncio.sleep(EVERY_S)

    async def exchange(self) -> None:
        """Tell what has changed here, and apply what changed elsewhere. Raises SharedError."""
        if self._cursor is None:
            await self._catch_up()
        if self._pending:
            changes = tuple(self._pending)
            await self._shared.tell(TOPIC, self._packed(changes))
            for _ in changes:
                self._pending.popleft()
        news = await self._shared.news(TOPIC, self._cursor)
        deaf_s = self._health.clock() - self._heard_s + EVERY_S
        self._cursor, self._heard_s = news.cursor, self._health.clock()
        for message in news.messages:
            self._hear(message, deaf_s)

    async def _catch_up(self) -> None:
        """Hear what was told before we were there. How long ago is the sender's word alone."""
        news = await self._shared.news(TOPIC, 0)
        for message in news.messages:
            self._hear(message, inf, first=True)
        last = news if news.messages else await self._shared.news(TOPIC, None)
        self._cursor, self._heard_s = last.cursor, self._health.clock()

    def _packed(self, changes: tuple[Change, ...]) -> bytes:
        now_s = self._health.clock()
        batch = _Batch(
            sender=self._own_id,
            sent_s=self._wall(),
            changes=tuple(
                msgspec.structs.replace(
                    each, at_s=now_s - each.at_s, credential=self._credentials.get(each.connection, "")
                )
                for each in changes
            ),
        )
        return msgspec.msgpack.encode(batch)

    def _hear(self, message: bytes, deaf_s: float, *, first: bool = False) -> None:
        try:
            batch = msgspec.msgpack.decode(message, type=_Batch)
        except msgspec.DecodeError:
            return  # of another release
        if batch.sender == self._own_id or (first and batch.sent_s < self._since_s):
            return
        on_way_s = min(max(self._wall() - batch.sent_s, 0.0), deaf_s)
        now_s = self._health.clock()
        for change in batch.changes:
            if change.what == "rests" and change.credential != self._credentials.get(change.connection, ""):
                continue
            at_s = now_s - change.at_s - on_way_s
            if first and change.what in {"opened", "rests"} and at_s + change.for_s <= now_s:
                continue
            self._health.apply(msgspec.structs.replace(change, at_s=at_s))
