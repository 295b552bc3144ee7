"""Counters of a worker that serves alone: they lie in its own memory, and a turn costs no wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from typing_extensions import override

from runtime.limits.base import Answer, Counters, Turn
from runtime.limits.counting import State, play

__all__ = ["MemoryCounters"]

_SWEEP_EVERY: Final = 4096
"""Turns."""


class MemoryCounters(Counters):
    """``now_ms`` is a clock that is never set back."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._state = State()
        self._turns = 0

    def play(self, turn: Turn) -> Answer:
        """`turn`, for who need not wait."""
        now_ms = self._now_ms()
        self._turns += 1
        if self._turns % _SWEEP_EVERY == 0:
            self._state.sweep(now_ms)
        return play(self._state, turn, now_ms)

    @override
    async def turn(self, turn: Turn) -> Answer:
        return self.play(turn)

    @override
    async def aclose(self) -> None:
        self._state = State()
