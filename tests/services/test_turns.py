"""Turns of those who change the configuration: beside other workers, and where there is nobody to ask for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from typing_extensions import override

from runtime.services.turns import HELD_S, Turns
from runtime.shared import SharedError
from runtime.shared.memory import MemoryState
from tests.support.shared import Clock


class Gone(MemoryState):
    @override
    async def claim(self, topic: str, key: str, value: bytes, ttl_s: float) -> bytes | None:
        raise SharedError("gone")

    @override
    async def remove(self, topic: str, key: str, expected: bytes | None = None) -> bool:
        raise SharedError("gone")


async def _have(turns: Turns, begin: Callable[[], None], end: Callable[[], None]) -> None:
    async with turns.mine():
        begin()
        await asyncio.sleep(0.001)
        end()


async def test_workers_take_turns_and_so_do_those_of_one() -> None:
    shared = MemoryState(Clock())
    workers = [Turns(shared, name) for name in ("a", "b", "c")]
    having, ended = set[int](), list[int]()

    def begin(number: int) -> None:
        assert not having
        having.add(number)

    def end(number: int) -> None:
        having.remove(number)
        ended.append(number)

    def one(number: int) -> asyncio.Task[None]:
        return asyncio.create_task(_have(workers[number % 3], lambda: begin(number), lambda: end(number)))

    async with asyncio.timeout(10):
        await asyncio.gather(*(one(number) for number in range(30)))
    for worker in range(3):
        mine = [number for number in ended if number % 3 == worker]
        assert sorted(mine) == mine, "who asks first is first"


async def test_a_turn_that_failed_ends() -> None:
    shared = MemoryState(Clock())
    one, other = Turns(shared, "a"), Turns(shared, "b")
    try:
        async with one.mine():
            raise LookupError
    except LookupError:
        pass
    async with asyncio.timeout(20), other.mine():
        pass


async def test_the_turn_of_a_worker_that_died_ends() -> None:
    clock = Clock()
    shared = MemoryState(clock)
    assert await shared.claim("overrides.turn", "turn", b"dead", HELD_S) is None
    asking = asyncio.create_task(_have(Turns(shared, "a"), lambda: None, lambda: None))
    await asyncio.sleep(0.05)
    assert not asking.done()
    clock.at_s += HELD_S + 1
    async with asyncio.timeout(20):
        await asking


async def test_without_shared_state_it_goes_on() -> None:
    async with asyncio.timeout(20), Turns(Gone(Clock()), "a").mine():
        pass
