"""Hedging: while a target has not begun to answer, the next one is asked beside it; the first to begin is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from generated.config import HedgeSettings
from runtime.errors import GatewayError
from runtime.resilience import Step
from runtime.routing.attempt import Attempt, UnsayableError
from runtime.routing.pursuit import Pursuit, Turn
from runtime.routing.tree import Place
from runtime.telemetry import CallRecord

__all__ = ["Race"]

T = TypeVar("T")


class Race(Generic[T]):
    """One request's attempts beside each other. ``let_go`` ends an answer that came second."""

    def __init__(
        self,
        pursuit: Pursuit,
        settings: HedgeSettings,
        record: CallRecord,
        ask: Callable[[Attempt], Awaitable[T]],
        let_go: Callable[[T], Awaitable[None]],
    ) -> None:
        self._pursuit = pursuit
        self._after_s = settings.after_ms / 1000
        self._at_once = settings.at_once
        self._record = record
        self._ask = ask
        self._let_go = let_go
        self._alone = False
        self._running: dict[asyncio.Task[T], tuple[Place, Attempt]] = {}

    async def answer(self) -> T:
        """The first answer. Raises as `Pursuit.answer`. When it is over, nobody is being asked any more."""
        try:
            turn = await self._pursuit.begin()
            while turn is not None:
                self._start(turn)
                turn = None
                while self._running and turn is None:
                    done = await self._wait()
                    if done is None:
                        continue
                    place, attempt = self._running.pop(done)
                    failure = done.exception()
                    if failure is None:
                        return await self._won(place, attempt, done.result())
                    turn = await self._onward(place, attempt, failure)
            raise self._pursuit.verdict()
        finally:
            await self._stop()

    def _start(self, turn: Turn) -> None:
        attempt = self._pursuit.attempt(turn)
        task = asyncio.ensure_future(self._asking(attempt))
        self._running[task] = (turn[0], attempt)

    async def _asking(self, attempt: Attempt) -> T:
        try:
            return await self._ask(attempt)
        except asyncio.CancelledError:
            attempt.abandon()
            raise

    async def _wait(self) -> asyncio.Task[T] | None:
        """Whoever is through, the first asked first; None when one more was asked instead."""
        limit_s = self._after_s if len(self._running) < self._at_once and not self._alone else None
        done, _ = await asyncio.wait(self._running, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return next(task for task in self._running if task in done)
        turn = self._pursuit.beside()
        if turn is None:
            self._alone = True
        else:
            candidate = turn[0].candidate
            text = f"asked beside the others, which had not answered after {self._after_s:g} s"
            self._record.note("hedge", text, candidate.id, candidate.connection)
            self._start(turn)
        return None

    async def _onward(self, place: Place, attempt: Attempt, failure: BaseException) -> Turn | None:
        """Whose turn it is after an attempt failed. While others are under way nobody is waited for."""
        if not isinstance(failure, GatewayError | UnsayableError):
            attempt.abandon()
            raise failure
        error, step = self._pursuit.failed(place, attempt, failure)
        if not self._running:
            return await self._pursuit.following(place, error, step)
        self._pursuit.learn(place, step)
        if step is Step.LARGER or any(task.done() for task in self._running):  # whoever is through may have answered
            return None
        return self._pursuit.beside()

    async def _won(self, place: Place, attempt: Attempt, answer: T) -> T:
        self._pursuit.answered(place, attempt)
        try:
            await self._stop()
        except BaseException:
            try:
                await self._let_go(answer)
            finally:
                attempt.abandon()
            raise
        return answer

    async def _stop(self) -> None:
        """Cancel who is still being asked, and let go what they may have answered meanwhile; also when cancelled itself."""
        losers = dict(self._running)
        self._running.clear()
        for task in losers:
            task.cancel()
        interrupted: asyncio.CancelledError | None = None
        while not all(task.done() for task in losers):
            try:
                await asyncio.wait(losers)
            except asyncio.CancelledError as error:
                interrupted = error
        for task, (_, attempt) in losers.items():
            try:
                if not task.cancelled() and task.exception() is None:
                    await self._let_go(task.result())
            except asyncio.CancelledError as error:  # once more: the others are let go all the same
                interrupted = error
            finally:
                attempt.abandon()
        if interrupted is not None:
            raise interrupted
