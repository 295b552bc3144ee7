"""The application that a server is given begins and ends its lives in order, and says how that went."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from runtime.lifespan import Life, beside, overhearing, persistent
from runtime.worker import Worker

Message = dict[str, Any]


def life(name: str, log: list[str], *, fails: str = "") -> Life:
    @asynccontextmanager
    async def live() -> AsyncGenerator[None, None]:
        if fails == "begin":
            raise ValueError(name)
        log.append(f"{name} begins")
        try:
            yield
        finally:
            log.append(f"{name} ends")
        if fails == "end":
            raise ValueError(name)

    return live


async def lived(*lives: Life) -> list[Message]:
    """What the server is told from the start to the stop."""
    orders: asyncio.Queue[Message] = asyncio.Queue()
    for order in ("startup", "shutdown"):
        orders.put_nowait({"type": f"lifespan.{order}"})
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    try:
        await Worker(silent, lives)({"type": "lifespan"}, orders.get, send)  # type: ignore[arg-type]
    except ValueError:
        told.append({"type": "raised"})
    return told


async def test_the_first_life_ends_last() -> None:
    log: list[str] = []
    told = await lived(life("database", log), life("jobs", log))

    assert ["database begins", "jobs begins", "jobs ends", "database ends"] == log
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == [each["type"] for each in told]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("begin", ["lifespan.startup.failed", "raised"]),
        ("end", ["lifespan.startup.complete", "lifespan.shutdown.failed", "raised"]),
    ],
)
async def test_a_life_that_fails_is_told_and_the_others_end(when: str, expected: list[str]) -> None:
    log: list[str] = []
    told = await lived(life("database", log), life("jobs", log, fails=when))

    assert expected == [each["type"] for each in told]
    assert "database ends" == log[-1]
    assert {"jobs"} == {each["message"] for each in told if "message" in each}


async def test_a_call_goes_to_the_application() -> None:
    called: list[object] = []

    async def app(*given: object) -> None:
        called.extend(given)

    scope: Message = {"type": "http"}
    await Worker(app, ())(scope, 1, 2)  # type: ignore[arg-type]
    assert [scope, 1, 2] == called


async def test_a_job_that_fails_unforeseen_is_told_of_and_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.lifespan.AGAIN_S", 0.0)
    begun, faults, well = iter((ValueError("once"), OSError("twice"))), list[str](), asyncio.Event()

    async def job() -> None:
        if (fault := next(begun, None)) is not None:
            raise fault
        well.set()
        await asyncio.Event().wait()

    async with beside(persistent(job, lambda error, _: faults.append(str(error))))(), asyncio.timeout(20):
        await well.wait()

    assert ["once", "twice"] == faults


async def test_a_job_that_fails_again_and_again_is_begun_more_and_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    faults: list[Exception] = []
    enough = asyncio.Event()

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 7:
            enough.set()
            await asyncio.Event().wait()

    async def job() -> None:
        raise ValueError("always")

    monkeypatch.setattr("runtime.lifespan.asyncio.sleep", sleep)
    async with beside(persistent(job, lambda error, _: faults.append(error)))():
        await enough.wait()

    assert [1, 2, 4, 8, 16, 30, 30] == pauses
    assert 7 == len(faults)


async def test_what_fails_where_nobody_waits_is_told_once_and_without_what_was_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[Exception, str]] = []
    unheld = ValueError("nobody waits for this")

    def fail(_: str) -> None:
        raise unheld

    async def fails_alone() -> None:
        fail("a prompt")

    loop = asyncio.get_running_loop()
    async with Worker(silent, [overhearing(lambda error, request_id: heard.append((error, request_id)))]).lifespan():
        loop.call_soon(fail, "a prompt")
        task = asyncio.ensure_future(fails_alone())
        await asyncio.wait([task])
        del task
        gc.collect()
        loop.call_exception_handler({"message": "a connection was left open"})

    assert [(unheld, ""), (unheld, "")] == heard[:2]
    assert ["a connection was left open"] == [str(error) for error, _ in heard[2:]]
    assert [] == caplog.records
    assert loop.get_exception_handler() is None


async def silent(*_: object) -> None:
    raise AssertionError
