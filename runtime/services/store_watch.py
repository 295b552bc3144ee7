"""Whether the store answers, and which schema it has; asked at most every other second, however often somebody wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.migrate import SCHEMA, schema_version
from runtime.telemetry.log import Log

__all__ = ["StoreState", "StoreWatch", "store_news"]

FRESH_S: Final = 2.0
LIMIT_S: Final = 1.0


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """``schema`` is the last step that was made there, if it was heard; ``ok``: it answers, and is new enough."""

    ok: bool
    schema: str | None
    detail: str

    @property
    def too_old(self) -> bool:
        """Whether it lacks what this release needs."""
        return self.schema is not None and self.schema < SCHEMA


class StoreWatch:
    """``clock`` is monotonic seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._turn = asyncio.Lock()
        self._seen: StoreState | None = None
        self._seen_s = float("-inf")

    async def state(self) -> StoreState:
        """How it is, or was a moment ago. Never raises, never waits long."""
        async with self._turn:
            if self._seen is None or self._clock() >= self._seen_s + FRESH_S:
                self._seen = await self._look()
                self._seen_s = self._clock()
            return self._seen

    async def _look(self) -> StoreState:
        try:
            async with asyncio.timeout(LIMIT_S):
                schema = await schema_version(self._database)
        except (StoreError, TimeoutError):
            return StoreState(
                ok=False, schema=None, detail="the store does not answer; what needs it waits or is refused"
            )
        if schema is None or schema < SCHEMA:
            message = f"the store has the schema {schema or 'none'}, this release needs {SCHEMA}; `gatewright serve` brings it there"
            return StoreState(ok=False, schema=schema or "", detail=message)
        later = f", newer than the {SCHEMA} of this release" if schema > SCHEMA else ""
        return StoreState(ok=True, schema=schema, detail=f"the store answers with the schema {schema}{later}")


def store_news(current: Callable[[], Log]) -> Callable[[str | None], None]:
    """What a `Database` tells of itself goes into the log: a line when it does not answer, and one when it does again."""

    def changed(reason: str | None) -> None:
        log = current()
        if reason is None:
            log.info("store_resumed")
        else:
            log.error("store_lost", reason=reason)

    return changed
