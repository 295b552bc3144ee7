"""How long calls took lately, by model: sketches of ten seconds each, and of a minute where they are older; an hour of them.

A sketch takes some kilobytes, whatever it counts: an hour in slices of ten seconds would be megabytes for each model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from math import floor
from typing import Final, TypeAlias

import msgspec

from runtime.telemetry.call import CallRecord
from runtime.telemetry.sketch import Sketch

__all__ = ["FRESH", "MAX_WINDOW_S", "SLICE_S", "TOGETHER", "Latencies", "Measured", "Measures", "merge_measures"]

SLICE_S: Final = 10.0
MAX_WINDOW_S: Final = 3600.0
FRESH: Final = 12
"""So many slices are kept as they are."""
TOGETHER: Final = 6
"""So many become one after that."""


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


_Slice: TypeAlias = tuple[int, dict[str, Measured]]
"""The number of its first ten seconds, and who was measured."""


class Latencies:
    """``clock`` gives monotonic seconds. Models are named by their labels, which clients cannot make up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._number = -1
        self._models: dict[str, Measured] = {}
        self._slices: deque[_Slice] = deque()
        self._older: deque[_Slice] = deque(maxlen=int(MAX_WINDOW_S / SLICE_S - FRESH) // TOGETHER + 1)

    def add(self, call: CallRecord) -> None:
        """A call that is over; one that asked nobody does not count."""
        attempts, outcome = call.attempts, call.outcome
        if not attempts or outcome not in ("ok", "error"):
            return
        begun_s, ended_s = call.started_s, call.ended_s
        number = floor(ended_s / SLICE_S)
        if number != self._number:
            self._go_on(number)
        label = attempts[-1].label
        measured = self._models.get(label)
        if measured is None:
            measured = self._models[label] = Measured()
        measured.total_ms.add((ended_s - begun_s) * 1000)
        if call.first_token_s is not None:
            measured.first_ms.add((call.first_token_s - begun_s) * 1000)
        if outcome == "error":
            measured.errors += 1

    def within(self, window_s: float) -> list[Measures]:
        """What ended in the last ``window_s`` seconds, and in what is left of the slice in which they begin."""
        first = int((self._clock() - window_s) / SLICE_S)
        found: dict[str, Measured] = {}
        for number, models in self._older:
            if number + TOGETHER > first:
                _merge(found, models)
        for number, models in self._slices:
            if number >= first:
                _merge(found, models)
        return [
            Measures(
                label=label,
                total_ms=measured.total_ms.buckets,
                first_ms=measured.first_ms.buckets,
                errors=measured.errors,
            )
            for label, measured in found.items()
        ]

    def _go_on(self, number: int) -> None:
        """Begin a slice."""
        self._number, self._models = number, {}
        self._slices.append((number, self._models))
        while self._slices[0][0] < number - FRESH:
            self._put_away(*self._slices.popleft())

    def _put_away(self, number: int, models: dict[str, Measured]) -> None:
        """A slice that is fresh no more becomes part of a longer one."""
        number -= number % TOGETHER
        if self._older and self._older[-1][0] == number:
            _merge(self._older[-1][1], models)
        else:
            self._older.append((number, models))


def _merge(into: dict[str, Measured], models: Mapping[str, Measured]) -> None:
    for label, measured in models.items():
        into.setdefault(label, Measured()).merge(measured)


def merge_measures(measures: Iterable[Measures]) -> dict[str, Measured]:
    """By label, what several workers measured."""
    merged: dict[str, Measured] = {}
    for each in measures:
        into = merged.setdefault(each.label, Measured())
        into.total_ms.merge(Sketch(each.total_ms))
        into.first_ms.merge(Sketch(each.first_ms))
        into.errors += each.errors
    return merged
