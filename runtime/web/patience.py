"""Waiting with a limit that costs nothing where there is nothing to wait for, as nearly always on the way to a client.

`asyncio.timeout` makes an object, a timer and its cancellation for every wait. Here what is awaited takes its first step before
that, and only if it then still waits is a limit set: a timer, and nothing else. What gives nothing, such as sending, need not
even be awaited then: `begun` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from types import coroutine
from typing import Final, TypeAlias, TypeVar, cast

__all__ = ["Left", "begun", "cancelled", "one_by_one", "started", "waited", "within"]

S = TypeVar("S")
T = TypeVar("T")
Left: TypeAlias = tuple[Generator[object, None, object], object]
"""What is left of something that was `started`: its further steps, and what it waits for."""

_DONE: Final = object()
_AT_ONCE: Final = 200


async def within(limit_s: float | None, awaited: Awaitable[T]) -> T:
    """What ``awaited`` gives. Raises TimeoutError when it takes longer than ``limit_s``; None: however long."""
    steps = awaited.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    return cast("T", await _limited(limit_s, steps, waits_for))


def begun(limit_s: float | None, awaited: Awaitable[None]) -> Coroutine[object, object, object] | None:
    """`within` for what gives nothing: None where it is done already, else what is left of it, to be awaited."""
    left = started(awaited)
    return None if left is None else waited(limit_s, left)


def started(awaited: Awaitable[None]) -> Left | None:
    """The first step of what gives nothing, which no task need take: None where it is done with that, else what `waited` is given."""
    steps = awaited.__await__()
    waits_for: object = next(steps, _DONE)  # makes no StopIteration where a coroutine gives None
    return None if waits_for is _DONE else (steps, waits_for)


def waited(limit_s: float | None, left: Left) -> Coroutine[object, object, object]:
    """The rest of what was `started`, as `within` says."""
    return _limited(limit_s, *left)


async def _limited(limit_s: float | None, steps: Generator[object, None, object], waits_for: object) -> object:
    """What is left of an awaitable that has begun, as `within` says."""
    if limit_s is None:
        return await _rest(steps, waits_for)
    limit = _Limit(limit_s)
    try:
        return await _rest(steps, waits_for)
    except asyncio.CancelledError as error:
        if limit.over():
            raise TimeoutError from error
        raise
    finally:
        limit.over()


async def one_by_one(made: Callable[[S], T], each: Iterable[S]) -> list[T]:
    """What ``made`` makes of ``each``, however many there are: whoever else is served has a turn in between."""
    found: list[T] = []
    for item in each:
        if len(found) % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        found.append(made(item))
    return found


def cancelled() -> bool:
    """Whether the current task itself was told to end; what it waits for may have been, too, and is raised the same."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Limit:
    """Cancels the current task after ``limit_s``, unless it is `over` before."""

    __slots__ = ("_before", "_reached", "_task", "_timer")

    def __init__(self, limit_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._reached = False
        self._timer = asyncio.get_running_loop().call_later(limit_s, self._reach)

    def over(self) -> bool:
        """Whether it alone cancelled the task; takes that back, once."""
        self._timer.cancel()
        reached, self._reached = self._reached, False
        return reached and self._task.uncancel() <= self._before

    def _reach(self) -> None:
        self._reached = True
        self._task.cancel()


@coroutine
def _rest(steps: Generator[object, None, object], waits_for: object) -> Generator[object, None, object]:
    """What is left of an awaitable that has begun."""
    while True:
        try:
            try:
                yield waits_for
            except BaseException as error:
                if not hasattr(steps, "throw"):  # steps that cannot be told of a cancellation
                    raise
                waits_for = steps.throw(error)
            else:
                waits_for = next(steps)
        except StopIteration as done:
            result: object = done.value
            return result
