"""Waiting for what is asked for no longer than that is worth. It is not given up: it ends without anybody who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

__all__ = ["in_time", "tried"]

T = TypeVar("T")


async def in_time(asked: Awaitable[T], within_s: float) -> T:
    """What ``asked`` comes to. Raises TimeoutError where that takes longer."""
    task = asyncio.ensure_future(asked)
    task.add_done_callback(_heard)
    done, _ = await asyncio.wait((task,), timeout=within_s)
    if not done:
        raise TimeoutError
    return task.result()


async def tried(asked: Iterable[Awaitable[object]], within_s: float) -> None:
    """Until all of ``asked`` have come to something, a fault or not, or it takes longer."""
    tasks = [asyncio.ensure_future(each) for each in asked]
    for task in tasks:
        task.add_done_callback(_heard)
    await asyncio.wait(tasks, timeout=within_s)


def _heard(task: asyncio.Future[T]) -> None:
    """A fault that nobody waited for is said where it is in the way."""
    if not task.cancelled():
        task.exception()
