"""All workers go by the settings that were set last, whenever they came and in whatever order they heard of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from itertools import count, permutations

from runtime.routing import Attempts
from runtime.services.dials import DIALS, DIALS_ASKED, Dials, Settings, settings_of, with_changes
from runtime.shared.colleagues import Colleagues
from runtime.shared.memory import MemoryState
from tests.support.pipeline import compiled
from tests.support.routing import Time, attempts

CONFIGURED = settings_of(compiled("providers: {}"))


def changed(tries: int) -> Settings:
    return with_changes(CONFIGURED, {"retries": {"per_target": tries}})


class Worker:
    def __init__(self, shared: MemoryState, name: str, clock: Time | None = None) -> None:
        ids = count()
        self.attempts: Attempts = attempts()
        self.dials = Dials(CONFIGURED, self.attempts, clock.clock if clock is not None else time.time)
        told = {DIALS: self.dials.set, DIALS_ASKED: self.dials.last}
        self.colleagues = Colleagues(shared, name, lambda: f"{name}{next(ids)}", told)

    @property
    def tries(self) -> int:
        """What its requests go by."""
        return self.attempts.pace.retries.per_target

    async def set(self, tries: int) -> None:
        await self.colleagues.tell(DIALS, self.dials.message(changed(tries)))


@contextlib.asynccontextmanager
async def listening(*workers: Worker) -> AsyncGenerator[None, None]:
    tasks = [asyncio.create_task(worker.colleagues.listen()) for worker in workers]
    for worker in workers:
        await worker.colleagues.listening()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_worker_that_comes_later_begins_with_what_was_set() -> None:
    shared = MemoryState(time.monotonic)
    old, new = Worker(shared, "old"), Worker(shared, "new")
    async with listening(old):
        await old.set(7)
        async with listening(new):
            await new.dials.join(new.colleagues)

    assert (7, 7) == (old.tries, new.tries)


async def test_where_nothing_was_set_it_begins_as_configured() -> None:
    shared = MemoryState(time.monotonic)
    old, new = Worker(shared, "old"), Worker(shared, "new")
    async with listening(old, new):
        await new.dials.join(new.colleagues)

    assert CONFIGURED == new.dials.now
    assert new.dials.last(b"") is None


async def test_what_is_set_while_it_joins_is_not_lost() -> None:
    shared = MemoryState(time.monotonic)
    old, new = Worker(shared, "old"), Worker(shared, "new")
    async with listening(old):
        await old.set(7)
        async with listening(new):
            await asyncio.gather(new.dials.join(new.colleagues), old.set(9))
            await old.colleagues.ask(DIALS_ASKED, b"")  # new has heard everything before it answers this

    assert (9, 9) == (old.tries, new.tries)


def test_whatever_is_heard_first_the_last_one_holds() -> None:
    clock = Time()
    teller = Worker(MemoryState(time.monotonic), "teller", clock)
    messages = []
    for tries in (3, 5, 8):
        messages.append(teller.dials.message(changed(tries)))
        teller.dials.set(messages[-1])

    for order in permutations(messages):
        hearer = Worker(MemoryState(time.monotonic), "hearer", clock)
        for message in order:
            hearer.dials.set(message)
        assert 8 == hearer.tries == hearer.dials.now.retries.per_target


def test_a_change_after_one_from_a_clock_that_is_ahead_holds_all_the_same() -> None:
    ahead, behind = (Worker(MemoryState(time.monotonic), "w", Time(now_s)) for now_s in (5000.0, 1000.0))
    behind.dials.set(ahead.dials.message(changed(3)))
    behind.dials.set(behind.dials.message(changed(4)))

    assert 4 == behind.tries


def test_what_another_release_says_changes_nothing() -> None:
    worker = Worker(MemoryState(time.monotonic), "w")
    for message in (b"", b"\xc1", b"\x80", b"\x92\x01\x02"):
        worker.dials.set(message)

    assert CONFIGURED == worker.dials.now
