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


class Queue(msgspec.Struct, eq=False):
    """Of ``size`` places at most ``count`` were looked at; ``busy`` are those whose connections had no free place; ``retries`` by target.

    ``ahead`` was peeked at, ``spent`` are put off, with ``failed`` some are left out, ``least`` is what the others must take.
    """

    health: Health
    places: Iterator[Place]
    record: CallRecord
    size: int
    count: int = 0
    ahead: Place | None = None
    spent: tuple[Place, ...] = ()
    busy: tuple[Place, ...] = ()
    hindered: tuple[Hindered, ...] = ()
    failed: bool = False
    least: int | None = None
    barred: frozenset[tuple[str, str]] = _NOBODY
    retries: Mapping[str, int] = _NEVER

    def next(self) -> tuple[Place, Ticket] | None:
        """The next place that can be asked at once, entered."""
        while True:
            place = self.ahead
            if place is None:
                place = self._find()
                if place is None:
                    return None
            else:
                self.ahead = None
            candidate = place.candidate
            ticket = self.health.enter(candidate.lane, candidate.connection)
            if ticket is not None:
                return place, ticket
            self.busy += (place,)

    def more(self) -> bool:
        """Whether there may be a place behind the one whose turn it is."""
        return self.count < self.size or bool(self.spent)

    def peek(self) -> Place | None:
        """The next place that nothing is held against; it stays the next one."""
        if self.ahead is None:
            self.ahead = self._find()
        return self.ahead

    def _find(self) -> Place | None:
        while True:
            place, fresh = next(self.places, None), True
            if place is not None:
                self.count += 1
            elif self.spent:
                place, *rest = self.spent
                self.spent, fresh = tuple(rest), False
            else:
                return None
            candidate = place.candidate
            if self.failed and (excluded := self._excluded(candidate)) is not None:
                self.record.note("left_out", excluded, candidate.id, candidate.connection)
                continue
            hindrance = self.health.hindrance(candidate.lane, candidate.connection)
            if hindrance is not None:
                self.hinder(place, hindrance.reason, hindrance.due_s, hindrance.error)
            elif self.size == 1 or not (fresh and self._puts_off(place)):
                return place

    def _puts_off(self, place: Place) -> bool:
        """Whether its provider said that its quota is used up, so that it is asked after all others."""
        candidate = place.candidate
        due_s = self.health.spent_until_s(candidate.lane, candidate.connection)
        if due_s is None:
            return False
        self.spent += (place,)
        self.record.skip(Skipped(candidate.id, candidate.label, candidate.connection, "spent", due_s))
        return True

    def bar(self, candidate: Candidate) -> None:
        """Leave out its model at its address, whatever the connection: it is the server that fails."""
        self.failed = True
        self.barred |= {(candidate.id, candidate.base_url)}

    def demand_more_than(self, candidate: Candidate) -> None:
        """From now on only models that are known to take more input than ``candidate``'s."""
        limit = input_limit(candidate.target.model) or 0
        self.failed = True
        self.least = limit if self.least is None else max(self.least, limit)

    def hinder(self, place: Place, reason: Reason, due_s: float, error: GatewayError | None = None) -> None:
        """Note that ``place`` was not asked."""
        candidate = place.candidate
        self.hindered += (Hindered(place, Hindrance(reason, due_s, error)),)
        self.record.skip(Skipped(candidate.id, candidate.label, candidate.connection, reason, due_s))

    def _excluded(self, candidate: Candidate) -> str | None:
        """Why it is not worth asking any more, or None."""
        if (candidate.id, candidate.base_url) in self.barred:
            return "the same model at the same address failed for this request"
        limit = input_limit(candidate.target.model)
        if self.least is not None and (limit or 0) <= self.least:
            size = "unknown" if limit is None else str(limit)
            return f"its context ({size}) is not larger than {self.least}, which was too small"
        return None
