"""Calls that begin or end together: a few in each turn of the loop, in order, and who leaves is passed over."""

from __future__ import annotations

import asyncio

from runtime.resilience.turns import Turns


async def test_those_under_way_have_every_other_turn() -> None:
    turns, seen = Turns(most=2), list[str]()

    async def end(number: int) -> None:
        await turns.take()
        seen.append(f"end {number}")

    ends = [asyncio.create_task(end(number)) for number in range(6)]
    while not all(each.done() for each in ends):
        await asyncio.sleep(0)
        seen.append("event")

    assert [each for each in seen if each != "event"] == [f"end {number}" for number in range(6)]
    assert max(map(len, " ".join(seen).replace("end ", "").split("event"))) <= len(" 0 1 ")


async def test_a_place_is_taken_at_once_where_nobody_else_wants_one() -> None:
    turns = Turns(most=1)
    for _ in range(3):
        steps = turns.take().__await__()
        assert next(steps, None) is None
        await asyncio.sleep(0)


async def test_who_leaves_takes_no_place() -> None:
    turns, seen = Turns(most=1), list[int]()

    async def end(number: int) -> None:
        await turns.take()
        seen.append(number)

    ends = [asyncio.create_task(end(number)) for number in range(40)]
    await asyncio.sleep(0)
    for each in ends[1:-1]:
        each.cancel()
    await asyncio.wait_for(asyncio.gather(*ends, return_exceptions=True), 5)

    assert seen == [0, 39]
