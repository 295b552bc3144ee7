"""A limit on one wait is as `asyncio.timeout` is, and costs nothing where there is nothing to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from runtime.web.patience import Left, begun, one_by_one, started, waited, within


async def answer(steps: int) -> int:
    for _ in range(steps):
        await asyncio.sleep(0)
    return steps


@pytest.mark.parametrize("limit_s", [None, 5.0])
@pytest.mark.parametrize("steps", [0, 1, 3])
async def test_what_is_awaited_is_given(limit_s: float | None, steps: int) -> None:
    assert steps == await within(limit_s, answer(steps))


async def test_what_is_there_is_taken_without_a_step_of_the_loop() -> None:
    with pytest.raises(StopIteration):
        within(5, answer(0)).send(None)


async def test_what_takes_too_long_is_ended_and_the_task_is_not_cancelled() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    with pytest.raises(TimeoutError):
        await within(0.01, wait())
    task = asyncio.current_task()
    assert task is not None
    assert (["yes"], 0) == (ended, task.cancelling())


async def test_a_limit_is_kept_by_what_cannot_be_told_of_it() -> None:
    class Steps:
        """As Granian's: a future's steps, without `throw`."""

        def __init__(self) -> None:
            self._steps = asyncio.get_running_loop().create_future().__await__()

        def __await__(self) -> Generator[object, None, None]:
            return self  # type: ignore[return-value]

        def __iter__(self) -> Steps:
            return self

        def __next__(self) -> object:
            return next(self._steps)

    with pytest.raises(TimeoutError):
        await within(0.01, Steps())


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.create_task(within(5, asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_in_the_moment_of_the_limit_wins() -> None:
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            task.cancel()

    task = asyncio.create_task(within(0.01, wait()))

    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1


async def test_an_error_in_the_moment_of_the_limit_is_told_and_the_task_is_not_cancelled() -> None:
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError from None

    with pytest.raises(LookupError):
        await within(0.01, wait())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_gives_nothing_is_begun_and_done_where_it_need_not_wait() -> None:
    assert begun(5, nothing()) is None


@pytest.mark.parametrize("limit_s", [None, 5.0])
async def test_what_was_begun_and_waits_goes_on_where_it_was(limit_s: float | None) -> None:
    said: list[str] = []

    async def say() -> None:
        said.append("begun")
        await asyncio.sleep(0)
        said.append("done")

    rest = begun(limit_s, say())

    assert ["begun"] == said
    assert rest is not None
    await rest
    assert ["begun", "done"] == said


async def test_what_was_begun_and_takes_too_long_is_ended() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    rest = begun(0.01, wait())

    assert rest is not None
    with pytest.raises(TimeoutError):
        await rest


async def test_what_fails_at_once_fails_where_it_is_begun() -> None:
    async def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        begun(5, fail())


async def test_what_was_started_without_a_task_goes_on_in_one() -> None:
    gate = asyncio.Event()
    left: list[Left | None] = []
    asyncio.get_running_loop().call_soon(lambda: left.append(started(_wait(gate))))
    await asyncio.sleep(0.001)

    assert left[0] is not None
    gate.set()
    await waited(5, left[0])
    assert started(nothing()) is None


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()


async def nothing() -> None:
    return


async def test_what_is_made_of_many_leaves_others_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert [str(number) for number in range(1000)] == await one_by_one(str, range(1000))
    beside.cancel()

    assert turns >= 4
    assert [] == await one_by_one(str, ())
