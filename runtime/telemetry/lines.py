"""Where lines of the log go: many of a moment cost little more than one."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final, TextIO

__all__ = ["TOGETHER_S", "Lines"]

TOGETHER_S: Final = 0.05
"""How long a worker's line may wait for others, to be written with them."""

PIPE_BUF: Final = 4096
"""What reaches a pipe in one piece, whoever else writes to it (pipe(7)): the other workers do."""


MOST_BYTES: Final = 1 << 20
"""What is held for a stream that takes nothing now; lines beyond that are lost."""

AGAIN_BYTES: Final = MOST_BYTES // 2
"""What may still be held when lines are taken again after some were lost: a slow reader is not told of each that was."""


def _unheard(_: int) -> None:
    """Nobody wants to know."""


class Lines:
    """Writes to ``stream`` what ``every_s`` seconds had to say, or with 0 each line as it comes; without a loop, too.

    A stream that cannot be written to costs lines, never the calls that they tell of. One that takes nothing for a while, as a
    terminal that was stopped or a pipe that nobody reads, is not waited for: what it is to be told is held for it.

    Attributes:
        lost: told how many lines are lost, as they are.
        tell: told how many were, once there is room again; what it writes stands where they would.
    """

    def __init__(self, stream: TextIO, every_s: float = 0.0) -> None:
        self._stream = stream
        self._every_s = every_s
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._due = False
        self._held = bytearray()
        self._untold = 0
        self._room = _room_of(stream)
        self.lost: Callable[[int], None] = _unheard
        self.tell: Callable[[int], None] = _unheard

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
        """Write all that waits, as far as there is room for it."""
        lines, size = self._waiting, self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        if self._room is None:
            if lines:
                self._put(b"\n".join((*lines, b"")))
            return
        if self._untold:
            self._resume(self._room)
        if lines and (self._untold or len(self._held) + size > MOST_BYTES):
            self._lose(len(lines))
        elif lines:
            self._held += b"\n".join((*lines, b""))
        if self._held:
            self._put_held(self._room)

    async def aclose(self) -> None:
        """From now on lines are written as they come: whoever would write them later may not live."""
        self._every_s = 0.0
        self.flush()

    def _lose(self, count: int) -> None:
        self._untold += count
        self.lost(count)
        self._flush_later()

    def _resume(self, room: select.poll) -> None:
        """Tell what was lost, if enough was read since."""
        self._put_held(room)
        if len(self._held) <= AGAIN_BYTES:
            count, self._untold = self._untold, 0
            self.tell(count)
            self.flush()

    def _put_held(self, room: select.poll) -> None:
        """A piece at a time, for which there is room: whoever writes more than that waits for a reader."""
        while self._held:
            if not room.poll(0):
                self._flush_later()
                return
            end = self._held.rfind(b"\n", 0, PIPE_BUF) + 1 or min(PIPE_BUF, len(self._held))
            while end < len(self._held) and self._held[end] & 0xC0 == 0x80:  # inside a character (RFC 3629, section 3)
                end -= 1
            piece = bytes(self._held[:end])
            del self._held[:end]
            self._put(piece)

    def _put(self, piece: bytes) -> None:
        try:
            self._stream.write(piece.decode())
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            return  # `suppress` would take as long as all the rest

    def _flush_later(self) -> None:
        if self._due:
            return
        try:
            asyncio.get_running_loop().call_later(self._every_s or TOGETHER_S, self._wake)
            self._due = True
        except RuntimeError:  # no loop: then with the next line
            return

    def _wake(self) -> None:
        self._due = False
        self.flush()


def _room_of(stream: TextIO) -> select.poll | None:
    """Tells whether ``stream`` takes PIPE_BUF bytes now (poll(2)); None where it is no descriptor of the system's."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room
