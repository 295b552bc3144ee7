"""What is known of providers at one moment, to be looked at and sent on. Times are seconds from that moment on."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["BreakerState", "HealthSnapshot", "LaneState", "PlaceState", "RestState", "merged"]


class BreakerState(msgspec.Struct, frozen=True, kw_only=True):
    """``calls`` and ``failures`` are those of its window; ``due_s`` when a call on trial may be sent."""

    model: str
    state: Literal["closed", "open", "half_open"]
    calls: int
    failures: int
    due_s: float | None = None


class RestState(msgspec.Struct, frozen=True, kw_only=True):
    """A cooldown; ``model`` None: of the connection with all its models."""

    connection: str
    model: str | None
    kind: str
    left_s: float


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of a model over a connection."""

    model: str
    connection: str
    in_flight: int
    used: int
    success: float
    latency_s: float | None = None


class PlaceState(msgspec.Struct, frozen=True, kw_only=True):
    """The places of a connection that has so many and no more."""

    connection: str
    limit: int
    taken: int
    waiting: int


class HealthSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    breakers: tuple[BreakerState, ...] = ()
    rests: tuple[RestState, ...] = ()
    lanes: tuple[LaneState, ...] = ()
    places: tuple[PlaceState, ...] = ()


_WORSE = ("closed", "half_open", "open")


def merged(snapshots: tuple[HealthSnapshot, ...]) -> HealthSnapshot:
    """What several workers know: of breakers and rests the worst, of calls the sum."""
    breakers: dict[str, BreakerState] = {}
    rests: dict[tuple[str, str | None], RestState] = {}
    lanes: dict[tuple[str, str], LaneState] = {}
    places: dict[str, PlaceState] = {}
    for snapshot in snapshots:
        for breaker in snapshot.breakers:
            other = breakers.get(breaker.model)
            breakers[breaker.model] = breaker if other is None else _breaker(other, breaker)
        for rest in snapshot.rests:
            at = (rest.connection, rest.model)
            if at not in rests or rests[at].left_s < rest.left_s:
                rests[at] = rest
        for lane in snapshot.lanes:
            before = lanes.get((lane.model, lane.connection))
            lanes[lane.model, lane.connection] = lane if before is None else _lane(before, lane)
        for place in snapshot.places:
            taken = places.get(place.connection)
            places[place.connection] = place if taken is None else _place(taken, place)
    return HealthSnapshot(
        breakers=tuple(breakers[name] for name in sorted(breakers)),
        rests=tuple(sorted(rests.values(), key=lambda rest: (rest.connection, rest.model or ""))),
        lanes=tuple(lanes[at] for at in sorted(lanes)),
        places=tuple(places[name] for name in sorted(places)),
    )


def _breaker(one: BreakerState, other: BreakerState) -> BreakerState:
    worse = max(one, other, key=lambda each: (_WORSE.index(each.state), each.due_s or 0.0))
    return msgspec.structs.replace(worse, calls=one.calls + other.calls, failures=one.failures + other.failures)


def _lane(one: LaneState, other: LaneState) -> LaneState:
    known = [each for each in (one.latency_s, other.latency_s) if each is not None]
    return LaneState(
        model=one.model,
        connection=one.connection,
        in_flight=one.in_flight + other.in_flight,
        used=one.used + other.used,
        success=min(one.success, other.success),
        latency_s=max(known, default=None),
    )


def _place(one: PlaceState, other: PlaceState) -> PlaceState:
    """Every worker has the places for itself."""
    return PlaceState(
        connection=one.connection,
        limit=one.limit + other.limit,
        taken=one.taken + other.taken,
        waiting=one.waiting + other.waiting,
    )
