"""Starts workers, and dead ones again for as long as others live. Says when calls are taken."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from granian.server.mp import MPServer
from typing_extensions import override

__all__ = ["Supervisor"]

PAUSE_S: Final = 0.25
LOOK_S: Final = 0.02
LOOK_LIMIT_S: Final = 1.0


class Supervisor(MPServer):
    """Granian ends, with the healthy ones, when a worker dies within seconds of its start; this one only when none is left."""

    on_open: Callable[[], None] | None = None
    """Called once, when the first worker takes connections: each listens by itself."""

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
