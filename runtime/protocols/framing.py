"""Bytes to the frames of a stream: server-sent events and JSON lines, as they arrive, in one pass per network read.

Any split of the bytes gives the same frames. Not for what is in them: a frame's data stays bytes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runtime.errors import UpstreamProtocolError

__all__ = ["BOM", "CR", "LF", "MAX_FRAME_BYTES", "Frame", "LineReader", "SseReader", "behind", "readable"]

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""No sound frame is longer; one that is would be memory in an upstream's hands."""

BOM: Final = b"\xef\xbb\xbf"
"""A byte order mark."""

CR: Final = 13
LF: Final = 10
"""A byte is looked for as a number: looking for bytes in bytes with `in` costs CPython 3.11 ten times as much."""


class Frame(msgspec.Struct, frozen=True):
    """One event. ``data`` is never empty; ``event`` is "" where the stream names none."""

    data: bytes
    event: str = ""


def readable(data: bytes) -> bytes:
    """``data`` itself. Raises UpstreamProtocolError when it is not UTF-8, as all of the protocols are."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise UpstreamProtocolError(
                f"The provider sent text that is not UTF-8: byte {error.start} is not."
            ) from None
    return data


def behind(out: bytes, event: bytes) -> bytes:
    """``event`` behind ``out``, which is whole but perhaps for its last blank line."""
    return b"%b%b%b" % (out, b"" if out[-2:] in {b"", b"\n\n"} else b"\n\n", event)


class SseReader:
    """Server-sent events: lines end with CR, LF or CRLF and with nothing else, a blank line ends an event.

    Comments and unknown fields are skipped, the values of several ``data`` lines are joined by LF, a byte order mark at
    the very start is ignored, an event without data is none.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._pieces: list[bytes] = []  # the frame under way; joined only when a line ends, so giants cost once
        self._pending_bytes = 0
        self._skip_lf = False
        self._at_start = True
        self._failure: UpstreamProtocolError | None = None
        self.beginning = b"data: "
        """Of the last frame that was plain, what stood in front of its data."""
        self._name = ""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises UpstreamProtocolError for one beyond the limit, after those before it."""
        if self._failure is not None:
            raise self._failure
        if self._skip_lf or CR in data:
            data = self._line_feeds(data)
        if not self._pieces and (block := data.removesuffix(b"\n\n")) != data:
            frame = self._plain(block)
            if frame is not None:  # one frame, and nothing else: what most reads are
                return [frame]
        if LF not in data:
            self._keep(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._pending_bytes = 0
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        frames: list[Frame] = []
        try:
            for block in blocks:
                frame = self._frame(block)
                if frame is not None:
                    frames.append(frame)
            if rest:
                self._keep(rest)
        except UpstreamProtocolError as error:
            if not frames:
                raise
            self._failure = error
        return frames

    def close(self) -> list[Frame]:
        """The frame that the end of the bytes cut off from its blank line, if it has data: some servers leave it out."""
        if self._failure is not None:
            raise self._failure
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._pending_bytes = 0
        frame = self._frame(rest)
        return [] if frame is None else [frame]

    @property
    def between(self) -> bool:
        """Whether nothing is under way: what comes next begins a frame."""
        return not self._pieces and not self._skip_lf and self._failure is None

    def _line_feeds(self, data: bytes) -> bytes:
        """``data`` with a line feed at the end of each line."""
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if CR in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _keep(self, rest: bytes) -> None:
        if not rest:
            return
        self._pending_bytes += len(rest)
        if self._pending_bytes > self._max_frame_bytes + 2:  # a blank line before it, the end of its last line
            raise _too_long(self._max_frame_bytes)
        self._pieces.append(rest)

    def _plain(self, block: bytes) -> Frame | None:
        """The frame of a block that has one line of data behind what the last such block began with; None for any other."""
        data = block.removeprefix(self.beginning)
        if data == block or not data or LF in data or len(block) > self._max_frame_bytes:
            return None
        self._at_start = False
        return Frame(data, self._name)

    def _frame(self, block: bytes) -> Frame | None:
        frame = self._plain(block)
        if frame is not None:
            return frame
        if self._at_start and block:
            self._at_start = False
            block = block.removeprefix(BOM)
        if len(block) > self._max_frame_bytes and len(block.strip(b"\n")) > self._max_frame_bytes:
            raise _too_long(self._max_frame_bytes)
        name, _, data = block.partition(b"data: ")
        if not data or LF in data:
            return _parse(block)
        if name:
            if not name.startswith(b"event: ") or name.find(b"\n") != len(name) - 1:
                return _parse(block)
            self._name = name[7:-1].decode("utf-8", "replace")
        else:
            self._name = ""
        self.beginning = name + b"data: "
        return Frame(data, self._name)


class LineReader:
    """JSON lines: each line is a frame; only LF ends it, a CR before that is not part of it; blank lines are skipped.

    A byte order mark at the very start is ignored, as RFC 8259 lets readers do.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._at_start = True
        self._pieces: list[bytes] = []
        self._pending_bytes = 0
        self._failure: UpstreamProtocolError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """The lines that ``data`` completes. Raises UpstreamProtocolError for one beyond the limit, after those before it."""
        if self._failure is not None:
            raise self._failure
        if not self._pieces and (line := data.removesuffix(b"\n")) != data and LF not in line:
            line = self._line(line)  # one line, and nothing else: what most reads are
            return [Frame(line)] if line else []
        if LF not in data:
            self._keep(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._pending_bytes = 0
        *complete, rest = data.split(b"\n")
        frames: list[Frame] = []
        try:
            frames.extend(Frame(line) for line in map(self._line, complete) if line)
            self._keep(rest)
        except UpstreamProtocolError as error:
            if not frames:
                raise
            self._failure = error
        return frames

    def close(self) -> list[Frame]:
        """The last line, where it lacks its end."""
        if self._failure is not None:
            raise self._failure
        line = self._line(b"".join(self._pieces))
        self._pieces.clear()
        self._pending_bytes = 0
        return [Frame(line)] if line else []

    def _line(self, line: bytes) -> bytes:
        line = line.removesuffix(b"\r")
        if self._at_start and line:
            self._at_start = False
            line = line.removeprefix(BOM)
        if len(line) > self._max_frame_bytes:
            raise _too_long(self._max_frame_bytes)
        return line if not line.isspace() else b""

    def _keep(self, rest: bytes) -> None:
        if not rest:
            return
        self._pending_bytes += len(rest)
        if self._pending_bytes > self._max_frame_bytes + 1:  # the CR that may end it
            raise _too_long(self._max_frame_bytes)
        self._pieces.append(rest)


def _parse(block: bytes) -> Frame | None:
    event = ""
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ").decode("utf-8", "replace")
    data = b"\n".join(lines)
    return Frame(data, event) if data else None


def _too_long(limit_bytes: int) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The provider sent a stream event of more than {limit_bytes:,} bytes.")
