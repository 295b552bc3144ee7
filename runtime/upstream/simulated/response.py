"""A simulated answer: bytes, pauses, and how it ends, under the same limits as an answer from the network.

Time is the injected sleep's: a wait that would pass a limit sleeps up to the limit and fails as the network would.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import msgspec

from runtime.errors import UpstreamError, UpstreamProtocolError, UpstreamUnavailable
from runtime.upstream.timeouts import timeout_error
from runtime.upstream.types import Limits, Straight

__all__ = ["Clock", "SimulatedResponse", "Sleep", "Step"]

Sleep = Callable[[float], Awaitable[object]]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A pause (infinite: silence), then bytes, then, when ``cut``, the connection breaks."""

    pause_s: float = 0.0
    data: bytes = b""
    cut: bool = False


class Clock:
    """The limits of one call. ``elapsed_s`` is the time that its pauses took."""

    def __init__(self, limits: Limits, sleep: Sleep) -> None:
        self._limits = limits
        self._sleep = sleep
        self._left_s = limits.total_ms / 1000

    async def wait(self, pause_s: float, limit: str) -> None:
        """Sleep ``pause_s``. Raises UpstreamTimeout for ``limit`` (`first_byte`, `idle`) or for `total`."""
        allowed_s = (self._limits.first_byte_ms if limit == "first_byte" else self._limits.idle_ms) / 1000
        ends_s = min(pause_s, allowed_s, self._left_s)
        await self._sleep(ends_s)
        self._left_s -= ends_s
        if pause_s <= ends_s and not math.isinf(pause_s):
            return
        raise timeout_error(limit if allowed_s < self._left_s + ends_s else "total")


class SimulatedResponse:
    """`UpstreamResponse` that plays ``steps``."""

    def __init__(self, status: int, headers: Mapping[str, str], steps: Sequence[Step], clock: Clock) -> None:
        self.status = status
        self.headers = headers
        self._steps = iter(steps)
        self._clock = clock
        self._failure: UpstreamError | None = None

    async def read(self, max_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            while (data := await self._next()) is not None:
                size += len(data)
                if size > max_bytes:
                    raise UpstreamProtocolError(f"the provider's answer is larger than {max_bytes} bytes")
                parts.append(data)
        finally:
            await self.aclose()
        return b"".join(parts)

    def chunks(self) -> AsyncIterator[bytes]:
        return _Chunks(self._next)

    def go_straight(self, straight: Straight) -> None:
        """Nothing arrives while it is waited for: the pauses are a sleep of whoever reads."""

    async def aclose(self) -> None:
        if self._failure is None and next(self._steps, None) is not None:
            self._failure = UpstreamUnavailable("the answer was let go before its end")

    async def _next(self) -> bytes | None:
        """The next bytes, None at the end. Always gives other tasks a turn: an answer is never one long run."""
        if self._failure is not None:
            raise self._failure
        try:
            for step in self._steps:
                await self._clock.wait(step.pause_s, "idle")
                if step.cut:
                    raise UpstreamUnavailable("the provider closed the connection in the middle of its answer")
                if step.data:
                    return step.data
        except UpstreamError as failure:
            self._failure = failure
            raise
        return None


class _Chunks:
    __slots__ = ("_next",)

    def __init__(self, next_: Callable[[], Awaitable[bytes | None]]) -> None:
        self._next = next_

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        data = await self._next()
        if data is None:
            raise StopAsyncIteration
        return data
