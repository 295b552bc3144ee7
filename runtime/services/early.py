"""The head of a stream whose answer is long in beginning, and comments until it begins, so that the line stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from runtime.errors import ClientClosed
from runtime.protocols.base import StreamEncoder
from runtime.web.exchange import Exchange

__all__ = ["EarlyHead"]

COMMENT: Final = b": keep-alive\n\n"
"""Not the dialect's own filler, which may stand only behind its first event."""


class EarlyHead:
    """Around the wait for an answer: ``async with EarlyHead(…)``. Costs a timer where the answer is in time.

    ``encoder`` makes the client's; ``begin`` sends the head of its answer. Only where its dialect knows comments.
    """

    def __init__(
        self,
        exchange: Exchange,
        encoder: Callable[[], StreamEncoder],
        headers: Callable[[str], tuple[tuple[str, str], ...]],
        after_s: float,
        silence_s: float,
    ) -> None:
        self._exchange = exchange
        self._encoder = encoder
        self._headers = headers
        self._after_s = after_s
        self._silence_s = silence_s
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None
        self._over: asyncio.Event | None = None

    async def __aenter__(self) -> None:
        if self._after_s > 0:
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self._start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is being sent is sent to its end."""
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None and self._over is not None:
            self._over.set()
            try:
                await self._beat
            finally:
                self._beat.cancel()

    def _start(self) -> None:
        encoder = self._encoder()
        if encoder.keep_alive is not None and encoder.content_type.startswith("text/event-stream"):
            self._over = asyncio.Event()
            self._beat = asyncio.get_running_loop().create_task(self._keep_open(encoder.content_type, self._over))

    async def _keep_open(self, content_type: str, over: asyncio.Event) -> None:
        try:
            await self._exchange.start(200, self._headers(content_type))
            while not over.is_set():
                await self._exchange.send(COMMENT)
                await self._silence(over)
        except ClientClosed:
            return

    async def _silence(self, over: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._silence_s if self._silence_s > 0 else None):
                await over.wait()
        except TimeoutError:
            return
