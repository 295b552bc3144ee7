"""What the workers of a gateway have counted, told by whichever of them is asked.

Who asks cannot choose the worker: a server of metrics that read now one worker's figures and now another's would see counters
go back, and take each time for a restart. So each line says by a label whose it is, and all that can be heard are told at once.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final

from runtime.shared.colleagues import Colleagues
from runtime.telemetry import Metrics
from runtime.telemetry.families import beside

__all__ = ["COUNTED", "Scraping", "told_counted"]

COUNTED: Final = "counted"
"""The question what a worker has counted, to those of one gateway; the body names that."""

LABEL: Final = "worker"
FAST: Final = 1
"""How hard figures are compressed: a tenth is left, and trying harder would take longer than it saves."""


def told_counted(metrics: Metrics, worker: str, start: str) -> Callable[[bytes], bytes | None]:
    """What ``worker`` answers to COUNTED: nothing where another gateway than ``start`` is asked, which only shares with ours."""

    def answer(question: bytes) -> bytes | None:
        return zlib.compress(metrics.render({LABEL: worker}), FAST) if question == start.encode() else None

    return answer


class Scraping:
    """``start`` names the gateway of ``workers`` that ask each other; a single one says what it has counted, and no label."""

    def __init__(self, metrics: Metrics, colleagues: Colleagues, start: str, workers: int) -> None:
        self._metrics = metrics
        self._colleagues = colleagues
        self._start = start
        self._workers = workers
        self._asking: asyncio.Task[str] | None = None

    async def text(self) -> str:
        """The exposition text. Those that ask at the same time ask the others once: anybody may, where metrics are public."""
        if self._workers == 1:
            return self._metrics.render().decode()
        if self._asking is None:
            self._asking = asyncio.create_task(self._together())
            self._asking.add_done_callback(self._told)
        return await asyncio.shield(self._asking)

    def _told(self, _: asyncio.Task[str]) -> None:
        self._asking = None

    async def _together(self) -> str:
        answers = await self._colleagues.ask(COUNTED, self._start.encode())
        return beside(map(zlib.decompress, answers.answers)).decode()
