"""What runs beside an answer: the watch for a client that leaves, and what breaks its silences. Timers, until there is need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Final, Protocol

from runtime.errors import ClientClosed

__all__ = ["Beat", "Lookout", "WhileConnected"]

WATCH_AFTER_S: Final = 0.05


class Connected(Protocol):
    """An exchange, as it is watched."""

    @property
    def finished(self) -> bool: ...
    @property
    def body_read(self) -> bool: ...

    def watch_disconnect(self) -> Coroutine[object, object, None]: ...


class Lookout:
    """Calls whose clients are to be watched soon. One timer for all of them, and none where there are none.

    It looks twice in WATCH_AFTER_S; who is there for a second time is watched.
    """

    __slots__ = ("_calls", "_looking")

    def __init__(self) -> None:
        self._calls: set[WhileConnected] = set()
        self._looking: asyncio.AbstractEventLoop | None = None

    def add(self, call: WhileConnected) -> None:
        self._calls.add(call)
        loop = asyncio.get_running_loop()
        if self._looking is not loop:
            self._looking = loop
            loop.call_later(WATCH_AFTER_S / 2, self._look)

    def discard(self, call: WhileConnected) -> None:
        self._calls.discard(call)

    def _look(self) -> None:
        self._calls = {call for call in self._calls if not call.look()}
        if self._calls and self._looking is not None:
            self._looking.call_later(WATCH_AFTER_S / 2, self._look)
        else:
            self._looking = None


class WhileConnected:
    """`Exchange.while_connected`."""

    __slots__ = ("_before", "_exchange", "_left", "_lookout", "_seen", "_task", "_watcher")

    def __init__(self, exchange: Connected, lookout: Lookout, task: asyncio.Task[object] | None) -> None:
        assert task is not None, "a call is served by a task"
        self._exchange = exchange
        self._lookout = lookout
        self._task = task
        self._before = task.cancelling()
        self._watcher: asyncio.Task[None] | None = None
        self._seen = self._left = False

    def __enter__(self) -> None:
        self._lookout.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lookout.discard(self)
        if self._watcher is not None:
            self._watcher.cancel()
            # A task keeps how it was cancelled, and that leads here: a circle of all that an exchange holds.
            self._watcher = None
        if not self._left:
            return
        cancelled_here = isinstance(error, asyncio.CancelledError) and self._task.cancelling() <= self._before + 1
        self._task.uncancel()
        if cancelled_here:
            raise ClientClosed from error

    def look(self) -> bool:
        """Look at it; whether it watches itself from now on: it is looked at for the second time since its body was read."""
        if self._seen:
            self._watcher = self._task.get_loop().create_task(self._watch())
            return True
        self._seen = self._exchange.body_read
        return False

    async def _watch(self) -> None:
        await self._exchange.watch_disconnect()
        if not self._exchange.finished:
            self._left = True
            self._task.cancel()


class Beat:
    """`Exchange.keep_alive`: calls ``send`` after ``silence_s`` in which nothing was sent, until `stop`.

    ``silent_s`` says how long that is now, and None where nothing may be sent: not begun, ended, or being sent. Its clock is
    `now`.
    """

    __slots__ = ("_loop", "_send", "_silence_s", "_silent_s", "_stopped", "_timer", "now", "sending")

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
        self.now = self._loop.time
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
