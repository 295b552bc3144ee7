"""Starts workers, dead ones again for as long as others live, and others in their place. Says when calls are taken."""

from __future__ import annotations

import math
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol, cast

from granian.server.mp import MPServer
from typing_extensions import override

from runtime.handover import REPLACED

if TYPE_CHECKING:
    import threading

__all__ = ["Supervisor", "Wake"]

PAUSE_S: Final = 0.25
LOOK_S: Final = 0.02
LOOK_LIMIT_S: Final = 1.0
SIGNALS_S: Final = 0.2
"""How often it is looked whether a signal came."""

OPEN_LIMIT_S: Final = 120.0
"""How long a worker may take to take another's place; a machine that does ten other things starts one slowly."""

KEPT: Final = "A worker could not be replaced: the one that was to take its place did not start. The others serve on."


class Kept(Protocol):
    """As much of Granian's `WorkerProcess` as is needed here. ``interrupt_by_parent``: nobody is to be told of its end."""

    inner: BaseProcess
    interrupt_by_parent: bool

    def start(self) -> None: ...


class Wake:
    """As much of `threading.Event` as is needed here, which signals may set at any moment.

    Of two signals that come together the second may find the first one within that event's lock, and wait for it for ever. And
    both may be taken by another thread, which wakes nobody (signal(7): any thread gets what is sent to the process); Python
    runs what they are to do in this one, when it looks.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._news = SimpleQueue[None]()  # its `put` is reentrant

    def set(self) -> None:
        self._is_set = True
        self._news.put(None)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float = math.inf) -> bool:
        """Whether it was set within ``timeout`` seconds."""
        end_s = time.monotonic() + timeout
        while not self._is_set and (left_s := end_s - time.monotonic()) > 0:
            with suppress(Empty):
                self._news.get(timeout=min(left_s, SIGNALS_S))
        return self._is_set


class Supervisor(MPServer):
    """Granian ends, with the healthy ones, when a worker dies within seconds of its start; this one only when none is left.

    At SIGHUP Granian stops a worker some seconds after another was started in its place, ready or not; this one when the
    other one takes connections, and if it does not, not at all.
    """

    on_open: Callable[[], None] | None = None
    """Called once, when the first worker takes connections: each listens by itself."""

    say: Callable[[str], None] = print
    """Told what an operator should know."""

    @override
    def startup(self, spawn_target: Callable[..., None], target_loader: Callable[..., object]) -> None:
        self.main_loop_interrupt = cast("threading.Event", Wake())
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    @override
    def _serve_loop(self, spawn_target: Callable[..., None], target_loader: Callable[..., object]) -> None:
        self._await_open()
        super()._serve_loop(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    @override
    def _respawn_workers(
        self,
        workers: list[int],
        spawn_target: Callable[..., None],
        target_loader: Callable[..., object],
        delay: float = 0,
    ) -> None:
        others = any(each.is_alive() for idx, each in enumerate(self.wrks) if idx not in workers)  # type: ignore[no-untyped-call]
        if others:
            time.sleep(PAUSE_S)  # a worker that dies at once must not take all of the machine
        super()._respawn_workers(workers, spawn_target, target_loader, delay)  # pyright: ignore[reportUnknownMemberType]
        if others:
            self.respawned_wrks.clear()  # pyright: ignore[reportUnknownMemberType]
        self._await_open()

    @override
    def _reload(self, spawn_target: Callable[..., None], target_loader: Callable[..., object]) -> None:
        """Replace one worker after the other. ``target_loader`` takes the file to which a new one says that it is open."""
        self.reload_signal = False
        self.main_loop_interrupt.clear()
        for idx in range(self.workers):
            if self.interrupt_signal or not self._replace(idx, spawn_target, target_loader):
                break
        if self.interrupt_signal or self.reload_signal or self.interrupt_children:  # pyright: ignore[reportUnknownMemberType]
            self.main_loop_interrupt.set()
        self._await_open()

    def _replace(self, idx: int, spawn_target: Callable[..., None], target_loader: Callable[..., object]) -> bool:
        """Whether that was done. Where it was not, all are as they were, or are to end."""
        workers = cast("list[Kept]", self.wrks)
        dead = cast("list[int]", self.interrupt_children)  # pyright: ignore[reportUnknownMemberType]
        reads, writes = os.pipe()
        spawn = cast("Callable[..., Kept]", self._spawn_worker)  # pyright: ignore[reportUnknownMemberType]
        new = spawn(idx, spawn_target, partial(target_loader, writes))
        new.interrupt_by_parent = True  # its death is nobody's loss before it serves
        new.start()
        os.close(writes)
        opened = self._opened(reads)
        os.close(reads)
        if not opened and not self.interrupt_signal:
            new.inner.kill()
            new.inner.join()
            self.say(KEPT)
            return False
        old, workers[idx] = workers[idx], new
        old.interrupt_by_parent = True
        if idx in dead:  # died meanwhile, and has its successor
            dead.remove(idx)
        new.interrupt_by_parent = False
        if not new.inner.is_alive():
            dead.append(idx)
        return self._ended(old)

    def _opened(self, told: int) -> bool:
        """Whether it is told that a new worker takes connections; not if that one dies, or nobody needs it any more."""
        end_s = time.monotonic() + OPEN_LIMIT_S
        while not self.interrupt_signal and time.monotonic() < end_s:
            if select.select([told], [], [], LOOK_S)[0]:
                return os.read(told, 1) != b""
        return False

    def _ended(self, old: Kept) -> bool:
        """Wait until ``old``, in whose place another one serves, has ended; or until all are to: then it is one of them."""
        process = old.inner
        if process.pid is not None and process.is_alive() and not self.interrupt_signal:
            os.kill(process.pid, REPLACED)
        end_s = time.monotonic() + (self.workers_kill_timeout or OPEN_LIMIT_S)
        while process.is_alive():
            if self.interrupt_signal:
                cast("list[Kept]", self.wrks).append(old)
                return False
            if time.monotonic() > end_s:
                process.kill()
            process.join(LOOK_S)
        return True

    def _await_open(self) -> None:
        """Until something is to be done, or the port is open."""
        while self.on_open is not None and not self.main_loop_interrupt.wait(LOOK_S):
            try:
                socket.create_connection((self.bind_addr, self.bind_port), LOOK_LIMIT_S).close()
            except OSError:
                continue
            tell, self.on_open = self.on_open, None
            tell()

    @property
    def gave_up(self) -> bool:
        """Whether it ended because workers died, and not because it was told to."""
        return not self.interrupt_signal
