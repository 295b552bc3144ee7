"""What runs beside an answer: the watch for a client that leaves, and what breaks its silences. Timers, until there is need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Final, Protocol

from runtime.errors import ClientClosed

__all__ = ["Beat", "WhileConnected"]

WATCH_AFTER_S: Final = 0.05


class Connected(Protocol):
    """An exchange, as it is watched."""

    @property
    def finished(self) -> bool: ...

    def when_read(self, begin: Callable[[], None] | None) -> None: ...

    def watch_disconnect(self) -> Coroutine[object, object, None]: ...


class WhileConnected:
    """`Exchange.while_connected`."""

    __slots__ = ("_before", "_exchange", "_left", "_loop", "_task", "_timer", "_watcher")

    def __init__(self, exchange: Connected) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._left = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._exchange.when_read(self._begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exchange.when_read(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if not self._left:
            return
        cancelled_here = isinstance(error, asyncio.CancelledError) and self._task.cancelling() <= self._before + 1
        self._task.uncancel()
        if cancelled_here:
            raise ClientClosed from error

    def _begin(self) -> None:
        self._timer = self._loop.call_later(WATCH_AFTER_S, self._start)

    def _start(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        await self._exchange.watch_disconnect()
        if not self._exchange.finished:
            self._left = True
            self._task.cancel()


class Beat:
    """`Exchange.keep_alive`: calls ``send`` after ``silence_s`` in which nothing was sent, until `stop`.

    ``silent_s`` says how long that is now, and None where nothing may be sent: not begun, ended, or being sent.
    """

    __slots__ = ("_loop", "_send", "_silence_s", "_silent_s", "_stopped", "_timer", "sending")

    def __init__(
        self,
        send: Callable[[], Coroutine[object, object, None]],
        silent_s: Callable[[], float | None],
        silence_s: float,
    ) -> None:
        self._send = send
        self._silent_s = silent_s
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self.sending: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(silence_s, self._ring)

    def stop(self) -> None:
        self._stopped = True
        self._timer.cancel()
        if self.sending is not None:
            self.sending.cancel()

    def _ring(self) -> None:
        silent_s = self._silent_s()
        if silent_s is None or silent_s < self._silence_s:
            self._timer = self._loop.call_later(self._silence_s - (silent_s or 0.0), self._ring)
        else:
            self.sending = self._loop.create_task(self._say())

    async def _say(self) -> None:
        try:
            await self._send()
        except ClientClosed:
            return
        finally:
            self.sending = None
        if not self._stopped:
            self._timer = self._loop.call_later(self._silence_s, self._ring)
