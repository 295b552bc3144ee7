"""The composition root: what lasts, the application of the first plan upon it, and how another plan takes its place.

Runs in every worker. Reads neither environment nor files: what it needs from there comes in `Ready`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import msgspec

from runtime.config.effective import Effective
from runtime.handover import REPLACED, tell_open
from runtime.lasting import Lasting, Ready, adopt, lasting
from runtime.lifespan import Life, beside
from runtime.living import lives
from runtime.planned import planned
from runtime.services.overrides import Overrides
from runtime.services.turns import Turns
from runtime.surface import Surface
from runtime.worker import Worker

__all__ = ["Assembled", "Ready", "assemble", "build"]


class Assembled(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's application, what lasts in it, and what changes the rest."""

    worker: Worker
    parts: Lasting
    overrides: Overrides


ORPHANED_S: Final = 1.0
"""How often a worker looks whether its supervisor lives."""

ARRIVED_S: Final = 1.0
"""For how long a worker that was replaced still answers what had reached it."""


def build(ready: Ready) -> Worker:
    """The application of one worker."""
    return assemble(ready).worker


def assemble(ready: Ready) -> Assembled:
    """The application of one worker, with its parts."""
    parts = lasting(ready)

    async def prepare(found: Effective) -> Callable[[], None]:
        """Build for another plan; what puts it in force, in a moment."""
        parts.memory.local(found.artefact.plan)
        await parts.memory.start()
        made = await asyncio.to_thread(planned, parts, found, overrides)

        def switch() -> None:
            adopt(parts, found, made.public)
            parts.told.update(made.told)
            surface.use(made.services, made.front)
            parts.log.info(
                "plan_swapped", connections=sorted(found.secrets.connections), overrides=len(found.overrides)
            )

        return switch

    overrides = _overrides(parts, prepare)
    first = planned(parts, ready.effective, overrides)
    parts.told.update(first.told)
    parts.good_keys.adopt(parts.good_keys.configured, first.public)
    ends = [_following(overrides), _ending(parts, ready.plan.server.shutdown_grace_ms / 1000), _supervised(parts)]
    if ready.opened is not None:
        ends.append(beside(partial(tell_open, ready.port, ready.opened)))
    surface = Surface(first.services, first.front, parts.on_fault)
    worker = Worker(surface, [*lives(parts), *ends, beside(surface.register)])
    parts.log.info("worker_built", connections=sorted(ready.secrets.connections), keys=len(ready.plan.keys))
    return Assembled(worker=worker, parts=parts, overrides=overrides)


def _overrides(parts: Lasting, prepare: Callable[[Effective], Awaitable[Callable[[], None]]]) -> Overrides:
    ready = parts.ready
    return Overrides(
        ready.base,
        ready.effective,
        ready.revision,
        parts.overrides,
        ready.vault,
        parts.audit,
        parts.colleagues,
        Turns(parts.shared, parts.worker),
        prepare,
        time.time,
        parts.on_fault,
        read_only=ready.plan.server.management == "read_only",
    )


def _following(overrides: Overrides) -> Life:
    """Serves what is in force before the worker is ready: it may have been changed since the gateway was started."""

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        await overrides.catch_up()
        async with beside(overrides.run)():
            yield

    return life


def _supervised(parts: Lasting) -> Life:
    """A worker whose supervisor died ends as if it were told to.

    Nobody would stop it any more; and beside a gateway that is started anew it would answer by what was configured before.
    """

    async def watch() -> None:
        supervisor = parts.ready.supervisor
        while supervisor is not None:
            if os.getppid() != supervisor:
                parts.log.error("supervisor_lost")
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await asyncio.sleep(ORPHANED_S)

    return beside(watch)


def _ending(parts: Lasting, grace_s: float) -> Life:
    """How the worker stops.

    Granian waits for running calls at SIGTERM without telling them. The signal is therefore taken here first: new calls
    are refused, running ones get their grace and then an honest end; only then Granian is told, by the signal it also
    stops on. Where another worker has taken over, which REPLACED says, Granian is told first, so that new calls reach that one.
    """

    @asynccontextmanager
    async def life() -> AsyncGenerator[None, None]:
        loop = asyncio.get_running_loop()
        stopping: list[asyncio.Task[None]] = []

        async def stop(which: signal.Signals) -> None:
            if which is REPLACED:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(min(ARRIVED_S, grace_s))
                await parts.door.close(max(0.0, grace_s - ARRIVED_S))
            else:
                await parts.door.close(grace_s)
                os.kill(os.getpid(), signal.SIGINT)

        def on_signal(which: signal.Signals) -> None:
            if not stopping:
                stopping.append(loop.create_task(stop(which)))

        with suppress(NotImplementedError, RuntimeError):  # no signals here: not in the main thread, as under tests
            for order in (signal.SIGTERM, REPLACED):
                loop.add_signal_handler(order, on_signal, order)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, REPLACED})  # held since the worker was forked
        yield
        await parts.upstream.aclose()

    return life
