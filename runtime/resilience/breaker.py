"""A circuit breaker: closed while calls succeed, open when too many fail, half open for one call on trial.

A state machine over times that are given to it; it knows neither clocks nor calls.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from generated.config import BreakerSettings
from runtime.resilience.snapshot import BreakerState

__all__ = ["Breaker"]

_BUCKETS: Final = 10
_TRIAL_RECHECK_S: Final = 1.0
"""When somebody who finds a trial under way may look again: nobody knows when it will end."""

_STAND_BACK_S: Final = 0.5
"""Twice the time that news take, so that one worker's trial is enough."""


class Breaker:
    """One model of one provider. Times are seconds of one monotonic clock.

    Attributes:
        open_until_s: until when it is open, or half open after that; None: closed.
    """

    __slots__ = ("_buckets", "_open_for_s", "_settings", "_trial", "_width_s", "open_until_s")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._width_s = settings.window_ms / 1000 / _BUCKETS
        self._buckets: deque[list[int]] = deque(maxlen=_BUCKETS)  # [number of the bucket, successes, failures]
        self.open_until_s: float | None = None
        self._open_for_s = 0.0
        self._trial = False

    @property
    def closed(self) -> bool:
        return self.open_until_s is None

    def due_s(self, now_s: float) -> float | None:
        """When a call may be sent; None: now."""
        if self.open_until_s is None:
            return None
        if self._trial:
            return now_s + _TRIAL_RECHECK_S
        return self.open_until_s if now_s < self.open_until_s else None

    def begin(self) -> bool:
        """A call is sent, which `due_s` allowed. True when it is the one on trial: say so when it ends."""
        if self.open_until_s is None:
            return False
        self._trial = True
        return True

    def end(self, healthy: bool | None, now_s: float, *, trial: bool) -> bool:
        """A call is over; ``healthy`` None: it says nothing. Calls from before the opening are no evidence.

        Whether that opened it, or closed it.
        """
        if self.open_until_s is None:
            return healthy is not None and self._count(healthy, now_s)
        if not trial:
            return False
        self._trial = False
        if healthy:
            self.open_until_s, self._open_for_s = None, 0.0
            self._buckets.clear()
        elif healthy is False:
            self._open(now_s)
        return healthy is not None

    @property
    def opening(self) -> tuple[float, float] | None:
        """Until when it is open, and for how long it was opened; None: closed."""
        return None if self.open_until_s is None else (self.open_until_s, self._open_for_s)

    def heard_opened(self, at_s: float, for_s: float) -> None:
        """Another worker opened it at ``at_s``, and is the first to try again: we stand back a little."""
        until_s = at_s + for_s + _STAND_BACK_S
        if not self._trial and (self.open_until_s is None or until_s > self.open_until_s):
            self.open_until_s, self._open_for_s = until_s, for_s
            self._buckets.clear()

    def heard_trial(self, at_s: float) -> None:
        """Another worker sent a call on trial at ``at_s``: ours can wait for what comes of it."""
        if not self._trial and self.open_until_s is not None:
            self.open_until_s = max(self.open_until_s, at_s + _TRIAL_RECHECK_S)

    def heard_closed(self, at_s: float) -> None:
        """Another worker's trial was passed at ``at_s``. An opening that came after it stands."""
        if not self._trial and self.open_until_s is not None and self.open_until_s - self._open_for_s <= at_s:
            self.reset()

    def configure(self, settings: BreakerSettings) -> None:
        """From now on by other settings. What was counted in a window of another length is forgotten."""
        width_s = settings.window_ms / 1000 / _BUCKETS
        if width_s != self._width_s:
            self._width_s = width_s
            self._buckets.clear()
        self._settings = settings

    def reset(self) -> bool:
        """Close it and forget what was counted; whether it was open."""
        was_open = self.open_until_s is not None
        self.open_until_s, self._open_for_s, self._trial = None, 0.0, False
        self._buckets.clear()
        return was_open

    def state(self, model: str, now_s: float) -> BreakerState:
        """How it is at this moment."""
        number = int(now_s / self._width_s)
        live = [bucket for bucket in self._buckets if number - bucket[0] < _BUCKETS]
        due_s = self.due_s(now_s)
        opened: Literal["open", "half_open"] = "open" if due_s is not None and not self._trial else "half_open"
        return BreakerState(
            model=model,
            state="closed" if self.closed else opened,
            calls=sum(bucket[1] + bucket[2] for bucket in live),
            failures=sum(bucket[2] for bucket in live),
            due_s=None if due_s is None else due_s - now_s,
        )

    def _count(self, healthy: bool, now_s: float) -> bool:
        """Whether it was one failure too many."""
        number = int(now_s / self._width_s)
        buckets = self._buckets
        if not buckets or buckets[-1][0] != number:
            buckets.append([number, 0, 0])
        buckets[-1][1 if healthy else 2] += 1
        if healthy:
            return False
        good = bad = 0
        for at, successes, failures in buckets:
            if number - at < _BUCKETS:
                good, bad = good + successes, bad + failures
        enough = good + bad >= self._settings.minimum_calls
        if not enough or bad * 100 < self._settings.error_percent * (good + bad):
            return False
        self._open(now_s)
        return True

    def _open(self, now_s: float) -> None:
        settings = self._settings
        longest_s = max(settings.max_open_for_ms, settings.open_for_ms) / 1000
        self._open_for_s = min(self._open_for_s * 2 or settings.open_for_ms / 1000, longest_s)
        self.open_until_s = now_s + self._open_for_s
        self._buckets.clear()
