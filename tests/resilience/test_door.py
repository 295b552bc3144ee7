"""The order to stop: nobody new comes in, those inside end well or are told."""

from __future__ import annotations

import asyncio

import pytest

from runtime.errors import AuthenticationFailed, ShuttingDown
from runtime.resilience import Door


async def test_closed_door_refuses_new_calls_with_a_hint_when_to_retry() -> None:
    door = Door()
    await door.close(0.0)

    with pytest.raises(ShuttingDown) as caught, door:
        pytest.fail("came in")
    assert caught.value.retry_after_s == 1


async def test_close_waits_for_calls_that_end_within_the_grace() -> None:
    door, go = Door(), asyncio.Event()

    async def call() -> str:
        with door:
            await go.wait()
            return "done"

    running = asyncio.create_task(call())
    await asyncio.sleep(0)
    closing = asyncio.create_task(door.close(5.0))
    await asyncio.sleep(0)
    assert not closing.done()
    go.set()

    assert await closing == 0
    assert await running == "done"


async def test_close_ends_calls_that_outlast_the_grace_and_lets_them_speak() -> None:
    door = Door()
    told: list[str] = []

    async def call() -> None:
        with door:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                farewell = door.farewell()
                assert farewell is not None
                await asyncio.sleep(0)  # it may still wait for its client
                told.append(farewell.kind)

    running = asyncio.create_task(call())
    await asyncio.sleep(0)

    assert await door.close(0.0) == 1
    await running
    assert told == ["unavailable"]


async def test_farewell_is_none_for_a_call_that_its_client_left() -> None:
    door = Door()
    farewells: list[ShuttingDown | None] = []

    async def call() -> None:
        with door:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                farewells.append(door.farewell())
                raise

    running = asyncio.create_task(call())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert farewells == [None]


@pytest.mark.parametrize("where", ["inside", "outside"])
async def test_dismissed_call_is_told_why_wherever_it_asks_and_once(where: str) -> None:
    door = Door()
    told: list[object] = []

    async def call() -> None:
        try:
            with door as visit:
                visit.owner = "theirs"
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if where == "outside":
                        raise
                    told.append(door.farewell())
        except asyncio.CancelledError:
            told.append(door.farewell())
        with door:  # another call of the same task is nobody's yet
            told.append(door.owners)

    running = asyncio.create_task(call())
    await asyncio.sleep(0)
    error = AuthenticationFailed("revoked")

    assert door.dismiss(frozenset({"others"}), error) == 0
    assert door.dismiss(frozenset({"theirs"}), error) == 1
    await running
    assert told == [error, frozenset()]


async def test_call_that_is_ordered_to_end_twice_is_told_why_all_the_same() -> None:
    """Its key is revoked, and before it has let go of what it had the grace of the shutdown is over."""
    door = Door()
    told: list[object] = []
    letting_go = asyncio.Event()

    async def call() -> None:
        try:
            with door as visit:
                visit.owner = "theirs"
                try:
                    await asyncio.Event().wait()
                finally:
                    letting_go.set()
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(door.farewell())
            await asyncio.sleep(0)

    running = asyncio.create_task(call())
    await asyncio.sleep(0)
    error = AuthenticationFailed("revoked")
    assert door.dismiss(frozenset({"theirs"}), error) == 1
    await letting_go.wait()

    assert await door.close(0.0) == 1
    await running
    assert told == [error]


async def test_a_task_of_the_call_that_asks_first_takes_nothing_from_it() -> None:
    """It is cancelled along with the call that waits for it, which was ordered to end twice."""
    door = Door()
    told: list[object] = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(door.farewell())

    async def call() -> None:
        try:
            with door as visit:
                visit.owner = "theirs"
                await asyncio.create_task(part())
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(door.farewell())

    running = asyncio.create_task(call())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    error = AuthenticationFailed("revoked")
    assert door.dismiss(frozenset({"theirs"}), error) == 1

    assert await door.close(0.0) == 1
    await running
    assert told == [error, error]


async def test_call_that_fails_leaves_the_door() -> None:
    door = Door()

    with pytest.raises(ValueError, match="boom"), door:
        raise ValueError("boom")

    assert await door.close(5.0) == 0
