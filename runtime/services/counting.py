"""How many input tokens a request has, asked of its provider no oftener than needed.

Coding tools count thirty things at once, and the same ones again at the next turn. So providers are asked by a bounded
number of calls at a time, each of them once for one request, and what they said is kept. Where a provider cannot say it
soon, the estimate does: a count is not worth a wait.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Final

from runtime.gateway import Call, Count, Gateway

__all__ = ["Counter"]

AT_ONCE: Final = 8
KEPT: Final = 4096
LIMIT_S: Final = 10.0


class Counter:
    """``at_once`` calls may ask providers at the same time; ``kept`` counts are remembered; none waits over ``limit_s``."""

    def __init__(self, gateway: Gateway, *, at_once: int = AT_ONCE, kept: int = KEPT, limit_s: float = LIMIT_S) -> None:
        self._gateway = gateway
        self._slots = asyncio.Semaphore(at_once)
        self._kept = kept
        self._limit_s = limit_s
        self._known: OrderedDict[bytes, Count] = OrderedDict()
        self._turns: dict[bytes, tuple[asyncio.Lock, list[None]]] = {}

    async def count(self, call: Call) -> Count:
        """The count of ``call``. Raises a GatewayError for a request that cannot be counted at all."""
        key = _identity(call)
        try:
            async with asyncio.timeout(self._limit_s), self._turn(key):
                known = self._known.get(key)
                if known is not None:
                    self._known.move_to_end(key)
                    self._gateway.choose(call)  # raises for a key that may not use the model
                    return known
                async with self._slots:
                    found = await self._gateway.count(call)
        except TimeoutError:
            self._gateway.choose(call)
            return self._gateway.estimate(call)
        if not found.estimated:
            self._remember(key, found)
        return found

    def _remember(self, key: bytes, count: Count) -> None:
        self._known[key] = count
        if len(self._known) > self._kept:
            self._known.popitem(last=False)

    @asynccontextmanager
    async def _turn(self, key: bytes) -> AsyncGenerator[None, None]:
        """One call at a time for each request; a turn is forgotten with the last who waits for it."""
        lock, waiting = self._turns.setdefault(key, (asyncio.Lock(), []))
        waiting.append(None)
        try:
            async with lock:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._turns[key]


def _identity(call: Call) -> bytes:
    """What two requests share that have the same count: dialect, model, beta features and every byte of the body."""
    head = "\0".join((call.codec.protocol, call.envelope.model, call.headers.get("anthropic-beta", "")))
    return blake2b(call.envelope.body, digest_size=16, key=blake2b(head.encode(), digest_size=32).digest()).digest()
