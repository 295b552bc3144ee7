"""The calls of which the reasons can still be asked: the last ones, in memory, bounded in number and age."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

from runtime.telemetry.call import CallRecord

__all__ = ["Decisions"]


class Decisions:
    """``keep`` calls for ``for_s`` seconds of ``clock``. ``prefix`` tells this process's ids from all others'."""

    def __init__(self, keep: int, for_s: float, clock: Callable[[], float], prefix: str) -> None:
        self._keep = keep
        self._for_s = for_s
        self._clock = clock
        self._prefix = prefix
        self._numbers = count(1)
        self._order: deque[CallRecord] = deque()
        self._records: dict[str, CallRecord] = {}
        self._requests: dict[str, CallRecord] = {}

    def add(self, record: CallRecord) -> str:
        """Remember a call whose key is known, from its beginning on; the id of its decision, empty where none are kept.

        One that has an id in the ledger is known by that.
        """
        if not self._keep:
            return ""
        decision = record.decision
        if not decision:
            decision = record.decision = record.settlement or f"{self._prefix}{next(self._numbers)}"
        self._records[decision] = self._requests[record.id] = record
        order, since_s = self._order, record.started_s - self._for_s
        order.append(record)
        if len(order) > self._keep or order[0].started_s < since_s:
            self._forget(since_s)
        return decision

    def find(self, id_: str) -> CallRecord | None:
        """By the decision's id or the request's: the last one where clients used an id twice."""
        self._forget(self._clock() - self._for_s)
        return self._records.get(id_) or self._requests.get(id_)

    def _forget(self, since_s: float) -> None:
        order = self._order
        while order and (len(order) > self._keep or order[0].started_s < since_s):
            oldest = order.popleft()
            if self._records.get(oldest.decision) is oldest:  # nothing else goes on under its id
                del self._records[oldest.decision]
            if self._requests.get(oldest.id) is oldest:
                del self._requests[oldest.id]
