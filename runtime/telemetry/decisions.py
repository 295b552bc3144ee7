"""The calls of which the reasons can still be asked: the last ones, in memory, bounded in number and age."""

from __future__ import annotations

from collections import OrderedDict
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
        self._records: OrderedDict[str, CallRecord] = OrderedDict()  # whose first one is found at once
        self._requests: dict[str, str] = {}

    def add(self, record: CallRecord) -> str:
        """Remember a call whose key is known, from its beginning on; the id of its decision, empty where none are kept."""
        if not self._keep:
            return ""
        if record.decision:
            self._records.pop(record.decision, None)
        else:
            record.decision = f"{self._prefix}{next(self._numbers):x}"
        decision = self._requests[record.id] = record.decision
        self._records[decision] = record
        self._forget(self._clock() - self._for_s)
        return decision

    def find(self, id_: str) -> CallRecord | None:
        """By the decision's id or the request's: the last one where clients used an id twice."""
        self._forget(self._clock() - self._for_s)
        return self._records.get(id_) or self._records.get(self._requests.get(id_, ""))

    def _forget(self, since_s: float) -> None:
        records = self._records
        while records:
            decision = next(iter(records))
            oldest = records[decision]
            if oldest.started_s >= since_s and len(records) <= self._keep:
                return
            del records[decision]
            if self._requests.get(oldest.id) == decision:
                del self._requests[oldest.id]
