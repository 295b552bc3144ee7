"""Where lines of the log go: many of a moment cost little more than one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
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

    @property
    def on_terminal(self) -> bool:
        return self._stream.isatty()

    def write(self, line: bytes, *, urgent: bool = False) -> None:
        """``line`` comes without its end. What is ``urgent`` does not wait, nor does what came before it."""
        self._waiting.append(line)
        if urgent or not self._every_s:
            self.flush()
        elif len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(self._every_s, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write all that waits."""
        lines, self._waiting = self._waiting, []
        with suppress(OSError, ValueError):  # ValueError: it is closed
            for piece in _pieces(lines):
                self._stream.write(piece.decode())
                self._stream.flush()

    async def aclose(self) -> None:
        """From now on lines are written as they come: whoever would write them later may not live."""
        self._every_s = 0.0
        self.flush()


def _pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Whole lines, together as long as none of them can be torn."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) >= PIPE_BUF:
            yield b"\n".join((*piece, b""))
            piece, size = [], 0
        piece.append(line)
        size += len(line) + 1
    if piece:
        yield b"\n".join((*piece, b""))
