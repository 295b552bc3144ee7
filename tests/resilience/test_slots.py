"""No connection answers more at once than it may, and nobody waits longer than allowed."""

from __future__ import annotations

import asyncio

import pytest

from runtime.resilience.slots import Slots


def test_a_connection_without_a_limit_has_any_number_of_places() -> None:
    slots = Slots({})

    assert all(slots.room("c").take() for _ in range(1000))


async def test_who_waits_gets_the_place_that_is_given_back_in_turn() -> None:
    slots = Slots({"c": 1})
    assert slots.room("c").take()
    assert not slots.room("c").take()
    order: list[int] = []

    async def wait(number: int) -> None:
        assert await slots.room("c").wait(5)
        order.append(number)
        slots.room("c").release()

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    slots.room("c").release()
    await asyncio.gather(*waiting)

    assert [0, 1, 2] == order
    assert slots.room("c").take()


async def test_nobody_waits_longer_than_allowed() -> None:
    slots = Slots({"c": 1})
    slots.room("c").take()

    assert not await slots.room("c").wait(0)
    slots.room("c").release()
    assert slots.room("c").take()


@pytest.mark.parametrize("given_first", [False, True])
async def test_a_waiter_that_is_cancelled_loses_no_place(given_first: bool) -> None:
    slots = Slots({"c": 1})
    slots.room("c").take()
    waiting = asyncio.create_task(slots.room("c").wait(5))
    await asyncio.sleep(0)
    if given_first:
        slots.room("c").release()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not given_first:
        slots.room("c").release()

    assert slots.room("c").take()
    assert not slots.room("c").take()


async def test_more_places_are_given_to_who_waits_and_fewer_take_none_away() -> None:
    slots = Slots({"c": 1})
    assert slots.room("c").take()
    waiting = [asyncio.create_task(slots.room("c").wait(5)) for _ in range(3)]
    await asyncio.sleep(0)
    slots.configure({"c": 3})
    await asyncio.sleep(0)
    assert [True, True, False] == [task.done() for task in waiting]

    slots.configure({"c": 1})
    slots.room("c").release()
    slots.room("c").release()
    await asyncio.sleep(0)
    assert not waiting[2].done()
    slots.room("c").release()
    assert await waiting[2]
    assert not slots.room("c").take()


async def test_a_limit_that_comes_counts_the_calls_that_run_and_one_that_goes_lets_all_in() -> None:
    slots = Slots({})
    assert slots.room("c").take()
    assert slots.room("c").take()
    slots.configure({"c": 2})
    assert not slots.room("c").take()
    waits = asyncio.create_task(slots.room("c").wait(5))
    await asyncio.sleep(0)
    slots.configure({})
    assert await waits
    assert slots.room("c").take()
