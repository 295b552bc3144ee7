"""Limits on many waits, kept by one timer: one for each would cost more than all else that is done to wait."""

from __future__ import annotations

import asyncio

from runtime.upstream.line import Answer, Line
from runtime.upstream.timeouts import timeout_error

__all__ = ["Deadlines"]


class Deadlines:
    """Of answers that are waited for. One that is late fails with the limit that has passed, and its line is cut.

    The timer is set to a wait that may be over when it rings: it looks who is late then, and is set to who comes next.
    """

    def __init__(self) -> None:
        self._waits: dict[Answer, tuple[float, Line, str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = 0.0

    def begin(self, loop: asyncio.AbstractEventLoop, answer: Answer, line: Line, at_s: float, limit: str) -> None:
        """``answer`` may come over ``line`` until ``at_s``, by the loop's clock; ``limit`` is a key of TIMEOUTS."""
        self._waits[answer] = (at_s, line, limit)
        if self._timer is None or at_s < self._rings_s:
            self._set(loop, at_s)

    def end(self, answer: Answer) -> None:
        """It is not waited for any more."""
        self._waits.pop(answer, None)

    def close(self) -> None:
        """Nobody is waited for any more."""
        self._waits.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_s = at_s
        self._timer = loop.call_at(at_s, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now_s = loop.time()
        for answer, (at_s, line, limit) in list(self._waits.items()):
            if at_s <= now_s and self._waits.pop(answer, None) is not None:
                answer.fail(timeout_error(limit))
                line.cut()
        if self._waits and self._timer is None:
            self._set(loop, min(at_s for at_s, _, _ in self._waits.values()))
