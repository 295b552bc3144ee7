"""The items of an answer as an upstream sends them, each turned into canonical parts, whatever servers leave out.

A text may come in deltas, in the event that ends it, in the finished item, in the finished answer, or in all of them: each
later place only adds what is missing. Not for finding out which event is about which item.
"""

from __future__ import annotations

from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_responses import OutputItem, OutputPart
from runtime.canonical import (
    Base64Source,
    Delta,
    Image,
    Native,
    PartEnded,
    Reasoning,
    Refusal,
    Text,
)  # fmt: skip
from runtime.protocols.absent import present
from runtime.protocols.openai_responses.call_lane import CallLane
from runtime.protocols.openai_responses.conversation import phase_mark
from runtime.protocols.openai_responses.lane import Lane, Sink, Voice
from runtime.protocols.openai_responses.parts import read_citation
from runtime.protocols.openai_responses.seal import head_of, item_of, seal_of, shown_in
from runtime.protocols.openai_responses.stops import Stopper
from runtime.protocols.openai_responses.wire import PROTOCOL, is_text, text_of

__all__ = ["MessageLane", "OtherLane", "ReasoningLane", "lane_for", "logprobs_text"]

_TEXT: Final = msgspec.json.Decoder(str)
_NONE: Final = msgspec.Raw(b"[]")
_BREAK: Final = "\n\n"


class _Said:
    """A part of a message."""

    __slots__ = ("cited", "index", "open", "start", "stopper", "voice")

    def __init__(self, index: int, start: int, stops: tuple[str, ...]) -> None:
        self.index = index
        self.start = start
        self.stopper = Stopper(stops)
        self.voice = Voice()
        self.cited = 0
        self.open = True


class MessageLane(Lane):
    """A message: texts and refusals, by their place."""

    kind = "message"

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._parts: dict[int, tuple[str, _Said]] = {}
        self._phase: str | None = None

    def phase(self, phase: str | None) -> None:
        """Told before the words that it is about."""
        if phase and self._phase is None and not self._parts:
            self._phase = phase
            index = self.sink.start(phase_mark(phase))
            self.sink.send(PartEnded(index=index))

    def say(self, place: int, kind: str, text: str, logprobs: str | None = None, *, marked: bool = False) -> None:
        known = self._parts.get(place)
        said = self._part(place, kind) if known is None else known[1]
        if said.open:
            self._emit(kind, said, said.voice.add(text, marked=marked), logprobs)

    def cite(self, place: int, annotation: msgspec.Raw) -> None:
        said = self._part(place, "output_text")
        said.cited += 1
        citation = read_citation(annotation, said.start)
        if said.open:
            self.sink.send(Delta(index=said.index, citation=citation))

    def finish_part(self, place: int, part: OutputPart) -> None:
        """What the finished part says that was not said yet. It ends only with its item: citations may follow."""
        kind = "refusal" if part.type == "refusal" else "output_text"
        whole = (part.refusal if kind == "refusal" else part.text) or ""
        if place not in self._parts and not whole:
            return
        said = self._part(place, kind)
        if not said.open:
            return
        more = said.voice.missing(whole)
        if more:
            self._emit(kind, said, more, logprobs_text(part.logprobs))
        for annotation in (part.annotations or [])[said.cited :]:
            self.cite(place, annotation)

    @override
    def fill(self, item: OutputItem, raw: msgspec.Raw) -> None:
        self.phase(present(item.phase))
        for place, part in enumerate(item.content or ()):
            self.finish_part(place, part)

    @override
    def close(self) -> None:
        for kind, said in self._parts.values():
            if said.open:
                self._end(kind, said)
        self.closed = True

    def _part(self, place: int, kind: str) -> _Said:
        """The part; an earlier one is over when a later one begins."""
        if place in self._parts:
            return self._parts[place][1]
        for earlier, said in self._parts.values():
            if said.open:
                self._end(earlier, said)
        if kind == "refusal":
            self.sink.refused = True
            index = self.sink.start(Refusal(text=""))
        else:
            index = self.sink.start(Text(text=""))
        said = _Said(index, self.sink.chars, self.sink.outgoing.stop)
        self._parts[place] = (kind, said)
        return said

    def _emit(self, kind: str, said: _Said, text: str, logprobs: str | None) -> None:
        sink = self.sink
        if kind != "refusal":
            text = said.stopper.add(text)
            sink.chars += len(text)
        if (text or logprobs) and sink.stopped is None:
            sink.send(Delta(index=said.index, text=text, logprobs=logprobs))
        if said.stopper.met is not None and self.sink.stopped is None:
            self.sink.stopped = said.stopper.met

    def _end(self, kind: str, said: _Said) -> None:
        said.open = False
        rest = said.voice.rest()
        if kind != "refusal":
            rest = said.stopper.add(rest) + said.stopper.rest()
            self.sink.chars += len(rest)
        if rest:
            self.sink.send(Delta(index=said.index, text=rest))
        self.sink.send(PartEnded(index=said.index))


class ReasoningLane(Lane):
    """Thinking. Its part starts with its first words, or with the finished item: only then is it known where they stand."""

    kind = "reasoning"

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.id: str | None = None
        self._index: int | None = None
        self._shown = "summary"
        self._head = ""
        self._voices: dict[int, Voice] = {}
        self._item: OutputItem | None = None

    def say(self, shown: str, place: int, text: str, *, marked: bool = False) -> None:
        index = self._start(shown)
        if shown == self._shown and not self.closed:
            voice = self._voice(place, index)
            self.sink.send(Delta(index=index, text=voice.add(text, marked=marked)))

    def finish_part(self, shown: str, place: int, whole: str | None) -> None:
        if not whole:
            return
        index = self._start(shown)
        if shown == self._shown and not self.closed:
            more = self._voice(place, index).missing(whole)
            if more:
                self.sink.send(Delta(index=index, text=more))

    @override
    def fill(self, item: OutputItem, raw: msgspec.Raw) -> None:
        self.id = present(item.id) or self.id
        self._item = item
        summary, content = item_of(item)
        shown = shown_in(content) if self._index is None else self._shown
        texts = content if shown == "content" else summary
        if _BREAK.join(texts) != _BREAK.join(
            voice.said() for voice in self._voices.values()
        ):  # else it is only cut otherwise
            for place, text in enumerate(texts):
                self.finish_part(shown, place, text)

    @override
    def close(self) -> None:
        if self.closed:
            return
        summary, content = item_of(self._item) if self._item is not None else ([], [])
        item = self._item if self._item is not None else OutputItem(id=self.id)
        seal = seal_of(item, summary, content, self._shown if self._index is not None else shown_in(content))
        if self._index is None and seal is not None:
            self._start(shown_in(content))
        self.closed = True
        if self._index is None:
            return
        for voice in self._voices.values():
            rest = voice.rest()
            if rest:
                self.sink.send(Delta(index=self._index, text=rest))
        if seal is not None:
            self.sink.send(Delta(index=self._index, seal=seal.removeprefix(self._head)))
        self.sink.send(PartEnded(index=self._index))

    def _start(self, shown: str) -> int:
        if self._index is None:
            self._shown = shown
            self._head = head_of(self.id, "content" if shown == "content" else "summary")
            part = Reasoning(seal=self._head or None, sealed_by=PROTOCOL)
            self._index = self.sink.start(part)
        return self._index

    def _voice(self, place: int, index: int) -> Voice:
        if place not in self._voices:
            if self._voices:
                self.sink.send(Delta(index=index, text=_BREAK))
            self._voices[place] = Voice()
        return self._voices[place]


class OtherLane(Lane):
    """An item of the vendor's own tools: told when it is finished. A generated image is an image for everybody."""

    def __init__(self, sink: Sink, kind: str) -> None:
        super().__init__(sink)
        self.kind = kind
        self._part: Image | Native | None = None

    @override
    def fill(self, item: OutputItem, raw: msgspec.Raw) -> None:
        if self.closed:
            return
        result = present(item.result)
        if self.kind == "image_generation_call" and result is not None and is_text(result):
            source = Base64Source(media_type=f"image/{item.output_format or 'png'}", data=_TEXT.decode(result))
            self._part = Image(source=source)
        else:
            self._part = Native(protocol=PROTOCOL, block=self.kind, json=text_of(raw))

    @override
    def close(self) -> None:
        if not self.closed and self._part is not None:
            self.sink.send(PartEnded(index=self.sink.start(self._part)))
        self.closed = True


def lane_for(kind: str, sink: Sink) -> Lane:
    match kind:
        case "message":
            return MessageLane(sink)
        case "reasoning":
            return ReasoningLane(sink)
        case "function_call" | "custom_tool_call":
            return CallLane(sink, custom=kind == "custom_tool_call")
        case _:
            return OtherLane(sink, kind)


def logprobs_text(logprobs: msgspec.Raw | msgspec.UnsetType) -> str | None:
    """The inside of the list of tokens; None when there is none or it is empty."""
    raw = present(logprobs)
    if raw is None or raw == _NONE:
        return None
    text = text_of(raw).strip()
    return text[1:-1] if text.startswith("[") and text[1:-1].strip() else None
