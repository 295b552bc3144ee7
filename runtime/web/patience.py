"""Waiting with a limit that costs nothing where there is nothing to wait for, as nearly always on the way to a client.

`asyncio.timeout` makes an object, a timer and its cancellation for every wait. Here what is awaited takes its first step before
that: only if it then still waits is a limit set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Iterator
from typing import Protocol, TypeVar, runtime_checkable

from typing_extensions import override

__all__ = ["begun", "within"]

T = TypeVar("T")


@runtime_checkable
class Throwing(Protocol):
    """Steps that can be told of a cancellation."""

    def throw(self, error: BaseException, /) -> object: ...


def begun(awaited: Awaitable[T]) -> Awaitable[T] | None:
    """What is left of ``awaited`` after its first step; None where that was all of it."""
    steps = awaited.__await__()
    try:
        return _Rest(steps, next(steps))
    except StopIteration:
        return None


async def within(limit_s: float | None, awaited: Awaitable[T]) -> T:
    """What ``awaited`` gives. Raises TimeoutError when it takes longer than ``limit_s``; None: however long."""
    steps = awaited.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(limit_s):
        return await _Rest(steps, waits_for)


class _Rest(Awaitable[T]):
    """What is left of an awaitable that has begun."""

    def __init__(self, steps: Iterator[object], waits_for: object) -> None:
        self._steps = steps
        self._waits_for = waits_for

    @override
    def __await__(self) -> Generator[object, None, T]:
        steps, waits_for = self._steps, self._waits_for
        while True:
            try:
                try:
                    yield waits_for
                except BaseException as error:
                    if not isinstance(steps, Throwing):
                        raise
                    waits_for = steps.throw(error)
                else:
                    waits_for = next(steps)
            except StopIteration as done:
                result: T = done.value
                return result
