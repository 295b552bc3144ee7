"""How long calls took lately, by model: sketches of ten seconds each, the last hour of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from runtime.telemetry.call import CallRecord
from runtime.telemetry.sketch import Sketch

__all__ = ["MAX_WINDOW_S", "SLICE_S", "Latencies", "Measured", "Measures", "merge_measures"]

SLICE_S: Final = 10.0
MAX_WINDOW_S: Final = 3600.0


class Measured:
    """The calls of one model: the whole time of each, and the time to the first piece of its answer, in milliseconds."""

    __slots__ = ("errors", "first_ms", "total_ms")

    def __init__(self) -> None:
        self.total_ms = Sketch()
        self.first_ms = Sketch()
        self.errors = 0

    def merge(self, other: Measured) -> None:
        self.total_ms.merge(other.total_ms)
        self.first_ms.merge(other.first_ms)
        self.errors += other.errors


class Measures(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One model's, to be sent: the buckets of both sketches, and how many calls ended with an error."""

    label: str
    total_ms: dict[int, int]
    first_ms: dict[int, int]
    errors: int


class Latencies:
    """``clock`` gives monotonic seconds. Models are named by their labels, which clients cannot make up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slices: deque[tuple[int, dict[str, Measured]]] = deque(maxlen=int(MAX_WINDOW_S / SLICE_S) + 1)

    def add(self, call: CallRecord) -> None:
        """A call that is over; one that asked nobody does not count."""
        if not call.attempts or call.outcome not in {"ok", "error"}:
            return
        number = int(call.ended_s / SLICE_S)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append((number, {}))
        models, label = self._slices[-1][1], call.attempts[-1].label
        measured = models.get(label)
        if measured is None:
            measured = models[label] = Measured()
        measured.total_ms.add((call.ended_s - call.started_s) * 1000)
        if call.first_token_s is not None:
            measured.first_ms.add((call.first_token_s - call.started_s) * 1000)
        if call.outcome == "error":
            measured.errors += 1

    def within(self, window_s: float) -> list[Measures]:
        """What ended in the last ``window_s`` seconds, and in what is left of the slice in which they begin."""
        first = int((self._clock() - window_s) / SLICE_S)
        found: dict[str, Measured] = {}
        for number, models in self._slices:
            if number >= first:
                for label, measured in models.items():
                    found.setdefault(label, Measured()).merge(measured)
        return [
            Measures(
                label=label,
                total_ms=measured.total_ms.buckets,
                first_ms=measured.first_ms.buckets,
                errors=measured.errors,
            )
            for label, measured in found.items()
        ]


def merge_measures(measures: Iterable[Measures]) -> dict[str, Measured]:
    """By label, what several workers measured."""
    merged: dict[str, Measured] = {}
    for each in measures:
        into = merged.setdefault(each.label, Measured())
        into.total_ms.merge(Sketch(each.total_ms))
        into.first_ms.merge(Sketch(each.first_ms))
        into.errors += each.errors
    return merged
