"""A provider's stream to canonical events.

`Ended` is last, and comes only when the stream is over and every candidate said why it ended: a reason in an early piece ends
nothing, and a stream without one was cut. An error behind events of the same read is raised with the next call.
"""

from __future__ import annotations

from typing import Final

import msgspec
from typing_extensions import override

from generated.types.gemini import GenerateContentResponse
from runtime.canonical import Event
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.base import Outgoing, StreamDecoder
from runtime.protocols.counts import read_counted
from runtime.protocols.framing import readable
from runtime.protocols.gemini.assembly import Assembly
from runtime.protocols.gemini.chunks import Chunks
from runtime.protocols.gemini.errors import error_in_stream
from runtime.protocols.gemini.plain import read_plain
from runtime.protocols.gemini.usage import COUNTED
from runtime.protocols.openai_chat.halves import Mender

__all__ = ["CUT", "Decoder", "read_piece"]

CUT: Final = "The provider's stream ended before the answer was complete."

_PIECE: Final = msgspec.json.Decoder(GenerateContentResponse, strict=False)


class Decoder(StreamDecoder):
    def __init__(self, outgoing: Outgoing) -> None:
        self._chunks = Chunks()
        self._assembly = Assembly(outgoing)
        self._mender = Mender()
        self._error: GatewayError | None = None

    @override
    def feed(self, data: bytes) -> list[Event]:
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        try:
            for piece in self._chunks.feed(data):
                self._take(self._mender.mend(piece), events)
        except GatewayError as error:
            self._hold(error, events)
        return events

    @override
    def close(self) -> list[Event]:
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        self._last(events)
        if not self._assembly.complete:
            raise UpstreamProtocolError(CUT)
        self._assembly.end(events)
        return events

    def _last(self, events: list[Event]) -> None:
        try:
            for piece in self._chunks.close():
                self._take(self._mender.mend(piece), events)
        except UpstreamProtocolError:
            if not self._assembly.complete:  # else it is the end of what was complete already
                raise

    def _take(self, piece: bytes, events: list[Event]) -> None:
        if self._assembly.started and (plain := read_plain(readable(piece))) is not None:
            self._assembly.take_plain(plain, events)
            return
        answer = read_piece(piece)
        if answer is not None:
            self._assembly.take(answer, events)

    def _hold(self, error: GatewayError, events: list[Event]) -> None:
        """Raise ``error`` now where no event is lost by that, else with the next call."""
        self._error = error
        if not events:
            raise error


def read_piece(data: bytes) -> GenerateContentResponse | None:
    """A piece of a stream, None for one that says nothing. Raises the error that it holds."""
    if data.strip() in {b"[DONE]", b""}:
        return None
    try:
        answer = _PIECE.decode(readable(data))
    except msgspec.ValidationError as error:
        counted = read_counted(_PIECE, readable(data), COUNTED)
        if counted is None:
            raise UpstreamProtocolError(f"The provider's stream holds an event that is not sound: {error}.") from None
        answer = counted
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamProtocolError("The provider's stream holds an event that is not JSON.") from None
    failure = present(answer.error)
    if failure is not None:
        raise error_in_stream(failure)
    return answer
