"""A shared state that may be gone: nobody waits for it long, it is asked again once a second, and somebody is told.

While it is gone every question fails at once, but for one in a second that tries. So a request is never held up by it,
and a state that is back is used again at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from typing_extensions import override

from runtime.shared.base import News, SharedError, SharedState

__all__ = ["WatchedState"]

_AGAIN_S: Final = 1.0

T = TypeVar("T")


class WatchedState(SharedState):
    """``state`` with a limit to every wait. ``clock`` gives monotonic seconds.

    ``changed`` is called with the reason when the state is gone, with None when it is back; ``failed`` with the topic of
    every question that was not answered. ``trouble`` is the reason now.
    """

    def __init__(
        self,
        state: SharedState,
        limit_s: float,
        clock: Callable[[], float],
        changed: Callable[[str | None], None],
        failed: Callable[[str], None],
    ) -> None:
        self._state = state
        self._limit_s = limit_s
        self._clock = clock
        self._changed = changed
        self._failed = failed
        self._again_s = 0.0
        self.trouble: str | None = None

    @override
    async def get(self, topic: str, key: str) -> bytes | None:
        return await self._ask(topic, lambda: self._state.get(topic, key))

    @override
    async def put(self, topic: str, key: str, value: bytes, ttl_s: float) -> None:
        await self._ask(topic, lambda: self._state.put(topic, key, value, ttl_s))

    @override
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        return await self._ask(topic, lambda: self._state.claim(topic, key, value, ttl_s))

    @override
    async def replace(self, topic: str, key: str, expected: bytes, value: bytes, ttl_s: float) -> bool:
        return await self._ask(topic, lambda: self._state.replace(topic, key, expected, value, ttl_s))

    @override
    async def remove(self, topic: str, key: str, expected: bytes | None = None) -> bool:
        return await self._ask(topic, lambda: self._state.remove(topic, key, expected))

    @override
    async def entries(self, topic: str, prefix: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        return await self._ask(topic, lambda: self._state.entries(topic, prefix, limit))

    @override
    async def clear(self, topic: str, prefix: str = "") -> int:
        return await self._ask(topic, lambda: self._state.clear(topic, prefix))

    @override
    async def tell(self, topic: str, message: bytes) -> None:
        await self._ask(topic, lambda: self._state.tell(topic, message))

    @override
    async def news(self, topic: str, cursor: int | None) -> News:
        return await self._ask(topic, lambda: self._state.news(topic, cursor))

    @override
    async def aclose(self) -> None:
        await self._state.aclose()

    async def _ask(self, topic: str, ask: Callable[[], Awaitable[T]]) -> T:
        if self.trouble is not None:
            now_s = self._clock()
            if now_s < self._again_s:
                self._failed(topic)
                raise SharedError(self.trouble)
            self._again_s = now_s + max(_AGAIN_S, self._limit_s)
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await ask()
        except TimeoutError as error:
            raise self._gone(topic, f"no answer within {self._limit_s:g} s") from error
        except SharedError as error:
            raise self._gone(topic, str(error)) from error
        if self.trouble is not None:
            self.trouble = None
            self._changed(None)
        return answer

    def _gone(self, topic: str, reason: str) -> SharedError:
        self._failed(topic)
        self._again_s = self._clock() + _AGAIN_S
        if self.trouble is None:
            self.trouble = reason
            self._changed(reason)
        return SharedError(reason)
