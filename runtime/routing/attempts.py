"""Asking one target after the other until one answers.

Knows neither protocols nor HTTP: what an attempt does is a function it is given. An attempt that returns is an answer of
which something may have been handed out; whether anybody is asked after that is for who holds the `Pursuit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import TypeVar

from runtime.resilience import Health
from runtime.routing.attempt import Attempt
from runtime.routing.kept import kept_first
from runtime.routing.needs import Needs
from runtime.routing.ordering import Chance, Noting
from runtime.routing.prepared import Prepared
from runtime.routing.pursuit import Pace, Pursuit
from runtime.routing.queue import Queue
from runtime.routing.steering import UNSTEERED, Steering
from runtime.routing.tree import Place
from runtime.routing.view import LiveView
from runtime.telemetry import CallRecord

__all__ = ["Attempts"]

T = TypeVar("T")


class Attempts:
    """``sleep`` takes seconds."""

    def __init__(self, health: Health, pace: Pace, sleep: Callable[[float], Awaitable[None]], rng: Random) -> None:
        self._health = health
        self._view = LiveView(health)
        self._pace = pace
        self._sleep = sleep
        self._rng = rng
        self._chance = Chance(rng)

    @property
    def health(self) -> Health:
        return self._health

    @property
    def pace(self) -> Pace:
        return self._pace

    def adopt(self, pace: Pace) -> None:
        """From now on as persistent as this; not requests under way."""
        self._pace = pace

    def pursue(
        self,
        prepared: Prepared,
        needs: Callable[[], Needs] | None,
        record: CallRecord,
        steering: Steering = UNSTEERED,
        *,
        casual: bool = False,
    ) -> Pursuit:
        """A request sets out. ``casual`` is for what is not worth a wait (see `Pursuit`).

        ``needs`` may be None for a request of which nothing is to be chosen: `Prepared.only`.
        """
        only, health, pace = prepared.only, self._health, self._pace
        if only is not None:
            places = iter((only,))
        else:
            assert needs is not None, "conditions are looked at where there is a choice"
            places = self._places(prepared, needs, record, steering)
        queue = Queue(health, places, record, len(prepared.candidates))
        ends_s = health.clock() + pace.total_ms / 1000
        return Pursuit(health, pace, self._sleep, self._rng, queue, record, prepared.refusals, casual, ends_s)

    def _places(
        self, prepared: Prepared, needs: Callable[[], Needs], record: CallRecord, steering: Steering
    ) -> Iterator[Place]:
        """Where there is something to choose: in the order of the strategies, noted in ``record``."""
        view = self._view if steering.target is None else LiveView(self._health, steering)
        noting = Noting(view, self._chance, record.trail, steering.beginning)
        return prepared.places(_read_once(needs, record), kept_first(noting.order, steering, noting.kept))

    async def run(
        self,
        prepared: Prepared,
        needs: Callable[[], Needs],
        record: CallRecord,
        ask: Callable[[Attempt], Awaitable[T]],
        steering: Steering = UNSTEERED,
        *,
        casual: bool = False,
    ) -> T:
        """The answer of the first target that gives one. Raises the error that tells the client most."""
        return await self.pursue(prepared, needs, record, steering, casual=casual).answer(ask)


def _read_once(needs: Callable[[], Needs], record: CallRecord) -> Callable[[], Needs]:
    """``needs``, which read the whole request, asked once and noted."""
    found: list[Needs] = []

    def read() -> Needs:
        if not found:
            found.append(needs())
            record.needs = found[0]
        return found[0]

    return read
