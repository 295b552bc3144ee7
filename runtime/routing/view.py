"""What is known of choices at this moment, read off the process's health."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from typing_extensions import override

from runtime.resilience import Health
from runtime.resilience.health import Lane
from runtime.routing.base import Choice, View
from runtime.routing.steering import UNSTEERED, Steering

__all__ = ["LATENCY_AGE_S", "LiveView"]

LATENCY_AGE_S: Final = 300.0
"""A latency older than this is no latency: who was slow once gets another chance to be measured."""


class LiveView(View):
    """As a request with ``steering`` sees it."""

    def __init__(self, health: Health, steering: Steering = UNSTEERED) -> None:
        self._health = health
        self._target = steering.target

    @override
    def in_flight(self, choice: Choice) -> int:
        return sum(lane.in_flight for lane in self._lanes(choice))

    @override
    def used(self, choice: Choice) -> int:
        return sum(lane.used for lane in self._lanes(choice))

    @override
    def latency_s(self, choice: Choice) -> float | None:
        since_s = self._health.clock() - LATENCY_AGE_S
        known = [
            lane.latency_s for lane in self._lanes(choice) if lane.latency_s is not None and lane.measured_s > since_s
        ]
        return min(known, default=None)

    @override
    def success(self, choice: Choice) -> float:
        return max((lane.success for lane in self._lanes(choice)), default=1.0)

    @override
    def ready(self, choice: Choice) -> bool:
        return any(self._health.hindrance(model, connection) is None for model, connection in choice.lanes)

    @override
    def headroom(self, choice: Choice) -> float:
        return max((self._health.headroom(model, connection) for model, connection in choice.lanes), default=1.0)

    @override
    def bound(self, choice: Choice) -> bool:
        return self._target is not None and any(model == self._target for model, _ in choice.lanes)

    def _lanes(self, choice: Choice) -> Iterator[Lane]:
        return (self._health.lane(model, connection) for model, connection in choice.lanes)
