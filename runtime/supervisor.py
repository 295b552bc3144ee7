"""Starts workers, and dead ones again for as long as others live."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from granian.server.mp import MPServer
from typing_extensions import override

__all__ = ["Supervisor"]

PAUSE_S: Final = 0.25


class Supervisor(MPServer):
    """Granian ends, with the healthy ones, when a worker dies within seconds of its start; this one only when none is left."""

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

    @property
    def gave_up(self) -> bool:
        """Whether it ended because workers died, and not because it was told to."""
        return not self.interrupt_signal
