"""Waiting for what a gateway promises to do within a second, on a machine that may be busy with other things."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["seconds_until", "within_a_second"]

ASKED_S = 0.05
"""Asking takes less than this, unless the machine has other things to do."""
LIMIT_S = 60.0


def seconds_until(is_so: Callable[[], bool]) -> float:
    """Ask until it is so; how long that took. What an asking takes beyond ASKED_S is the machine's time, and does not count."""
    counted_s, began_s = 0.0, time.monotonic()
    while True:
        asked_s = time.monotonic()
        if is_so():
            return counted_s
        assert asked_s - began_s < LIMIT_S, "it never came to that"
        counted_s += min(time.monotonic() - asked_s, ASKED_S) + 0.01
        time.sleep(0.01)


def within_a_second(is_so: Callable[[], bool]) -> None:
    assert seconds_until(is_so) < 1.0
