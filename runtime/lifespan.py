"""What begins and ends with a worker: the first of a list of lives begins first, and ends last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeAlias

__all__ = ["Life", "beside", "closing"]

Life: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]


class Closable(Protocol):
    async def aclose(self) -> None: ...


def closing(each: Closable) -> Life:
    """Close ``each`` when the worker stops."""

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await each.aclose()

    return life


def beside(*jobs: Callable[[], Coroutine[object, object, object]]) -> Life:
    """Do ``jobs`` while the worker lives. At its end they are cancelled, and waited for."""

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        running = [asyncio.ensure_future(job()) for job in jobs]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    return life
