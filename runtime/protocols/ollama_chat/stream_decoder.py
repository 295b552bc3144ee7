"""An Ollama provider's stream of lines to canonical events.

Understood: thinking, words, pictures and calls in one line or in many, an answer that came whole although a stream was
asked for, a last line without its end. Not forgiven: an end without `done`, broken JSON, an error line.
"""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from generated.types.ollama_chat import AnswerMessage, ChatAnswer
from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Reasoning,
    Started,
    Text,
    UsageReported,
)  # fmt: skip
from runtime.canonical import ToolCall as CanonicalCall
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import Outgoing, StreamDecoder
from runtime.protocols.framing import LineReader
from runtime.protocols.ollama_chat.answer import (
    check_answer,
    logprobs_text,
    read_call,
    read_finish,
    read_picture,
    read_usage,
    seed_of,
)
from runtime.protocols.ollama_chat.wire import unix_seconds
from runtime.protocols.openai_chat.halves import Mender

__all__ = ["OllamaDecoder"]

_TEXT: Final = Text(text="")
_THINKING: Final = Reasoning()
_NOTHING: Final = AnswerMessage()


class OllamaDecoder(StreamDecoder):
    """One stream. An error is raised only when the events before it have been given out."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._reader = LineReader()
        self._mender = Mender()
        self._outgoing = outgoing
        self._seed: str | None = None  # of the ids of calls
        self._next_part = 0
        self._open: tuple[Text | Reasoning, int] | None = None
        self._calls = 0
        self._done = False
        self._failure: GatewayError | None = None

    @override
    def feed(self, data: bytes) -> list[Event]:
        if self._failure is not None:
            raise self._failure
        events: list[Event] = []
        try:
            for frame in self._reader.feed(data):
                self._line(self._mender.mend(frame.data), events)
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
            self._line(self._mender.mend(frame.data), events)
        if not self._done:
            raise UpstreamProtocolError("The provider ended its stream before the answer was complete.")
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        if self._done:
            return
        wire = check_answer(line)
        if self._seed is None:
            self._seed = seed_of(wire, line)
            events.append(Started(id="", model=wire.model or "", created=unix_seconds(wire.created_at)))
        self._take(wire.message or _NOTHING, logprobs_text(wire), events)
        if wire.done:
            self._end(wire, events)

    def _take(self, message: AnswerMessage, logprobs: str | None, events: list[Event]) -> None:
        if message.thinking:
            self._say(_THINKING, message.thinking, None, events)
        if message.content or (logprobs is not None and not message.thinking):
            self._say(_TEXT, message.content or "", logprobs, events)
        for data in message.images or ():
            self._whole(PartStarted(index=self._next_part, part=read_picture(data)), "", events)
        for wire in message.tool_calls or ():
            call = read_call(wire, self._calls, self._seed or "", self._outgoing)
            self._calls += 1
            begun = CanonicalCall(id=call.id, name=call.name, custom=call.custom)
            self._whole(PartStarted(index=self._next_part, part=begun), call.arguments, events)

    def _say(self, kind: Text | Reasoning, text: str, logprobs: str | None, events: list[Event]) -> None:
        if self._open is None or self._open[0] is not kind:
            self._close(events)
            self._open = (kind, self._next_part)
            self._next_part += 1
            events.append(PartStarted(index=self._open[1], part=kind))
        events.append(Delta(index=self._open[1], text=text, logprobs=logprobs))

    def _whole(self, started: PartStarted, text: str, events: list[Event]) -> None:
        """A part that one line holds."""
        self._close(events)
        self._next_part += 1
        events.append(started)
        if text:
            events.append(Delta(index=started.index, text=text))
        events.append(PartEnded(index=started.index))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartEnded(index=self._open[1]))
            self._open = None

    def _end(self, wire: ChatAnswer, events: list[Event]) -> None:
        self._done = True
        self._close(events)
        events.append(Finished(finish=read_finish(wire, calls=self._calls > 0)))
        usage = read_usage(wire)
        if usage is not None:
            events.append(UsageReported(usage=usage))
        events.append(Ended())
