"""A clock for limits: Unix milliseconds that go on whatever is done to the system's clock.

Set forward, it follows at once. Set back, it goes at half its pace until the system's clock has caught up: so setting a clock
back opens no window a second time, and a clock that was wrong does not stay so.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["SteadyClock"]


class SteadyClock:
    """``wall`` gives Unix seconds, ``monotonic`` seconds that only go on."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._at_s = wall()
        self._read_s = monotonic()

    def now_ms(self) -> int:
        """Never less than it was."""
        read_s, wall_s = self._monotonic(), self._wall()
        passed_s = max(0.0, read_s - self._read_s)
        self._read_s = read_s
        self._at_s = max(wall_s, self._at_s + passed_s / 2)
        return int(self._at_s * 1000)
