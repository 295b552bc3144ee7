"""A Chat provider's stream to canonical events, with what compatible servers do to it.

Understood: usage in any chunk, a missing `[DONE]` after a finish reason, null or empty deltas, calls that interleave, share
an index, lack one, or learn their name late, thinking and text in one chunk, characters cut in two. Not forgiven: an end
without a finish reason, broken JSON, an error event.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_chat import ChatCompletionChunk, ChunkChoice, ChunkDelta, ToolCallDelta
from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finished,
    Image,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Started,
    Text,
    UsageReported,
)  # fmt: skip
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import NULL
from runtime.protocols.base import Outgoing, StreamDecoder
from runtime.protocols.framing import MAX_FRAME_BYTES, Frame, SseReader
from runtime.protocols.likeness import Likeness
from runtime.protocols.openai_chat.answer import logprobs_text, pieces_text, read_citations, read_images
from runtime.protocols.openai_chat.calls import Calls
from runtime.protocols.openai_chat.chunk import member_alone, read_chunk, words_alone
from runtime.protocols.openai_chat.finish import read_finish, refuse_failure
from runtime.protocols.openai_chat.halves import Joiner
from runtime.protocols.openai_chat.reasoning import PROTOCOL, Details, read_pieces
from runtime.protocols.openai_chat.usage import read_usage

__all__ = ["ChatDecoder"]

_DONE: Final = b"[DONE]"
_BRACE: Final = 123
_KINDS: Final[Mapping[str, Text | Reasoning | Refusal]] = {
    "text": Text(text=""), "reasoning": Reasoning(), "refusal": Refusal(text=""),
}  # fmt: skip


class ChatDecoder(StreamDecoder):
    """One stream. An error is raised only when the events before it have been given out."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._reader = SseReader()
        self._outgoing = outgoing
        self._choices: dict[int, _Choice] = {}
        self._id = ""
        self._tier: str | None = None
        self._started = False
        self._done = False
        self._failure: GatewayError | None = None
        self._like = Likeness()
        self._said: tuple[_Choice, str] | None = None
        """Whose words, and of which kind, `_like` knows."""

    @override
    def feed(self, data: bytes) -> list[Event]:
        if self._failure is not None:
            raise self._failure
        events: list[Event] = []
        try:
            if self._like.known and self._reader.between and len(data) <= MAX_FRAME_BYTES:
                *whole, rest = data.split(b"\n\n")
                for event in whole:
                    words = self._like.words(event)
                    if words is None or self._said is None:
                        self._feed(event + b"\n\n", events)
                    elif words:
                        choice, kind = self._said
                        choice.say(kind, words, None, events, marked=False)
                data = rest
            if data:
                self._feed(data, events)
        except GatewayError as error:
            if not events:
                raise
            self._failure = error
        return events

    @override
    def close(self) -> list[Event]:
        if self._failure is not None:
            raise self._failure
        events: list[Event] = []
        for frame in self._reader.close():
            self._frame(frame, events)
        if not self._done:
            self._end(events)
        return events

    def _feed(self, data: bytes, events: list[Event]) -> None:
        for frame in self._reader.feed(data):
            self._frame(frame, events)

    def _frame(self, frame: Frame, events: list[Event]) -> None:
        if self._done:
            return
        if frame.data[0] != _BRACE and frame.data.startswith(_DONE):
            self._end(events)
            return
        chunk, marked = read_chunk(frame)
        wires = chunk.choices or ()
        if not self._started and (wires or chunk.usage):
            self._start(chunk, events)
        for wire in wires:
            index = wire.index or 0
            choice = self._choices.get(index) or self._choice(index)
            choice.take(wire, events, marked=marked)
        if chunk.usage:
            self._tier = chunk.service_tier or self._tier
            usage = read_usage(chunk.usage, self._tier)
            events.append(UsageReported(usage=usage, service_tier=chunk.service_tier or None))
        elif self._like.learns and len(wires) == 1 and not marked:
            self._learn(frame.data, wires[0])

    def _learn(self, data: bytes, wire: ChunkChoice) -> None:
        member = member_alone(wire)
        if member is None:
            return
        kind = "text" if member == "content" else "reasoning"
        self._said = self._choices[wire.index or 0], kind
        self._like.learn(self._reader.beginning, data, member.encode(), partial(words_alone, member))

    def _start(self, chunk: ChatCompletionChunk, events: list[Event]) -> None:
        self._started = True
        self._id = chunk.id or ""
        self._tier = chunk.service_tier or None
        events.append(
            Started(
                id=self._id,
                model=chunk.model or "",
                created=int(chunk.created or 0),
                service_tier=chunk.service_tier or None,
            )
        )

    def _choice(self, index: int) -> _Choice:
        choice = self._choices[index] = _Choice(index, self._id, self._outgoing)
        return choice

    def _end(self, events: list[Event]) -> None:
        """Only now is it known that the answer is whole: some servers name a reason long before their last words."""
        if not self._choices or any(choice.reason is None for choice in self._choices.values()):
            raise UpstreamProtocolError("The provider ended its stream before the answer was complete.")
        self._done = True
        self._like.forget()
        for _, choice in sorted(self._choices.items()):
            choice.finish(events)
        events.append(Ended())


class _Choice:
    """One choice under way: at most one of text, thinking and refusal is open, and any number of calls."""

    __slots__ = (
        "_calls",
        "_details",
        "_index",
        "_joiner",
        "_next_part",
        "_open",
        "_refused",
        "_thought_aloud",
        "reason",
    )

    def __init__(self, index: int, response_id: str, outgoing: Outgoing) -> None:
        self._index = index
        self._next_part = 0
        self._open: tuple[str, int] | None = None
        self._joiner = Joiner()
        self._details = Details()
        self._calls = Calls(index, response_id, outgoing)
        self._thought_aloud = False
        self._refused = False
        self.reason: str | None = None

    def take(self, wire: ChunkChoice, events: list[Event], *, marked: bool) -> None:
        delta = wire.delta
        if delta:
            self._take_words(delta, logprobs_text(wire.logprobs) if wire.logprobs else None, events, marked=marked)
            if delta.images is not msgspec.UNSET:
                for image in read_images(delta.images):
                    self._take_image(image, events)
            if delta.tool_calls or delta.function_call:
                self._take_calls(delta, events, marked=marked)
        if wire.finish_reason:
            refuse_failure(wire.finish_reason)
            self.reason = wire.finish_reason

    def finish(self, events: list[Event]) -> None:
        self._close(events)
        self._calls.close(events)
        finish = read_finish(self.reason or "stop", calls=self._calls.any, refused=self._refused)
        events.append(Finished(finish=finish, choice=self._index))

    def _take_words(self, delta: ChunkDelta, logprobs: str | None, events: list[Event], *, marked: bool) -> None:
        thought, text = "", delta.content or ""
        if isinstance(text, list):
            thought, text = pieces_text(text)
        thought = delta.reasoning_content or delta.reasoning or thought
        if thought:
            self._thought_aloud = True
        details = delta.reasoning_details
        if details is not msgspec.UNSET and details != NULL:
            thought = self._take_details(details, thought, events)
        if thought:
            self.say("reasoning", thought, None, events, marked=marked)
        if text or logprobs is not None:
            self.say("text", text, logprobs, events, marked=marked)
        if delta.annotations:
            for citation in read_citations(delta.annotations):
                events.append(Delta(index=self._part("text", events), citation=citation, choice=self._index))
        if delta.refusal:
            self._refused = True
            self.say("refusal", delta.refusal, None, events, marked=marked)

    def _take_details(self, details: msgspec.Raw, thought: str, events: list[Event]) -> str:
        """Keep sealed pieces until their thinking ends; their text counts where no plain field carries it."""
        pieces = read_pieces(details)
        self._details.add(pieces)
        text = "".join(piece.text or piece.summary or "" for piece in pieces)
        if self._thought_aloud:
            return thought
        if pieces and not text:
            self._part("reasoning", events)
        return text

    def _take_calls(self, delta: ChunkDelta, events: list[Event], *, marked: bool) -> None:
        wires = list(delta.tool_calls or ())
        if delta.function_call:
            wires.append(ToolCallDelta(index=0, function=delta.function_call))
        self._close(events)
        for wire in wires:
            self._next_part = self._calls.take(wire, self._next_part, events, marked=marked)

    def _take_image(self, image: Image, events: list[Event]) -> None:
        self._close(events)
        self._calls.settle(events)
        index, self._next_part = self._next_part, self._next_part + 1
        events += [
            PartStarted(index=index, part=image, choice=self._index),
            PartEnded(index=index, choice=self._index),
        ]

    def say(self, kind: str, text: str, logprobs: str | None, events: list[Event], *, marked: bool) -> None:
        opened = self._open
        index = opened[1] if opened is not None and opened[0] == kind else self._part(kind, events)
        if marked or self._joiner.held:
            text = self._joiner.add(text, marked=marked)
        if logprobs is not None:
            events.append(Delta(index=index, text=text, logprobs=logprobs[1:-1], choice=self._index))
        elif text:
            events.append(Delta(index=index, text=text, choice=self._index))

    def _part(self, kind: str, events: list[Event]) -> int:
        """The open part of this kind; another kind ends the one that was open."""
        if self._open is not None:
            if self._open[0] == kind:
                return self._open[1]
            self._close(events)
        self._calls.settle(events)
        index, self._next_part = self._next_part, self._next_part + 1
        self._open = (kind, index)
        part = _KINDS[kind]
        if kind == "reasoning":
            part = Reasoning(sealed_by=PROTOCOL)
        events.append(PartStarted(index=index, part=part, choice=self._index))
        return index

    def _close(self, events: list[Event]) -> None:
        if self._open is None:
            return
        kind, index = self._open
        self._open = None
        rest = self._joiner.rest()
        if rest:
            events.append(Delta(index=index, text=rest, choice=self._index))
        seal = self._details.seal() if kind == "reasoning" else None
        if seal is not None:
            events.append(Delta(index=index, seal=seal, choice=self._index))
        events.append(PartEnded(index=index, choice=self._index))
