"""Watch a stream that is passed through: every byte goes on as it came, but for the model's name in each piece.

What this protocol's clients cannot read (comments, names of events, a last `[DONE]`) stays behind. A client that asked for a
JSON list gets one, whatever the provider sent. Only whole pieces are forwarded, so that what a cut leaves behind never stands
in front of the gateway's own error. A reason to stop ends nothing, as more may follow it, but clients go by it: a piece with
which the answer may end waits for what follows, if only the end of the stream.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.gemini import GenerateContentResponse, UsageMetadata
from runtime.canonical import Usage
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.base import Answer, FailingTap
from runtime.protocols.counts import read_counted
from runtime.protocols.framing import CR, LF, MAX_FRAME_BYTES, SseReader, readable
from runtime.protocols.gemini.chunks import Chunks
from runtime.protocols.gemini.decode_stream import CUT
from runtime.protocols.gemini.encode_stream import Encoder, Framing
from runtime.protocols.gemini.errors import error_in_stream
from runtime.protocols.gemini.plain import Renaming, read_plain
from runtime.protocols.gemini.usage import COUNTED, Searches, blocked, decode_usage, finish_reason, usage_of
from runtime.protocols.openai_chat.halves import marked, may_hold_halves, unmarked
from runtime.protocols.splice import raw, replace

__all__ = ["Tap"]

_PIECE: Final = msgspec.json.Decoder(GenerateContentResponse, strict=False)
_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_SHORT: Final = 64
"""Bytes: an empty text is no longer, with any sane layout."""


class Tap(FailingTap):
    def __init__(self, answer: Answer) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.started = False
        self._answer = answer
        self._model = raw(answer.model)
        self._renaming = Renaming(self._model)
        self._framing = Framing(answer.variant)
        self._chunks = Chunks()
        self._events = _Events()
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self._blocked = False
        self._over = False  # the answer may end here
        self._early = False  # a reason was named before the last words
        self._last_piece: list[bytes] = []  # none, or one with which the answer may end
        self._searches = Searches()
        self._searched = 0
        self._counted: UsageMetadata | None = None  # by the last piece, where that was a plain one
        self._forwarded = False
        self._error: GatewayError | None = None

    @property
    @override
    def may_end(self) -> bool:
        if self.complete:
            return True
        all_began = self._blocked or len(self._seen) >= self._answer.choices
        return self._over and all_began and self.usage is not None and not self._early

    @override
    def feed(self, data: bytes) -> bytes:
        if self._error is not None:
            raise self._error
        out: list[bytes] = []
        if self._over:
            out, self._last_piece = self._last_piece, out
        try:
            if self._chunks.is_list is None:
                data = self._sniffed(data)
            if self._chunks.is_list:
                for piece in self._chunks.feed(data):
                    self._pass(piece, None, out)
            else:
                for event in self._events.feed(data):
                    self._read(event, out)
        except GatewayError as error:
            self._hold(error, out)
        if self._over and out and self._error is None:
            self._last_piece.append(out.pop())
        return b"".join(out)

    @override
    def close(self) -> bytes:
        if self._error is not None:
            raise self._error
        out = self._last_piece.copy()
        self._last(out)
        if not self._over:
            raise UpstreamProtocolError(CUT)
        self._last_piece.clear()
        self.complete = True
        return b"".join(out) + self._framing.end()

    @override
    def fail(self, error: GatewayError) -> bytes:
        return b"".join(self._last_piece) + Encoder(self._answer).fail(error)

    def _last(self, out: list[bytes]) -> None:
        try:
            if self._chunks.is_list:
                self._chunks.close()
            elif rest := self._events.rest():
                self._read(rest, out)
        except UpstreamProtocolError:
            if not self._over:  # else it is the end of what was complete already
                raise

    def _hold(self, error: GatewayError, out: list[bytes]) -> None:
        self._error = error
        if not out:
            raise error

    def _sniffed(self, data: bytes) -> bytes:
        """Blanks before the first byte tell nothing; the reader keeps them until it knows."""
        held = self._events.rest() + data
        first = held.lstrip(b" \t\r\n\xef\xbb\xbf")[:1]
        if first:
            self._chunks.is_list = first in (b"[", b"{")
        return held

    def _read(self, event: bytes, out: list[bytes]) -> None:
        """One event, perhaps with comments before it."""
        data = event.removeprefix(b"data: ")
        data = data.rstrip(b"\r\n") if data != event else b"\n"
        bare = LF not in data and CR not in data
        if bare and self.started and not self._framing.is_list and (plain := self._plain(data)) is not None:
            out.append(b"data: " + plain + event[6 + len(data) :])
            return
        frames = [] if bare else SseReader().feed(event + b"\n\n")
        if not bare:
            if not frames:
                return
            data = frames[0].data
        if data.strip() not in {b"[DONE]", b""}:
            self._pass(data, event if bare and not self._framing.is_list else None, out)

    def _pass(self, data: bytes, event: bytes | None, out: list[bytes]) -> None:
        """A piece, with the event it came in where that is to go on as it came."""
        sound = marked(readable(data))
        self._look(sound)
        try:
            renamed = replace(sound, ("modelVersion",), self._model)
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamProtocolError("The provider's stream holds an event that is not JSON.") from None
        renamed = renamed if sound is data else unmarked(renamed)
        out.append(self._framing.piece(renamed) if event is None else event.replace(data, renamed, 1))
        self._forwarded = True

    def _plain(self, data: bytes) -> bytes | None:
        """A piece under its new name, if it only goes on with an answer that has begun; None for any other."""
        if may_hold_halves(data):
            return None
        piece = read_plain(readable(data))
        if piece is None or piece.candidates[0].index not in self._seen:
            return None
        renamed = self._renaming.apply(data, piece.modelVersion)
        if renamed is None:
            return None
        counted = piece.usageMetadata
        if counted is not msgspec.UNSET and counted != self._counted:
            self._counted = counted
            self.usage = decode_usage(counted, self._searched)
        return renamed

    def _look(self, data: bytes) -> None:
        self._counted = None
        try:
            piece = _PIECE.decode(data)
        except msgspec.ValidationError:
            counted = read_counted(_PIECE, data, COUNTED)
            if counted is None and data.lstrip()[:1] != b"{":
                raise UpstreamProtocolError("The provider's stream holds an event that is no object.") from None
            if counted is None:
                return  # odd, but the client's own vendor's: it knows best
            piece = counted
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamProtocolError("The provider's stream holds an event that is not JSON.") from None
        error = present(piece.error)
        if error is not None:
            raise error_in_stream(error)
        self._learn(piece)

    def _learn(self, piece: GenerateContentResponse) -> None:
        candidates = present(piece.candidates) or []
        for place, candidate in enumerate(candidates):
            index = present(candidate.index)
            index = place if index is None else index
            content = present(candidate.content)
            if not self.started or index in self._ended:
                says = bool(content and any(map(_says, present(content.parts) or ())))
                self._early = self._early or (says and index in self._ended)
                self.started = self.started or says
            self._seen.add(index)
            try:
                ended = finish_reason(candidate) is not None
            except UpstreamProtocolError:
                if not self._forwarded:  # nothing was said yet: another target may do better
                    raise
                ended = True
            if ended:
                self._ended.add(index)
        self._blocked = self._blocked or blocked(piece) is not None
        self._over = self._blocked or (bool(self._seen) and self._seen == self._ended)
        self._searched = self._searches.take(candidates, present(piece.modelVersion) or "")
        self.usage = usage_of(piece, self._searched) or self.usage


class _Events:
    """The bytes of each server-sent event, with the blank line behind it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        line = data.removesuffix(b"\r\n\r\n")
        if not self._pieces and line != data and LF not in line and CR not in line:
            return [data]  # one event: what nearly every read of the vendor's is
        self._pieces.append(data)
        self._bytes += len(data)
        if LF not in data and CR not in data:
            if self._bytes > MAX_FRAME_BYTES:
                raise UpstreamProtocolError(f"The provider sent a stream event of more than {MAX_FRAME_BYTES:,} bytes.")
            return []
        window = self.rest()
        if (end := _only_end(window)) is not None:
            *complete, rest = window.split(end)
            if rest:
                self._pieces, self._bytes = [rest], len(rest)
            return [event + end for event in complete]
        limit = len(window) - window.endswith(b"\r")  # a line feed may follow
        events: list[bytes] = []
        position = 0
        while (blank := _BLANK_LINE.search(window, position, limit)) is not None:
            events.append(window[position : blank.end()])
            position = blank.end()
        if position < len(window):
            self._pieces, self._bytes = [window[position:]], len(window) - position
        return events

    def rest(self) -> bytes:
        window = b"".join(self._pieces)
        self._pieces, self._bytes = [], 0
        return window


def _only_end(window: bytes) -> bytes | None:
    """The blank line in front of which every event ends, where no other line end is in ``window``; None where one is."""
    lines = window.count(b"\n")
    if CR not in window:
        return b"\n\n" if lines == 2 * window.count(b"\n\n") else None
    blank = window.count(b"\r\n\r\n")
    return b"\r\n\r\n" if lines == 2 * blank == window.count(b"\r") else None


def _says(part: msgspec.Raw) -> bool:
    """Whether a part says something: an empty text does not, however it is laid out."""
    return memoryview(part).nbytes > _SHORT or b"".join(bytes(part).split()) != b'{"text":""}'
