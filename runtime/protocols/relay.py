"""A streamed answer on its way from an upstream's bytes to a client's, passed through or translated.

Knows codecs, not HTTP. One `Relay` serves one answer; what it learns on the way (usage, first piece, end) is read off it.
"""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override

from runtime.canonical import Delta, Ended, Event, PartStarted, Started, Usage, UsageReported
from runtime.errors import GatewayError
from runtime.protocols.base import FailingTap, StreamDecoder, StreamEncoder, StreamTap

__all__ = ["Passing", "Relay", "Translating"]


class Relay(Protocol):
    """Bytes in, bytes out.

    ``started``: a first piece of the answer was seen. ``complete``: the upstream said that the answer is whole.
    ``usage``: the last the upstream reported, or None. ``finished``: nothing more is to be learned, and what comes out now may
    be the end of the client's answer. ``may_end``: where nothing follows, the answer is whole, though its connection broke.
    """

    @property
    def content_type(self) -> str: ...
    @property
    def keep_alive(self) -> bytes | None: ...
    @property
    def started(self) -> bool: ...
    @property
    def complete(self) -> bool: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def finished(self) -> bool: ...
    @property
    def may_end(self) -> bool:
        return self.finished

    @property
    def ahead(self) -> int:
        """Of what `feed` or `close` gave last, how many bytes at its beginning say nothing of an end."""
        return 0

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client, perhaps none yet. Raises the upstream's error."""
        ...

    def close(self) -> bytes:
        """The last bytes, at the end of the upstream's. Raises UpstreamProtocolError when the answer was cut."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The error event of the client's dialect."""
        ...


class Passing(Relay):
    """Same protocol on both sides: a tap watches."""

    def __init__(self, tap: StreamTap, encoder: StreamEncoder) -> None:
        self._tap = tap
        self._encoder = encoder  # for its error event and its content type; it never encodes an answer here

    @property
    @override
    def content_type(self) -> str:
        return self._encoder.content_type

    @property
    @override
    def keep_alive(self) -> bytes | None:
        return self._encoder.keep_alive

    @property
    @override
    def started(self) -> bool:
        return self._tap.started

    @property
    @override
    def complete(self) -> bool:
        return self._tap.complete

    @property
    @override
    def usage(self) -> Usage | None:
        return self._tap.usage

    @property
    @override
    def finished(self) -> bool:
        return self._tap.complete and self._tap.finished  # with most events neither

    @property
    @override
    def may_end(self) -> bool:
        return self._tap.may_end  # with some protocols before it is finished

    @property
    @override
    def ahead(self) -> int:
        return self._tap.ahead

    @override
    def feed(self, data: bytes) -> bytes:
        return self._tap.feed(data)

    @override
    def close(self) -> bytes:
        return self._tap.close()

    @override
    def fail(self, error: GatewayError) -> bytes:
        return self._tap.fail(error) if isinstance(self._tap, FailingTap) else self._encoder.fail(error)


class Translating(Relay):
    """Two protocols: decode, note, encode."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._started = False
        self._complete = False
        self._usage: Usage | None = None

    @property
    @override
    def content_type(self) -> str:
        return self._encoder.content_type

    @property
    @override
    def keep_alive(self) -> bytes | None:
        return self._encoder.keep_alive

    @property
    @override
    def started(self) -> bool:
        return self._started

    @property
    @override
    def complete(self) -> bool:
        return self._complete

    @property
    @override
    def usage(self) -> Usage | None:
        return self._usage

    @property
    @override
    def finished(self) -> bool:
        return self._complete

    @override
    def feed(self, data: bytes) -> bytes:
        return self._translate(self._decoder.feed(data))

    @override
    def close(self) -> bytes:
        return self._translate(self._decoder.close())

    @override
    def fail(self, error: GatewayError) -> bytes:
        return self._encoder.fail(error)

    def _translate(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        for event in events:
            match event:
                case Delta():  # nearly all are, and say nothing of the whole
                    continue
                case PartStarted():
                    self._started = True
                case UsageReported(usage=usage):
                    self._usage = usage
                case Started(usage=usage) if usage.total_input:
                    self._usage = usage
                case Ended():
                    self._complete = True
                case _:
                    continue
        return self._encoder.feed(events)
