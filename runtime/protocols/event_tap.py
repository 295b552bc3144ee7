"""A tap of an SSE stream: holds what is under way, forwards whole events, and keeps an error back until they are out."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Final

from typing_extensions import override

from runtime.canonical import Usage
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import StreamTap
from runtime.protocols.framing import CR, LF, MAX_FRAME_BYTES

__all__ = ["EventTap"]

_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")


class EventTap(StreamTap):
    """One stream. A protocol says what becomes of one event, and which runs of them need no look."""

    usage: Usage | None
    complete: bool
    started: bool
    ahead: int
    """Of what was given out last, how many bytes came before the first event that needed a look."""

    def __init__(self) -> None:
        self.usage = None
        self.complete = False
        self.started = False
        self.ahead = 0
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._forwarded = False
        self._failure: GatewayError | None = None

    @override
    def feed(self, data: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        self.ahead = 0
        if not self._pieces and data[-2:] == b"\n\n" and CR not in data:
            return self._forward(data)
        if LF not in data and CR not in data:
            self._hold(data)
            return b""
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._held_bytes = 0
        end = _last_end(data)
        self._hold(data[end:])
        return self._forward(data[:end]) if end else b""

    @override
    def close(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        self.ahead = 0
        rest = b"".join(self._pieces)
        self._pieces.clear()
        out = self._forward(rest) if rest else b""
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            raise UpstreamProtocolError("The provider ended its stream before the answer was complete.")
        return out

    @abstractmethod
    def _plain(self, block: bytes) -> bytes | None:
        """What is forwarded for whole events none of which needs a look; None where one may."""

    @abstractmethod
    def _event(self, event: bytes) -> bytes:
        """One event as it is forwarded. Raises the error it holds."""

    def _hold(self, rest: bytes) -> None:
        if not rest:
            return
        self._held_bytes += len(rest)
        if self._held_bytes > MAX_FRAME_BYTES:
            raise UpstreamProtocolError(f"The provider sent a stream event of more than {MAX_FRAME_BYTES:,} bytes.")
        self._pieces.append(rest)

    def _forward(self, block: bytes) -> bytes:
        out = self._plain(block)
        if out is None:
            out = self._slowly(block)
        if out:
            self._forwarded = True
        return out

    def _run(self, block: bytes, start: int) -> int:  # noqa: ARG002 — for those who look
        """Behind the events from ``start`` on of which `_plain` may say at once that they need no look; 0: look at each."""
        return 0

    def _slowly(self, block: bytes) -> bytes:
        out: list[bytes] = []
        position, looked, run = 0, False, 0
        lines_end_so = CR in block
        while position < len(block):
            end = _first_end(block, position, carriage_returns=lines_end_so)
            plain = self._plain(block[position:end])
            if plain is not None:
                if not run:
                    run = self._run(block, position)
                    together = self._plain(block[position:run]) if run > end else None
                    if together is not None:
                        plain, end = together, run
                out.append(plain)
                if not looked:
                    self.ahead += len(plain)
                position = end
                continue
            looked = True
            try:
                out.append(self._event(block[position:end]))
            except GatewayError as error:
                if not self._forwarded and not any(out):
                    raise
                self._failure = error
                break
            position = end
        return b"".join(out)


def _first_end(block: bytes, start: int, *, carriage_returns: bool) -> int:
    """Behind the first blank line from ``start`` on; the block's end when there is none."""
    if carriage_returns:
        found = _BLANK_LINE.search(block, start)
        return found.end() if found else len(block)
    end = block.find(b"\n\n", start)
    return end + 2 if end >= 0 else len(block)


def _last_end(data: bytes) -> int:
    """Behind the last blank line; 0 when there is none."""
    if CR not in data:
        end = data.rfind(b"\n\n")
        return end + 2 if end >= 0 else 0
    end = 0
    for found in _BLANK_LINE.finditer(data):
        end = found.end()
    return end
