"""What accounts may still use: limits that the operator declared, and what providers report of theirs. Pure: times are given.

The two are not alike. A declared limit is kept to: one request more than it is not sent. What a provider reports is a hint: its
quota may refill a little at a time before the moment it names, so a connection said to be empty is asked after all others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from generated.config import ConnectionLimit
from runtime.resilience.reported import Reported

__all__ = ["Quotas", "Window"]

_BUCKETS: Final = 60


class Window:
    """How much was used in the last ``length_s``, a sixtieth of it more at most: never less than it was."""

    __slots__ = ("_buckets", "_limit", "_total", "_width_s")

    def __init__(self, limit: int, length_s: float) -> None:
        self._limit = limit
        self._width_s = length_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()  # [number of the bucket, amount]
        self._total = 0

    def limit_to(self, limit: int) -> None:
        """From now on by another limit; what was used stays used."""
        self._limit = limit

    @property
    def limit(self) -> int:
        return self._limit

    def add(self, amount: int, now_s: float) -> None:
        """So much is used now."""
        self._drop(now_s)
        number = int(now_s / self._width_s)
        if not self._buckets or self._buckets[-1][0] < number:
            self._buckets.append([number, 0])
        self._buckets[-1][1] += amount
        self._total += amount

    def due_s(self, now_s: float) -> float | None:
        """When there is something left again; None: now."""
        self._drop(now_s)
        left = self._total
        if left < self._limit:
            return None
        due_s = now_s
        for number, amount in self._buckets:
            due_s = self._over_s(number)
            left -= amount
            if left < self._limit:
                break
        return due_s

    def headroom(self, now_s: float) -> float:
        """What part of it is left, 0 to 1."""
        self._drop(now_s)
        return max(0.0, 1 - self._total / self._limit)

    def _drop(self, now_s: float) -> None:
        while self._buckets and self._over_s(self._buckets[0][0]) <= now_s:
            self._total -= self._buckets.popleft()[1]

    def _over_s(self, number: int) -> float:
        """When all that was used in a bucket is longer ago than the window."""
        return (number + 1 + _BUCKETS) * self._width_s


class _Empty(msgspec.Struct, frozen=True):
    """What a provider said of one of its quotas. ``until_s`` is when it is full again."""

    until_s: float
    left: float


class Quotas:
    """``limits`` are the declared ones by connection. A provider's report is kept per model and connection.

    Attributes:
        declared: whether there is any limit.
    """

    def __init__(self, limits: Mapping[str, Sequence[ConnectionLimit]], longest_s: float) -> None:
        """No report counts for longer than ``longest_s``."""
        self._longest_s = longest_s
        self.declared = False
        self._requests: dict[str, list[Window]] = {}
        self._tokens: dict[str, list[Window]] = {}
        self._known: dict[tuple[str, str, int], Window] = {}
        self.configure(limits, longest_s)
        self._reported: dict[tuple[str, str], dict[str, _Empty]] = {}
        self._untold: dict[str, tuple[int, int]] = {}

    def configure(self, limits: Mapping[str, Sequence[ConnectionLimit]], longest_s: float) -> None:
        """From now on by other limits; what was used within a time counts against whatever is allowed in that time."""
        self._longest_s = longest_s
        self._requests, self._tokens = {}, {}
        before, self._known = self._known, {}
        for connection, declared in limits.items():
            for limit in declared:
                for of, windows, most in (
                    ("requests", self._requests, limit.requests),
                    ("tokens", self._tokens, limit.tokens),
                ):
                    if most is None:
                        continue
                    place = (connection, of, limit.per_ms)
                    if (same := self._known.get(place)) is not None:
                        same.limit_to(min(most, same.limit))
                        continue
                    window = self._known[place] = before.get(place) or Window(most, limit.per_ms / 1000)
                    window.limit_to(most)
                    windows.setdefault(connection, []).append(window)
        self.declared = bool(self._known)

    def forget(self, connection: str) -> None:
        """What was reported of ``connection`` is not true of it any more."""
        for place in [place for place in self._reported if place[0] == connection]:
            del self._reported[place]

    def sent(self, connection: str, now_s: float) -> None:
        """A request was sent."""
        self._count(connection, 1, 0, now_s)

    def used(self, connection: str, tokens: int, now_s: float) -> None:
        """An answer took so many tokens."""
        self._count(connection, 0, tokens, now_s)

    def used_elsewhere(self, amounts: Mapping[str, tuple[int, int]], now_s: float) -> None:
        """Another worker used so many requests and tokens."""
        for connection, (requests, tokens) in amounts.items():
            self._add(connection, requests, tokens, now_s)

    def take_untold(self) -> dict[str, tuple[int, int]]:
        """Requests and tokens that were used here since this was last asked, of connections with a limit."""
        untold, self._untold = self._untold, {}
        return untold

    def put_back(self, amounts: Mapping[str, tuple[int, int]]) -> None:
        """What `take_untold` gave could not be told."""
        for connection, (requests, tokens) in amounts.items():
            self._note(connection, requests, tokens)

    def full_until_s(self, connection: str, now_s: float) -> float | None:
        """When a declared limit allows a request again; None: now."""
        if not self.declared:
            return None
        return max((due for each in self._windows(connection) if (due := each.due_s(now_s)) is not None), default=None)

    def learn(self, connection: str, model: str, reports: Iterable[Reported], now_s: float) -> None:
        """The provider said how much is left."""
        for report in reports:
            until_s = now_s + min(report.reset_s, self._longest_s)
            self._reported.setdefault((connection, model), {})[report.of] = _Empty(until_s, report.left)

    def spent_until_s(self, connection: str, model: str, now_s: float) -> float | None:
        """When a quota that the provider said is empty will be full; None: none is empty, as far as is known."""
        if not self._reported:
            return None
        empty = [each for each in self._live(connection, model, now_s) if each.left <= 0]
        return max((each.until_s for each in empty), default=None)

    def headroom(self, connection: str, model: str, now_s: float) -> float:
        """What part is left of the quota that is nearest its end, 0 to 1; 1 where nothing is known."""
        declared = [window.headroom(now_s) for window in self._windows(connection)]
        reported = [each.left for each in self._live(connection, model, now_s)]
        return min((*declared, *reported), default=1.0)

    def _count(self, connection: str, requests: int, tokens: int, now_s: float) -> None:
        if connection in self._requests or connection in self._tokens:
            self._add(connection, requests, tokens, now_s)
            self._note(connection, requests, tokens)

    def _add(self, connection: str, requests: int, tokens: int, now_s: float) -> None:
        for windows, amount in ((self._requests, requests), (self._tokens, tokens)):
            if amount:
                for window in windows.get(connection, ()):
                    window.add(amount, now_s)

    def _note(self, connection: str, requests: int, tokens: int) -> None:
        before = self._untold.get(connection, (0, 0))
        self._untold[connection] = (before[0] + requests, before[1] + tokens)

    def _windows(self, connection: str) -> Sequence[Window]:
        return (*self._requests.get(connection, ()), *self._tokens.get(connection, ()))

    def _live(self, connection: str, model: str, now_s: float) -> list[_Empty]:
        reported = self._reported.get((connection, model), {})
        return [each for each in reported.values() if each.until_s > now_s]
