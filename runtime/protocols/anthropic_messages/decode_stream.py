"""A provider's stream to canonical events.

Follows the vendor's "Streaming messages" page, and where others depart from it, forgives what loses nothing. Unknown
events are ignored, as the vendor asks. Invariant: `Ended` is last, and comes only when the provider said that the answer is
over: by `message_stop`, or by a stop reason before the stream's end. An error that follows events of the same read is
raised with the next call, so that the events do not depend on how the bytes were cut.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from typing_extensions import override

from generated.protocols.anthropic_messages import FACTS
from generated.types.anthropic_messages import (
    ReceivedAnswer,
    ReceivedBlock,
    ReceivedDelta,
    ReceivedEvent,
    ReceivedStopDetails,
    ReceivedUsage,
)
from runtime.canonical import Ended, Event, Finished, Started, UsageReported
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.content import read_block
from runtime.protocols.anthropic_messages.errors import error_in_stream, error_of
from runtime.protocols.anthropic_messages.incoming import (
    Block,
    CallBlock,
    NativeBlock,
    Position,
    TextBlock,
    ThinkingBlock,
)
from runtime.protocols.anthropic_messages.outcome import COUNTED, decode_finish, decode_tier, decode_usage, merge
from runtime.protocols.anthropic_messages.wire import Fields
from runtime.protocols.base import Outgoing, StreamDecoder
from runtime.protocols.counts import read_counted
from runtime.protocols.framing import MAX_FRAME_BYTES, Frame, SseReader, readable
from runtime.protocols.likeness import Likeness
from runtime.protocols.openai_chat.halves import Mender

__all__ = ["Decoder"]

_EVENT: Final = msgspec.json.Decoder(ReceivedEvent)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_MAX_HEAD_BYTES: Final = 64 * 1024


class _Head(msgspec.Struct):
    type: str


_HEAD: Final = msgspec.json.Decoder(_Head)


class Decoder(StreamDecoder):
    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._reader = SseReader()
        self._head = b""  # what came before any frame: perhaps no stream at all but an error's JSON
        self._framed = False
        self._mender = Mender()
        self._started = False
        self._ended = False
        self._error: GatewayError | None = None
        self._blocks: dict[int, Block] = {}
        self._position = Position()
        self._calls = False
        self._usage: ReceivedUsage | None = None
        self._reason: str | None = None
        self._sequence: str | None = None
        self._details: ReceivedStopDetails | None = None
        self._like = Likeness()
        self._said: Block | None = None
        """Whose words `_like` knows."""

    @override
    def feed(self, data: bytes) -> list[Event]:
        if self._error is not None:
            raise self._error
        if not self._framed and len(self._head) < _MAX_HEAD_BYTES:
            self._head += data[:_MAX_HEAD_BYTES]
        events: list[Event] = []
        try:
            if self._like.known and self._reader.between and len(data) <= MAX_FRAME_BYTES:
                *whole, rest = data.split(b"\n\n")
                for event in whole:
                    words = self._like.words(event)
                    if words is None or self._said is None:
                        self._feed(event + b"\n\n", events)
                    else:
                        events += self._said.said(words)
                data = rest
            if data:
                self._feed(data, events)
        except GatewayError as error:
            self._hold(error, events)
        return events

    def _feed(self, data: bytes, events: list[Event]) -> None:
        frames = self._reader.feed(data)
        self._framed = self._framed or bool(frames)
        for frame in frames:
            self._take(frame, events)

    @override
    def close(self) -> list[Event]:
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        try:
            for frame in self._reader.close():
                self._take(frame, events)
        except UpstreamProtocolError as error:
            if self._reason is None:  # else it is the end of what was complete already
                self._hold(error, events)
        except GatewayError as error:
            self._hold(error, events)
        if self._error is not None or self._ended:
            return events
        if self._reason is not None:
            self._end(events)
            return events
        raise self._cut()

    def _hold(self, error: GatewayError, events: list[Event]) -> None:
        """Raise ``error`` now where no event is lost by that, else with the next call."""
        self._error = error
        if not events:
            raise error

    def _cut(self) -> GatewayError:
        if not self._started and self._head.lstrip()[:1] == b"{":
            return error_of(200, {}, self._head)
        return UpstreamProtocolError("The provider's stream ended before the answer was complete.")

    def _take(self, frame: Frame, events: list[Event]) -> None:
        if self._ended:
            return
        event, data = _read(frame, self._mender)
        if event is None:
            return
        if event.type == "content_block_delta":
            self._delta(event, frame, data, events)
            return
        self._like.forget()
        match event.type:
            case "content_block_start":
                self._start(event, events)
            case "content_block_stop":
                block = self._blocks.pop(_index(event), None)
                events += block.stop() if block else []
            case "message_start":
                self._begin(present(event.message) or ReceivedAnswer(), events)
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                self._end(events)
            case "error":
                raise error_in_stream(present(event.error))
            case _:
                return

    def _begin(self, message: ReceivedAnswer, events: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        self._usage = merge(self._usage, present(message.usage))
        events.append(
            Started(
                id=present(message.id) or "",
                model=present(message.model) or "",
                usage=decode_usage(self._usage),
                service_tier=decode_tier(self._usage),
            )
        )

    def _start(self, event: ReceivedEvent, events: list[Event]) -> None:
        self._expect_start()
        raw = present(event.content_block)
        if raw is None:
            raise UpstreamProtocolError("The provider's stream starts a block without saying which.")
        try:
            given = read_block(raw)
        except msgspec.ValidationError as error:
            raise UpstreamProtocolError(f"The provider's stream holds a block that is not sound: {error}.") from None
        block: Block
        match given.type:
            case "text":
                block = TextBlock(self._position)
            case "thinking" | "redacted_thinking":
                block = ThinkingBlock(self._position)
            case "tool_use":
                block = CallBlock(self._position, self._outgoing)
                self._calls = True
            case _:
                block = NativeBlock(self._position, raw)
        self._blocks[_index(event)] = block
        events += block.start(given)

    def _delta(self, event: ReceivedEvent, frame: Frame, data: bytes, events: list[Event]) -> None:
        """``data`` is the frame's, sound."""
        index, delta = _index(event), event.delta
        block = self._blocks.get(index)
        if block is None:
            raise UpstreamProtocolError(f"The provider's stream goes on with block {index}, which is not open.")
        if not isinstance(delta, ReceivedDelta):
            return
        kind = delta.type
        if kind == "thinking_delta" and block.kind == "text":
            block = self._instead(index, block, ThinkingBlock(self._position), ReceivedBlock(type="thinking"), events)
        elif kind == "text_delta" and block.kind == "thinking":
            block = self._instead(index, block, TextBlock(self._position), ReceivedBlock(type="text"), events)
        more = _FIELDS.decode(data)["delta"] if block.kind == "native" else None
        events += block.more(delta, more)
        if not self._like.learns:
            return
        if not _only(delta, block.member):
            self._like.forget()
            return
        self._said = block
        read = partial(_words_alone, event, block.member)
        self._like.learn(self._reader.beginning, frame.data, block.member.encode(), read)

    def _instead(self, index: int, old: Block, new: Block, given: ReceivedBlock, events: list[Event]) -> Block:
        """Some servers put thinking into a text block or the reverse: what it is decides, not what it stands in."""
        events += old.stop()
        events += new.start(given)
        self._blocks[index] = new
        return new

    def _message_delta(self, event: ReceivedEvent) -> None:
        self._expect_start()
        delta = present(event.delta) or ReceivedDelta()
        self._usage = merge(self._usage, present(event.usage))
        self._reason = present(delta.stop_reason) or self._reason
        self._sequence = present(delta.stop_sequence) or self._sequence
        self._details = present(delta.stop_details) or self._details

    def _end(self, events: list[Event]) -> None:
        self._expect_start()
        if self._reason is None:
            raise UpstreamProtocolError("The provider's stream ended without a stop reason.")
        for index in sorted(self._blocks):
            events += self._blocks.pop(index).stop()
        finish = decode_finish(self._reason, self._sequence, self._details, calls=self._calls)
        events.append(Finished(finish=finish))
        if self._usage is not None:
            events.append(UsageReported(usage=decode_usage(self._usage), service_tier=decode_tier(self._usage)))
        events.append(Ended())
        self._ended = True

    def _expect_start(self) -> None:
        if not self._started:
            raise UpstreamProtocolError("The provider's stream does not begin with message_start.")


def _only(delta: ReceivedDelta, member: str) -> bool:
    """Whether a delta has words in ``member``, and says nothing else."""
    said = [name for name in delta.__struct_fields__ if getattr(delta, name) is not msgspec.UNSET]
    return said == ["type", member] and bool(getattr(delta, member))


def _words_alone(like: ReceivedEvent, member: str, data: bytes) -> str | None:
    """The words in an event's data, where it says the same as ``like`` but for these."""
    event = _EVENT.decode(data)
    if not isinstance(event.delta, ReceivedDelta) or not isinstance(like.delta, ReceivedDelta):
        return None
    words = getattr(event.delta, member)
    setattr(event.delta, member, getattr(like.delta, member))
    return words if event == like else None


def _index(event: ReceivedEvent) -> int:
    index = event.index
    if not isinstance(index, int):
        raise UpstreamProtocolError(f"The provider's stream holds a {event.type} without an index.")
    return index


def _read(frame: Frame, mender: Mender) -> tuple[ReceivedEvent | None, bytes]:
    """The event in a frame, None for one that may be ignored; and its data without halves of characters."""
    data = b""
    try:
        data = mender.mend(readable(frame.data))
        return _EVENT.decode(data), data
    except msgspec.ValidationError as error:
        if _kind(frame) not in FACTS.events:
            return None, data
        counted = read_counted(_EVENT, data, *COUNTED)
        if counted is not None:
            return counted, data
        raise UpstreamProtocolError(f"The provider's stream holds an event that is not sound: {error}.") from None
    except (msgspec.DecodeError, RecursionError):
        if frame.data == b"[DONE]":
            return None, data
        raise UpstreamProtocolError("The provider's stream holds an event that is not JSON.") from None


def _kind(frame: Frame) -> str:
    try:
        return _HEAD.decode(frame.data).type
    except msgspec.DecodeError:
        return frame.event
