"""Canonical events to a client's stream.

The client's grammar is stricter than canonical's: one block is open at a time, blocks are numbered from 0 without gaps,
and an empty text is no block at all. So a part that starts while another is open waits, with all that comes for it, until
that one has ended. Usage and stop reason are sent once, when both are known. Only the first choice has a place here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, cast

import msgspec
from typing_extensions import override

from generated.types.anthropic_messages import (
    ContentBlockStartEvent,
    Message,
    MessageDelta,
    MessageDeltaEvent,
    MessageStartEvent,
    OutputBlock,
)
from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    PartEnded,
    PartStarted,
    Started,
    Usage,
    UsageReported,
)
from runtime.errors import GatewayError
from runtime.protocols.anthropic_messages.errors import error_body
from runtime.protocols.anthropic_messages.outcome import (
    encode_delta_usage,
    encode_details,
    encode_stop_reason,
    encode_usage,
)
from runtime.protocols.anthropic_messages.outgoing import Lane, lane_of
from runtime.protocols.anthropic_messages.wire import STOP
from runtime.protocols.base import Answer, StreamEncoder

__all__ = ["PING", "Encoder"]

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'

_BLOCK_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
_BLOCK_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'


class Encoder(StreamEncoder):
    content_type = "text/event-stream"
    keep_alive: bytes | None = PING

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._lanes: dict[int, Lane] = {}
        self._waiting: deque[Lane] = deque()
        self._next_index = 0
        self._head = b""  # of the open block's deltas
        self._usage = Usage()
        self._finish = Finish(reason="stop")
        self._calls = False

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case Delta(choice=0):
                    self._delta(event, out)
                case PartStarted(choice=0):
                    self._part(event, out)
                case PartEnded(choice=0, index=index):
                    self._lanes[index].ended = True
                    self._advance(out)
                case Started():
                    self._usage = event.usage
                    out.append(_framed("message_start", MessageStartEvent(message=self._message(event))))
                case UsageReported(usage=usage):
                    self._usage = usage
                case Finished(choice=0, finish=finish):
                    self._finish = finish
                case Ended():
                    self._end(out)
                case _:
                    continue
        return b"".join(out)

    @override
    def fail(self, error: GatewayError) -> bytes:
        return b"event: error\ndata: " + error_body(error, self._answer.id) + b"\n\n"

    def _message(self, started: Started) -> Message:
        return Message(
            id=f"msg_{self._answer.id}",
            model=self._answer.model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=encode_usage(started.usage, started.service_tier),
        )

    def _part(self, event: PartStarted, out: list[bytes]) -> None:
        lane = lane_of(event.part)
        self._calls = self._calls or lane.is_call
        self._lanes[event.index] = lane
        self._waiting.append(lane)
        if self._waiting[0] is lane:
            self._open(lane, out)

    def _delta(self, delta: Delta, out: list[bytes]) -> None:
        lane = self._lanes[delta.index]
        if self._waiting and self._waiting[0] is lane:
            self._write(lane, lane.pieces(delta), out)
        else:
            lane.held.append(delta)

    def _advance(self, out: list[bytes]) -> None:
        """Close the open block when its part is over, and go on with those that waited."""
        while self._waiting and self._waiting[0].ended:
            lane = self._waiting.popleft()
            self._write(lane, lane.last(), out)
            if lane.open:
                out.append(_BLOCK_STOP % self._next_index)
                self._next_index += 1
            if self._waiting:
                self._open(self._waiting[0], out)

    def _open(self, lane: Lane, out: list[bytes]) -> None:
        self._write(lane, lane.first(), out)
        for delta in lane.held:
            self._write(lane, lane.pieces(delta), out)
        lane.held.clear()

    def _write(self, lane: Lane, pieces: list[bytes], out: list[bytes]) -> None:
        """``pieces`` are the JSON of deltas. The block starts with the first, so that an empty one never does."""
        if not lane.open and (pieces or lane.eager):
            block = lane.block()
            if block is None:
                return
            lane.open = True
            start = ContentBlockStartEvent(index=self._next_index, content_block=cast("OutputBlock", block))
            out.append(_framed("content_block_start", start))
            self._head = _BLOCK_DELTA % self._next_index
        for piece in pieces:
            out += (self._head, piece, b"}\n\n")

    def _end(self, out: list[bytes]) -> None:
        for lane in self._waiting:
            lane.ended = True
        self._advance(out)
        delta = MessageDelta(
            stop_reason=encode_stop_reason(self._finish, calls=self._calls), stop_sequence=self._finish.stop_sequence
        )
        details = encode_details(self._finish)
        if details is not None:
            delta.stop_details = details
        out += [_framed("message_delta", MessageDeltaEvent(delta=delta, usage=encode_delta_usage(self._usage))), STOP]


def _framed(name: str, event: msgspec.Struct) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"
