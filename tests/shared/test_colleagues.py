"""Questions to all workers: who is there answers, and nobody waits for who is not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from itertools import count

import pytest

from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.shared.memory import MemoryState

BROKEN = b"!"
"""What the worker that knows `b` does not understand."""


class Worker:
    def __init__(self, shared: MemoryState, name: str, knows: bytes | None) -> None:
        ids = count()
        self.told: list[bytes] = []
        self.faults: list[str] = []
        self.knows = knows
        does = {"know": self.know, "hear": self.hear}
        self.colleagues = Colleagues(
            shared, name, lambda: f"{name}{next(ids)}", does, lambda error, _: self.faults.append(str(error))
        )

    def know(self, question: bytes) -> bytes | None:
        if question == BROKEN and self.knows == b"b":
            raise ValueError("not understood")
        return None if self.knows is None else question + self.knows

    def hear(self, message: bytes) -> None:
        self.told.append(message)


@contextlib.asynccontextmanager
async def listening(*workers: Worker) -> AsyncGenerator[None, None]:
    tasks = [asyncio.create_task(worker.colleagues.listen()) for worker in workers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_everybody_who_is_there_answers() -> None:
    shared = MemoryState(time.monotonic)
    one, two, three = (Worker(shared, name, knows) for name, knows in (("1", b"a"), ("2", None), ("3", b"c")))
    async with listening(one, two, three):
        found = await one.colleagues.ask("know", b"?")

    assert ((b"?a", b"?c"), 3, 3) == (found.answers, found.workers, found.heard)


async def test_alone_one_knows_what_one_knows_at_once() -> None:
    found = await Worker(MemoryState(time.monotonic), "1", b"a").colleagues.ask("know", b"?")
    assert ((b"?a",), 1, 1) == (found.answers, found.workers, found.heard)


async def test_who_is_silent_is_counted_and_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.shared.colleagues.ANSWER_S", 0.1)
    shared = MemoryState(time.monotonic)
    await shared.put("colleagues.present", "gone", b"", 10)
    found = await Worker(shared, "1", b"a").colleagues.ask("know", b"?")
    assert ((b"?a",), 2, 1) == (found.answers, found.workers, found.heard)


async def test_news_reach_everybody_once_the_teller_too() -> None:
    shared = MemoryState(time.monotonic)
    one, two = Worker(shared, "1", None), Worker(shared, "2", None)
    async with listening(one, two):
        assert 1 == await one.colleagues.tell("hear", b"x")
        await one.colleagues.ask("know", b"")  # two has heard everything before it answers this
    assert ([b"x"], [b"x"]) == (one.told, two.told)


async def test_a_message_that_cannot_be_understood_makes_nobody_deaf() -> None:
    """As of another release, whose workers share the same state while machines are replaced one by one."""
    shared = MemoryState(time.monotonic)
    one, two = Worker(shared, "1", b"a"), Worker(shared, "2", b"b")

    async with listening(one, two):
        first = await one.colleagues.ask("know", BROKEN)
        second = await one.colleagues.ask("know", b"?")

    assert ((b"!a",), 2, 2) == (first.answers, first.workers, first.heard)
    assert (b"?a", b"?b") == second.answers
    assert ["not understood"] == two.faults


async def test_where_others_cannot_be_told_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = MemoryState(time.monotonic)
    worker = Worker(shared, "1", b"a")

    async def fail(*_: object, **__: object) -> list[tuple[str, bytes]]:
        raise SharedError("gone")

    monkeypatch.setattr(shared, "entries", fail)
    with pytest.raises(SharedError):
        await worker.colleagues.tell("hear", b"x")
    assert [] == worker.told
    assert (b"?a",) == (await worker.colleagues.ask("know", b"?")).answers
