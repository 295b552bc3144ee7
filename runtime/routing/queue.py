"""The places of one request that are still to be tried: in order, without those that cannot be asked now."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from runtime.errors import GatewayError
from runtime.resilience import Health, Hindrance, Ticket
from runtime.resilience.health import Reason
from runtime.routing.candidate import Candidate
from runtime.routing.planting import input_limit
from runtime.routing.tree import Place
from runtime.telemetry import CallRecord, Skipped

__all__ = ["Hindered", "Queue"]


class Hindered(msgspec.Struct, frozen=True):
    """A place that was not asked, and why."""

    place: Place
    hindrance: Hindrance


class Queue:
    """``count`` places were looked at; ``busy`` are those whose connections had no free place; ``retries`` by target."""

    __slots__ = ("_ahead", "_health", "_least", "_places", "_record", "barred", "busy", "count", "hindered", "retries")

    def __init__(self, health: Health, places: Iterator[Place], record: CallRecord) -> None:
        self._health = health
        self._places = places
        self._record = record
        self._ahead: Place | None = None
        self._least: int | None = None
        self.barred: set[tuple[str, str]] = set()
        self.busy: list[Place] = []
        self.count = 0
        self.hindered: list[Hindered] = []
        self.retries: dict[str, int] = {}

    def next(self) -> tuple[Place, Ticket] | None:
        """The next place that can be asked at once, entered."""
        while (place := self.peek()) is not None:
            self._ahead = None
            ticket = self._health.enter(place.candidate.lane, place.candidate.connection)
            if ticket is not None:
                return place, ticket
            self.busy.append(place)
        return None

    def peek(self) -> Place | None:
        """The next place that nothing is held against."""
        while self._ahead is None:
            place = next(self._places, None)
            if place is None:
                return None
            self.count += 1
            if self._excluded(place.candidate):
                continue
            hindrance = self._health.hindrance(place.candidate.lane, place.candidate.connection)
            if hindrance is None:
                self._ahead = place
            else:
                self.hinder(place, hindrance.reason, hindrance.due_s, hindrance.error)
        return self._ahead

    def bar(self, candidate: Candidate) -> None:
        """Leave out its model at its address, whatever the connection: it is the server that fails."""
        self.barred.add((candidate.id, candidate.base_url))

    def demand_more_than(self, candidate: Candidate) -> None:
        """From now on only models that are known to take more input than ``candidate``'s."""
        limit = input_limit(candidate.target.model) or 0
        self._least = limit if self._least is None else max(self._least, limit)

    def hinder(self, place: Place, reason: Reason, due_s: float, error: GatewayError | None = None) -> None:
        """Note that ``place`` was not asked."""
        candidate = place.candidate
        self.hindered.append(Hindered(place, Hindrance(reason, due_s, error)))
        self._record.skipped.append(Skipped(candidate.id, candidate.label, candidate.connection, reason))

    def _excluded(self, candidate: Candidate) -> bool:
        if (candidate.id, candidate.base_url) in self.barred:
            return True
        return self._least is not None and (input_limit(candidate.target.model) or 0) <= self._least
