"""Watches an Ollama stream that passes through: only the model's name changes, line by line.

An error line is not forwarded: it is raised once the lines before it are out, so that the client is told once, by the
gateway.
"""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from runtime.canonical import Usage
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import StreamTap
from runtime.protocols.framing import BOM, LF, MAX_FRAME_BYTES
from runtime.protocols.ollama_chat.answer import check_answer, read_usage, renamed
from runtime.protocols.openai_chat.halves import marked, unmarked
from runtime.protocols.splice import raw

__all__ = ["OllamaTap"]

_ERROR: Final = b'"error"'
_PLAIN_END: Final = b'"done":false}\n'
"""How a line without news ends. It is no text of the model: quotes inside texts are escaped."""


class OllamaTap(StreamTap):
    """One stream. Whole lines are forwarded as they come; the one that is under way is held."""

    usage: Usage | None
    complete: bool
    started: bool

    def __init__(self, model: str) -> None:
        self.usage = None
        self.complete = False
        self.started = False
        self._model = model
        self._head = self._new_head = b""  # `{"model":"…",` as the upstream writes it, once a line has shown it
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._at_start = True
        self._forwarded = False
        self._failure: GatewayError | None = None

    @override
    def feed(self, data: bytes) -> bytes:
        if self._failure is not None:
            raise self._failure
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return b""
        block = data[:end]
        if self._pieces:
            block = b"".join((*self._pieces, block))
            self._pieces.clear()
        self._held_bytes = 0
        out = self._forward(block)
        if end == len(data):
            return out
        try:
            self._hold(data[end:])
        except GatewayError as error:
            if not out:
                raise
            self._failure = self._failure or error
        return out

    @override
    def close(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        rest = b"".join(self._pieces)
        self._pieces.clear()
        out = self._forward(rest)
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            raise UpstreamProtocolError("The provider ended its stream before the answer was complete.")
        return out

    def _hold(self, rest: bytes) -> None:
        self._held_bytes += len(rest)
        if self._held_bytes > MAX_FRAME_BYTES + 1:  # the CR that may end it
            raise UpstreamProtocolError(f"The provider sent a stream event of more than {MAX_FRAME_BYTES:,} bytes.")
        if rest:
            self._pieces.append(rest)

    def _forward(self, block: bytes) -> bytes:
        out: list[bytes] = []
        for line in _lines(block):
            try:
                out.append(self._line(line))
            except GatewayError as error:
                if not self._forwarded and not any(out):
                    raise
                self._failure = error
                break
        data = b"".join(out)
        self._forwarded = self._forwarded or bool(data)
        return data

    def _line(self, line: bytes) -> bytes:
        """One line as it is forwarded. Raises the error it holds."""
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        if self.complete or not line.strip():
            return line
        if len(line) > MAX_FRAME_BYTES + 2:
            raise UpstreamProtocolError(f"The provider sent a stream event of more than {MAX_FRAME_BYTES:,} bytes.")
        if self._head and line.startswith(self._head) and line.endswith(_PLAIN_END) and line.find(_ERROR) < 0:
            return self._new_head + line[len(self._head) :]
        return self._looked_at(line)

    def _looked_at(self, line: bytes) -> bytes:
        sound = marked(line)
        wire = check_answer(sound)
        if wire.done:
            self.complete = True
            self.usage = read_usage(wire)
        message = wire.message or None
        said = message and (message.content or message.thinking or message.tool_calls or message.images)
        self.started = self.started or bool(said)
        if self.started and wire.model:
            head = b'{"model":%b,' % bytes(raw(wire.model))
            if line.startswith(head):
                self._head, self._new_head = head, b'{"model":%b,' % bytes(raw(self._model))
        return renamed(line, self._model) if sound is line else unmarked(renamed(sound, self._model))


def _lines(block: bytes) -> list[bytes]:
    """Only LF ends a line."""
    if block and LF not in block.removesuffix(b"\n"):
        return [block]  # what most reads are
    *lines, rest = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])
