"""One request on its way from target to target: whose turn it is, what a failure leads to, and when it is enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import msgspec

from generated.config import RetrySettings
from runtime.config.plan import Plan
from runtime.errors import GatewayError, UpstreamTimeout
from runtime.resilience import Health, Hindrance, Step, Ticket, backoff_s, judge
from runtime.routing.attempt import Attempt, UnsayableError
from runtime.routing.candidate import Candidate
from runtime.routing.queue import Queue
from runtime.routing.tree import Place
from runtime.routing.verdict import final_error
from runtime.telemetry import AttemptRecord, CallRecord

__all__ = ["Pace", "Pursuit", "Turn"]

T = TypeVar("T")
Turn: TypeAlias = tuple[Place, Ticket]

_ROUNDING_S: Final = 0.01
_ONWARD: Final = MappingProxyType({Step.AGAIN: Step.BEYOND, Step.LATER: Step.ELSEWHERE})
"""How a request goes on that asks nobody twice."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How persistent requests are. ``total_ms`` is for all attempts together, ``queue_ms`` for a free place.

    ``queues_ms`` holds the latter of the providers that have their own.
    """

    retries: RetrySettings
    total_ms: int
    queue_ms: int
    queues_ms: Mapping[str, int] = MappingProxyType({})

    @classmethod
    def of(cls, plan: Plan) -> Pace:
        """As the configuration says."""
        timeouts = plan.timeouts
        own = {id_: each.queue_ms for id_, each in plan.provider_timeouts.items()}
        queues_ms = {id_: queue_ms for id_, queue_ms in own.items() if queue_ms != timeouts.queue_ms}
        return cls(retries=plan.retries, total_ms=timeouts.total_ms, queue_ms=timeouts.queue_ms, queues_ms=queues_ms)


class Pursuit(msgspec.Struct, eq=False):
    """Lives as long as its request: an answer that breaks off half-way can be followed by another one (`instead`).

    ``refusals``: whether a refusal for reasons of content is for the client or leads to the next target. ``casual``: no
    target is asked twice, and what goes wrong is not held against it. ``sleep`` takes seconds. ``ends_s`` is when the request
    must be over, by the clock of ``health``. ``served`` is who answered.
    """

    health: Health
    pace: Pace
    sleep: Callable[[float], Awaitable[None]]
    rng: Random
    queue: Queue
    record: CallRecord
    refusals: str
    casual: bool
    ends_s: float
    begun: int = 0
    failures: tuple[tuple[Place, GatewayError], ...] = ()
    served: tuple[Place, Attempt] | None = None

    async def answer(
        self, ask: Callable[[Attempt], Awaitable[T]], after: tuple[Place, GatewayError, Step] | None = None
    ) -> T:
        """The answer of the first target that gives one. Raises the error that tells the client most.

        ``after`` is who failed before, with what, and how to go on.
        """
        if after is None:
            turn = self.queue.next() or await self._wait_for_place()
        else:
            turn = await self.following(*after)
        while turn is not None:
            place, attempt = turn[0], self.attempt(turn)
            try:
                answer = await ask(attempt)
            except (GatewayError, UnsayableError) as failure:
                error, step = self.failed(place, attempt, failure)
                turn = await self.following(place, error, step)
            except BaseException:
                attempt.abandon()
                raise
            else:
                self.answered(place, attempt)
                return answer
        raise self.verdict()

    async def instead(self, error: GatewayError, ask: Callable[[Attempt], Awaitable[T]]) -> T:
        """What another target says after the answer at hand broke off with ``error``, as `answer`."""
        assert self.served is not None, "somebody answered"
        place, step = self.served[0], judge(error).step
        self.failures += ((place, error),)
        return await self.answer(ask, (place, error, _ONWARD.get(step, step)))

    # -- one attempt

    def attempt(self, turn: Turn) -> Attempt:
        """Ask ``turn`` now."""
        place, ticket = turn
        candidate = place.candidate
        target = candidate.target
        provider, prices = target.provider.id, target.model.prices
        row = AttemptRecord(candidate.id, candidate.label, candidate.connection, ticket.began_s, provider, prices)
        self.begun += 1
        self.record.attempted(row)
        return Attempt(candidate, ticket, row, self.ends_s, self.queue.more())

    def answered(self, place: Place, attempt: Attempt) -> None:
        """An attempt has its answer; one that is held is ended by its holder."""
        if not (attempt.held or attempt.record.outcome):
            attempt.end(usage=self.record.usage)
        self.served = place, attempt
        if place.chosen:
            place.served()

    def failed(
        self, place: Place, attempt: Attempt, failure: GatewayError | UnsayableError
    ) -> tuple[GatewayError, Step]:
        """End an attempt that failed. Raises the error if it is for the client, else gives it and how to go on."""
        if isinstance(failure, UnsayableError):
            attempt.abandon(failure.error.kind)
            self.failures += ((place, failure.error),)
            return failure.error, Step.ELSEWHERE
        if self.casual or (self.failures and self._ran_out(failure)):
            attempt.abandon(failure.kind)
        else:
            attempt.end(failure)
        self.failures += ((place, failure),)
        step = judge(failure).step
        if self.casual:
            step = _ONWARD.get(step, step)
        if step is Step.STOP or (step is Step.REFUSED and self.refusals == "pass"):
            raise failure
        return failure, step

    def verdict(self) -> GatewayError:
        """What to tell the client when nobody answered."""
        return final_error(self.record.model, self.failures, self.queue.hindered, self.health.clock())

    def _ran_out(self, error: GatewayError) -> bool:
        """Whether it was the time of the whole request that ended an attempt: earlier ones had used it up."""
        return isinstance(error, UpstreamTimeout) and self.health.clock() >= self.ends_s - _ROUNDING_S

    # -- whose turn it is

    async def begin(self) -> Turn | None:
        """The first turn."""
        return self.queue.next() or await self._wait_for_place()

    def beside(self) -> Turn | None:
        """Who can be asked at once while others are still being asked; None when nobody is left."""
        return None if self._spent() else self.queue.next()

    def learn(self, place: Place, step: Step) -> None:
        """Ask nobody of whom ``step`` says that the same would come of it."""
        if step in {Step.AGAIN, Step.BEYOND}:
            self.queue.bar(place.candidate)
        elif step is Step.LARGER:
            self.queue.demand_more_than(place.candidate)

    async def following(self, place: Place, error: GatewayError, step: Step) -> Turn | None:
        """Whose turn it is after ``place`` failed; None when the request has no more time, attempts or targets."""
        if self._spent():
            return None
        again = await self._again(place, error, step)
        if again is not None:
            return again
        self.learn(place, step)
        return self.queue.next() or await self._wait_for_place()

    def _spent(self) -> bool:
        return self.begun >= self.pace.retries.attempts or self.health.clock() >= self.ends_s

    async def _again(self, place: Place, error: GatewayError, step: Step) -> Turn | None:
        """The same place once more, after a wait; None when that must not be, or would take too long."""
        candidate, retries, queue = place.candidate, self.pace.retries, self.queue
        tries = queue.retries.get(candidate.id, 0)
        if step not in {Step.AGAIN, Step.LATER} or tries >= retries.per_target:
            return None
        if step is Step.LATER and queue.peek() is not None:
            return None
        wait_s = backoff_s(retries, tries + 1, self.rng)
        asked_s = error.retry_after_s or 0.0
        if step is Step.LATER:
            rest = self.health.hindrance(candidate.lane, candidate.connection)
            asked_s = max(asked_s, rest.due_s - self.health.clock()) if rest is not None else asked_s
        wait_s += asked_s
        if asked_s * 1000 > retries.max_retry_after_ms or self.health.clock() + wait_s >= self.ends_s:
            return None
        queue.retries = {**queue.retries, candidate.id: tries + 1}
        queue.record.note("retry", f"asked again after {wait_s:.3f} s", candidate.id, candidate.connection)
        await self.sleep(wait_s)
        if self.health.hindrance(candidate.lane, candidate.connection) is not None:
            return None
        entered = await self._enter(place)
        return (place, entered) if isinstance(entered, Ticket) else None

    async def _wait_for_place(self) -> Turn | None:
        """The first of those that were passed over because their connection was busy, as soon as it is not."""
        queue = self.queue
        while queue.busy:
            place, *others = queue.busy
            queue.busy = tuple(others)
            entered = await self._enter(place)
            if isinstance(entered, Ticket):
                return place, entered
            found = entered or Hindrance("busy", self.health.clock() + 1)
            queue.hinder(place, found.reason, found.due_s, found.error)
        return None

    async def _enter(self, place: Place) -> Ticket | Hindrance | None:
        """As soon as its connection has a free place; None when it had none in time."""
        lane, connection = place.candidate.lane, place.candidate.connection
        entered = self.health.enter_late(lane, connection)
        if entered is None:
            provider = place.candidate.target.provider.id
            queue_ms = self.pace.queues_ms.get(provider, self.pace.queue_ms)
            limit_s = min(queue_ms / 1000, max(0.0, self.ends_s - self.health.clock()))
            entered = await self._wait(place.candidate, limit_s)
        return entered

    async def _wait(self, candidate: Candidate, limit_s: float) -> Ticket | Hindrance | None:
        """Until its connection has a free place, and a note of how long that took."""
        began_s, text = self.health.clock(), "no place became free"
        try:
            entered = await self.health.queue(candidate.lane, candidate.connection, limit_s)
            text = text if entered is None else "its connection had no free place before"
        except BaseException:
            text = "given up before a place became free"
            raise
        finally:
            waited_s = self.health.clock() - began_s
            self.record.note("queue", f"waited {waited_s:.3f} s: {text}", candidate.id, candidate.connection)
        return entered
