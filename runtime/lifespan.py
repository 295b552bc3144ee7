"""What begins and ends with a worker: the first of a list of lives begins first, and ends last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol, TypeAlias

__all__ = ["Job", "Life", "beside", "closing", "overhearing", "persistent"]

Life: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
Job: TypeAlias = Callable[[], Coroutine[object, object, object]]

AGAIN_S: Final = 1.0
"""How long after a fault a job is begun again; twice as long after each that comes soon after the one before."""

MOST_S: Final = 30.0


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


def beside(*jobs: Job) -> Life:
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


def overhearing(on_fault: Callable[[Exception, str], None]) -> Life:
    """Tell ``on_fault`` what fails where nobody waits for it, in place of the process's own log.

    That would also show what was being called, with its arguments, which may be a client's words.
    """

    def tell(_: asyncio.AbstractEventLoop, found: Mapping[str, object]) -> None:
        error = found.get("exception")
        on_fault(error if isinstance(error, Exception) else RuntimeError(str(found["message"])), "")

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(tell)
        try:
            yield
        finally:
            loop.set_exception_handler(before)

    return life


def persistent(job: Job, on_fault: Callable[[Exception, str], None]) -> Job:
    """``job``, and again after each fault that it did not foresee, which ``on_fault`` is told: nobody else would miss it."""

    async def persist() -> None:
        now, pause_s = asyncio.get_running_loop().time, AGAIN_S
        while True:
            begun_s = now()
            try:
                await job()
            except Exception as error:  # noqa: BLE001 — whatever it is, the worker lives on, and needs what is done beside it
                on_fault(error, "")
                if now() > begun_s + MOST_S:
                    pause_s = AGAIN_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MOST_S)
            else:
                return

    return persist
