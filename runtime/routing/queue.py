"""The places of one request that are still to be tried: in order, without those that cannot be asked now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.errors import GatewayError
from runtime.resilience import Health, Hindrance, Ticket
from runtime.resilience.health import Reason
from runtime.routing.candidate import Candidate
from runtime.routing.planting import input_limit
from runtime.routing.tree import Place
from runtime.telemetry import CallRecord, Skipped

__all__ = ["Hindered", "Queue"]

_NOBODY: Final[frozenset[tuple[str, str]]] = frozenset()
_NEVER: Final[Mapping[str, int]] = MappingProxyType({})


class Hindered(msgspec.Struct, frozen=True):
    """A place that was not asked, and why."""

    place: Place
    hindrance: Hindrance


class Queue:
    """Of ``size`` places at most ``count`` were looked at; ``busy`` are those whose connections had no free place; ``retries`` by target."""

    __slots__ = (
        "_ahead",
        "_failed",
        "_health",
        "_least",
        "_places",
        "_size",
        "_spent",
        "barred",
        "busy",
        "count",
        "hindered",
        "record",
        "retries",
    )

    def __init__(self, health: Health, places: Iterator[Place], record: CallRecord, size: int) -> None:
        self._health = health
        self._places = places
        self.record = record
        self._size = size
        self._ahead: Place | None = None
        self._spent: list[Place] = []
        self._least: int | None = None
        self._failed = False
        self.barred: frozenset[tuple[str, str]] = _NOBODY
        self.busy: list[Place] = []
        self.count = 0
        self.hindered: list[Hindered] = []
        self.retries: Mapping[str, int] = _NEVER

    def next(self) -> tuple[Place, Ticket] | None:
        """The next place that can be asked at once, entered."""
        while (place := self.peek()) is not None:
            self._ahead = None
            candidate = place.candidate
            ticket = self._health.enter(candidate.lane, candidate.connection)
            if ticket is not None:
                return place, ticket
            self.busy.append(place)
        return None

    @property
    def more(self) -> bool:
        """Whether there may be a place behind the one whose turn it is."""
        return self.count < self._size or bool(self._spent)

    def peek(self) -> Place | None:
        """The next place that nothing is held against."""
        while self._ahead is None:
            place = next(self._places, None)
            fresh = place is not None
            if place is None:
                if not self._spent:
                    return None
                place = self._spent.pop(0)
            else:
                self.count += 1
            candidate = place.candidate
            if self._failed and (excluded := self._excluded(candidate)) is not None:
                self.record.note("left_out", excluded, candidate.id, candidate.connection)
                continue
            hindrance = self._health.hindrance(candidate.lane, candidate.connection)
            if hindrance is None:
                if self._size == 1 or not (fresh and self._puts_off(place)):
                    self._ahead = place
            else:
                self.hinder(place, hindrance.reason, hindrance.due_s, hindrance.error)
        return self._ahead

    def _puts_off(self, place: Place) -> bool:
        """Whether its provider said that its quota is used up, so that it is asked after all others."""
        candidate = place.candidate
        due_s = self._health.spent_until_s(candidate.lane, candidate.connection)
        if due_s is None:
            return False
        self._spent.append(place)
        self.record.skip(Skipped(candidate.id, candidate.label, candidate.connection, "spent", due_s))
        return True

    def bar(self, candidate: Candidate) -> None:
        """Leave out its model at its address, whatever the connection: it is the server that fails."""
        self._failed = True
        self.barred |= {(candidate.id, candidate.base_url)}

    def demand_more_than(self, candidate: Candidate) -> None:
        """From now on only models that are known to take more input than ``candidate``'s."""
        limit = input_limit(candidate.target.model) or 0
        self._failed = True
        self._least = limit if self._least is None else max(self._least, limit)

    def hinder(self, place: Place, reason: Reason, due_s: float, error: GatewayError | None = None) -> None:
        """Note that ``place`` was not asked."""
        candidate = place.candidate
        self.hindered.append(Hindered(place, Hindrance(reason, due_s, error)))
        self.record.skip(Skipped(candidate.id, candidate.label, candidate.connection, reason, due_s))

    def _excluded(self, candidate: Candidate) -> str | None:
        """Why it is not worth asking any more, or None."""
        if (candidate.id, candidate.base_url) in self.barred:
            return "the same model at the same address failed for this request"
        limit = input_limit(candidate.target.model)
        if self._least is not None and (limit or 0) <= self._least:
            size = "unknown" if limit is None else str(limit)
            return f"its context ({size}) is not larger than {self._least}, which was too small"
        return None
