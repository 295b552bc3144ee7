"""Watch a stream that is passed through: every byte goes on as it came, but for the model's name at its start.

Only whole events are forwarded, so that what a cut leaves behind never stands in front of the gateway's own error event, and
so that an error in place of the first event can still become the client's HTTP status. Only events that tell something are
parsed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.anthropic_messages import ReceivedAnswer, ReceivedEvent, ReceivedUsage
from runtime.canonical import Usage
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.errors import error_in_stream, error_of
from runtime.protocols.anthropic_messages.outcome import COUNTED, decode_usage, merge
from runtime.protocols.anthropic_messages.wire import STOP
from runtime.protocols.base import StreamTap
from runtime.protocols.counts import read_counted
from runtime.protocols.framing import CR, LF, MAX_FRAME_BYTES, SseReader, behind, readable
from runtime.protocols.splice import raw, replace

__all__ = ["Tap"]

_EVENT: Final = msgspec.json.Decoder(ReceivedEvent)
_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")


class Tap(StreamTap):
    def __init__(self, model: str) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.started = False
        self._model = raw(model)
        self._counts: ReceivedUsage | None = None
        self._stopping = False
        self._error: GatewayError | None = None
        self._in_head = True
        self._pending: list[bytes] = []  # the event under way
        self._pending_bytes = 0

    @override
    def feed(self, data: bytes) -> bytes:
        if self._error is not None:
            raise self._error
        if LF not in data and CR not in data:
            self._hold(data)
            return b""
        before = self._pending_bytes
        window = b"".join((*self._pending, data)) if before else data
        end = _end_of_last(window, max(0, before - 3))
        self._pending, self._pending_bytes = [], 0
        if end < len(window):
            self._hold(window[end:])
        return self._forward(window[:end]) if end else b""

    @override
    def close(self) -> bytes:
        if self._error is not None:
            raise self._error
        rest = b"".join(self._pending)
        if self._in_head and rest.lstrip()[:1] == b"{":
            raise error_of(200, {}, rest)
        frames = SseReader().feed(rest + b"\n\n")  # some servers leave the last blank line out
        said = bool(frames) or self.complete  # a mere beginning of a line says nothing
        out = self._forward(rest) if said and all(_is_json(frame.data) for frame in frames) else b""
        if self.complete:
            return out
        if not self._stopping or self._error is not None:
            raise self._error or UpstreamProtocolError("The provider's stream ended before the answer was complete.")
        self.complete = True  # it said why its answer ends; what clients wait for was left out
        return behind(out, STOP)

    def _forward(self, events: bytes) -> bytes:
        """Whole events, as far as they may go on."""
        if not self._in_head and not _tells(events):
            self.started = self.started or b"content_block_start" in events
            return events
        out: list[bytes] = []
        position = 0
        try:
            while position < len(events):
                blank = _BLANK_LINE.search(events, position)
                end = blank.end() if blank else len(events)
                out.append(self._pass(events[position:end]))
                position = end
        except GatewayError as error:
            self._error = error
            if not out:
                raise
        return b"".join(out)

    def _pass(self, event: bytes) -> bytes:
        """One event, perhaps with blank lines and comments before it."""
        self.started = self.started or b"content_block_start" in event
        if not self._in_head and not _tells(event):
            return event
        frames = SseReader().feed(event + b"\n\n")
        if not frames:
            return event
        data = readable(frames[0].data)
        try:
            given = _EVENT.decode(data)
        except msgspec.DecodeError:
            counted = read_counted(_EVENT, data, *COUNTED)
            if counted is None:
                if self._in_head and not _is_json(data):
                    raise UpstreamProtocolError("The provider's stream begins with what is not JSON.") from None
                return event
            given = counted
        delta = present(given.delta)
        match given.type:
            case "message_start" if self._in_head:
                return self._begin(event, data, present(given.message))
            case "message_delta":
                self._stopping = self._stopping or bool(delta and present(delta.stop_reason))
                self._count(present(given.usage))
            case "message_stop" if self._stopping:
                self.complete = True
            case "message_stop":
                raise UpstreamProtocolError("The provider's stream ended without a stop reason.")
            case "error":
                raise error_in_stream(present(given.error))
            case "content_block_start" if self._in_head:
                raise UpstreamProtocolError("The provider's stream does not begin with message_start.")
            case _:
                pass
        return event

    def _begin(self, event: bytes, data: bytes, message: ReceivedAnswer | None) -> bytes:
        self._in_head = False
        self._count(present(message.usage) if message else None)
        renamed = replace(data, ("message", "model"), self._model)
        if data in event and LF not in data:
            return event.replace(data, renamed)
        lines = b"".join(b"data: " + line + b"\n" for line in renamed.split(b"\n"))
        return b"event: message_start\n" + lines + b"\n"

    def _count(self, usage: ReceivedUsage | None) -> None:
        if usage is not None:
            self._counts = merge(self._counts, usage)
            self.usage = decode_usage(self._counts)

    def _hold(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > MAX_FRAME_BYTES:
            raise UpstreamProtocolError(f"The provider sent a stream event of more than {MAX_FRAME_BYTES:,} bytes.")


def _tells(events: bytes) -> bool:
    """Whether one of them may tell how the answer ended."""
    return events.find(b"message_delta") >= 0 or events.find(b"message_stop") >= 0 or events.find(b"error") >= 0


def _end_of_last(window: bytes, start: int) -> int:
    """Where the last whole event ends, 0 when none does. Line feeds alone, as nearly every vendor writes, are quick."""
    if CR not in window:
        at = window.rfind(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    end = 0
    for blank in _BLANK_LINE.finditer(window, start):
        end = blank.end()
    return end


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
