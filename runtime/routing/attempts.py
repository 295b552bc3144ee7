"""Asking one target after the other until one answers: retries, waits, and what to say when none did.

Knows neither protocols nor HTTP: what an attempt does is a function it is given. An attempt that returns is an answer of
which something may have been handed out, so nothing is tried after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from generated.config import RetrySettings
from runtime.errors import GatewayError, UpstreamTimeout
from runtime.resilience import Health, Step, Ticket, backoff_s, judge
from runtime.routing.attempt import Attempt, UnsayableError
from runtime.routing.needs import Needs
from runtime.routing.prepared import Prepared
from runtime.routing.queue import Queue
from runtime.routing.tree import Place
from runtime.routing.verdict import final_error
from runtime.routing.view import LiveView
from runtime.telemetry import AttemptRecord, CallRecord

__all__ = ["Attempts", "Pace"]

T = TypeVar("T")

_ROUNDING_S: Final = 0.01
_ONWARD: Final = MappingProxyType({Step.AGAIN: Step.BEYOND, Step.LATER: Step.ELSEWHERE})
"""How a request goes on that asks nobody twice."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How persistent requests are. ``total_ms`` is for all attempts together, ``queue_ms`` for a free place."""

    retries: RetrySettings
    total_ms: int
    queue_ms: int


class Attempts:
    """``sleep`` takes seconds."""

    def __init__(self, health: Health, pace: Pace, sleep: Callable[[float], Awaitable[None]], rng: Random) -> None:
        self._health = health
        self._view = LiveView(health)
        self._pace = pace
        self._sleep = sleep
        self._rng = rng

    async def run(
        self,
        prepared: Prepared,
        needs: Callable[[], Needs],
        record: CallRecord,
        ask: Callable[[Attempt], Awaitable[T]],
        *,
        casual: bool = False,
    ) -> T:
        """The answer of the first target that gives one. Raises the error that tells the client most.

        ``casual`` is for what is not worth a wait: no target is asked twice, and what goes wrong is not held against it.
        """
        queue = Queue(self._health, prepared.places(needs, self._view, self._rng), record)
        ends_s = self._health.clock() + self._pace.total_ms / 1000
        failures: list[tuple[Place, GatewayError]] = []
        turn = queue.next() or await self._wait_for_place(queue, ends_s)
        while turn is not None:
            place, ticket = turn
            row = self._row(place, record)
            more = queue.count < prepared.size
            attempt = Attempt(place.candidate, ticket, row, ends_s, more=more)
            try:
                answer = await ask(attempt)
            except GatewayError as error:
                if casual or (failures and self._ran_out(error, ends_s)):
                    attempt.abandon(error.kind)
                else:
                    attempt.end(error)
                failures.append((place, error))
                step = judge(error).step
                if casual:
                    step = _ONWARD.get(step, step)
                if step is Step.STOP or (step is Step.REFUSED and prepared.refusals == "pass"):
                    raise
                turn = await self._following(queue, place, error, step, ends_s, len(failures))
            except UnsayableError as unsayable:
                attempt.abandon(unsayable.error.kind)
                failures.append((place, unsayable.error))
                turn = await self._following(queue, place, unsayable.error, Step.ELSEWHERE, ends_s, len(failures))
            except BaseException:
                attempt.abandon()
                raise
            else:
                if not attempt.held:
                    attempt.end(usage=record.usage)
                place.served()
                return answer
        raise final_error(record.model, failures, queue.hindered, self._health.clock())

    def _ran_out(self, error: GatewayError, ends_s: float) -> bool:
        """Whether it was the time of the whole request that ended an attempt: earlier ones had used it up."""
        return isinstance(error, UpstreamTimeout) and self._health.clock() >= ends_s - _ROUNDING_S

    def _row(self, place: Place, record: CallRecord) -> AttemptRecord:
        candidate = place.candidate
        row = AttemptRecord(
            target=candidate.id,
            label=candidate.label,
            connection=candidate.connection,
            started_s=self._health.clock(),
        )
        record.attempts.append(row)
        return row

    async def _following(
        self, queue: Queue, place: Place, error: GatewayError, step: Step, ends_s: float, made: int
    ) -> tuple[Place, Ticket] | None:
        """Whose turn it is after ``place`` failed; None when the request has no more time, attempts or targets."""
        if made >= self._pace.retries.attempts or self._health.clock() >= ends_s:
            return None
        again = await self._again(queue, place, error, step, ends_s)
        if again is not None:
            return again
        if step in {Step.AGAIN, Step.BEYOND}:
            queue.bar(place.candidate)
        elif step is Step.LARGER:
            queue.demand_more_than(place.candidate)
        return queue.next() or await self._wait_for_place(queue, ends_s)

    async def _again(
        self, queue: Queue, place: Place, error: GatewayError, step: Step, ends_s: float
    ) -> tuple[Place, Ticket] | None:
        """The same place once more, after a wait; None when that must not be, or would take too long."""
        candidate, retries = place.candidate, self._pace.retries
        tries = queue.retries.get(candidate.id, 0)
        if step not in {Step.AGAIN, Step.LATER} or tries >= retries.per_target:
            return None
        if step is Step.LATER and queue.peek() is not None:
            return None
        wait_s = backoff_s(retries, tries + 1, self._rng)
        asked_s = error.retry_after_s or 0.0
        if step is Step.LATER:
            rest = self._health.hindrance(candidate.lane, candidate.connection)
            asked_s = max(asked_s, rest.due_s - self._health.clock()) if rest is not None else asked_s
        wait_s += asked_s
        if asked_s * 1000 > retries.max_retry_after_ms or self._health.clock() + wait_s >= ends_s:
            return None
        queue.retries[candidate.id] = tries + 1
        await self._sleep(wait_s)
        if self._health.hindrance(candidate.lane, candidate.connection) is not None:
            return None
        return await self._enter(place, ends_s)

    async def _wait_for_place(self, queue: Queue, ends_s: float) -> tuple[Place, Ticket] | None:
        """The first of those that were passed over because their connection was busy, as soon as it is not."""
        while queue.busy:
            place = queue.busy.pop(0)
            turn = await self._enter(place, ends_s)
            if turn is None:
                queue.hinder(place, "busy", self._health.clock() + 1)
                continue
            hindrance = self._health.hindrance(place.candidate.lane, place.candidate.connection)
            if hindrance is None:
                return turn
            turn[1].abandon()
            queue.hinder(place, hindrance.reason, hindrance.due_s, hindrance.error)
        return None

    async def _enter(self, place: Place, ends_s: float) -> tuple[Place, Ticket] | None:
        lane, connection = place.candidate.lane, place.candidate.connection
        ticket = self._health.enter(lane, connection)
        if ticket is None:
            limit_s = min(self._pace.queue_ms / 1000, max(0.0, ends_s - self._health.clock()))
            ticket = await self._health.queue(lane, connection, limit_s)
        return None if ticket is None else (place, ticket)
