"""Where lines of the log go: many of a moment cost little more than one."""

from __future__ import annotations

import asyncio
from typing import Final, TextIO

__all__ = ["TOGETHER_S", "Lines"]

TOGETHER_S: Final = 0.05
"""How long a worker's line may wait for others, to be written with them."""

PIPE_BUF: Final = 4096
"""What reaches a pipe in one piece, whoever else writes to it (pipe(7)): the other workers do."""


class Lines:
    """Writes to ``stream`` what ``every_s`` seconds had to say, or with 0 each line as it comes; without a loop, too.

    A stream that cannot be written to costs lines, never the calls that they tell of.
    """

    def __init__(self, stream: TextIO, every_s: float = 0.0) -> None:
        self._stream = stream
        self._every_s = every_s
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._due = False

    @property
    def on_terminal(self) -> bool:
        return self._stream.isatty()

    def write(self, line: bytes, *, urgent: bool = False) -> None:
        """``line`` comes without its end. What is ``urgent`` does not wait, nor does what came before it."""
        size = len(line) + 1
        if self._waiting_bytes + size > PIPE_BUF:  # together they could be torn
            self.flush()
        self._waiting.append(line)
        self._waiting_bytes += size
        if urgent or not self._every_s:
            self.flush()
        elif not self._due:
            try:
                asyncio.get_running_loop().call_later(self._every_s, self._wake)
                self._due = True
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write all that waits."""
        if not self._waiting:
            return
        lines, self._waiting, self._waiting_bytes = self._waiting, [], 0
        try:
            self._stream.write(b"\n".join((*lines, b"")).decode())
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            return  # `suppress` would take as long as all the rest

    async def aclose(self) -> None:
        """From now on lines are written as they come: whoever would write them later may not live."""
        self._every_s = 0.0
        self.flush()

    def _wake(self) -> None:
        self._due = False
        self.flush()
