"""Canonical events to a client's stream.

Every piece is an answer of its own. Calls are whole in this protocol, and their signatures stand on them, so parts are said
in their order: one that starts while another is open waits for it. Why the answer ended is said in the last piece, once the
provider said that it is complete. Clients of this protocol read nothing but `data:` lines: there is no comment, no event's
name, no last word, and nothing may be sent in a silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.gemini import Candidate, GenerateContentResponse, Part
from runtime.canonical import (
    Citation,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from runtime.errors import GatewayError
from runtime.protocols.base import Answer, StreamEncoder
from runtime.protocols.gemini.errors import error_body
from runtime.protocols.gemini.parts import Speaker, WirePart, shows_thoughts
from runtime.protocols.gemini.response import candidate, feedback, finished
from runtime.protocols.gemini.usage import encode_usage
from runtime.protocols.gemini.wire import on_one_line

__all__ = ["ARRAY", "Encoder", "Framing"]

ARRAY: Final = "array"
"""The variant in which a stream is one JSON list."""

_PLACE: Final = "\0"
"""Stands for a text that is still to come."""

_json: Final = msgspec.json.Encoder().encode
_Streamed = Text | Reasoning | Refusal


class Framing:
    """How pieces stand in the stream: as server-sent events, or as the items of a list."""

    def __init__(self, variant: str) -> None:
        self.is_list = variant == ARRAY
        self.content_type = "application/json" if self.is_list else "text/event-stream"
        self._opened = False

    def piece(self, data: bytes) -> bytes:
        if not self.is_list:
            if b"\n" in data or b"\r" in data:  # between tokens: no text of JSON holds one
                data = b" ".join(data.splitlines())
            return b"data: " + data + b"\r\n\r\n"
        before = b"," if self._opened else b"["
        self._opened = True
        return before + (b"\n" if before == b"," else b"") + data + b"\n"

    def end(self) -> bytes:
        return b"]" if self.is_list else b""

    def join(self) -> None:
        """Go on with a list that somebody else began."""
        self._opened = True


class Encoder(StreamEncoder):
    keep_alive: bytes | None = None

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._framing = Framing(answer.variant)
        self.content_type = self._framing.content_type
        self._shown = shows_thoughts(answer)
        self._lines: dict[int, _Line] = {}
        self._usage = Usage()
        self._tier: str | None = None
        self._fed = False
        self._frames: dict[int, tuple[bytes, bytes]] = {}  # what stands around a text, by choice, until counts change

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            self._fed = True
            match event:
                case Delta(text=text, choice=choice) if not self._framing.is_list and self._line(choice).goes_on(event):
                    before, behind = self._frames.get(choice) or self._frame(choice)
                    out.append(before + on_one_line(_json(text)) + behind)
                case PartStarted() | Delta() | PartEnded():
                    self._say(self._line(event.choice).take(event), event.choice, out)
                case Started(usage=usage, service_tier=tier):
                    self._usage, self._tier = usage, tier
                    self._frames.clear()
                case UsageReported(usage=usage, service_tier=tier):
                    self._usage, self._tier = usage, tier or self._tier
                    self._frames.clear()
                case Finished(choice=choice, finish=finish):
                    self._line(choice).finish = finish
                case Ended():
                    self._end(out)
        return b"".join(out)

    @override
    def fail(self, error: GatewayError) -> bytes:
        if not self._fed:  # what was sent before came through a tap
            self._framing.join()
        return self._framing.piece(on_one_line(error_body(error))) + self._framing.end()

    def _line(self, choice: int) -> _Line:
        if choice not in self._lines:
            self._lines[choice] = _Line(shown=self._shown)
        return self._lines[choice]

    def _say(self, parts: list[WirePart], choice: int, out: list[bytes]) -> None:
        if parts:
            out.append(self._piece([candidate(parts, choice)]))

    def _frame(self, choice: int) -> tuple[bytes, bytes]:
        before, _, behind = self._piece([candidate([Part(text=_PLACE)], choice)]).partition(_json(_PLACE))
        self._frames[choice] = before, behind
        return before, behind

    def _piece(self, candidates: list[Candidate], *, last: bool = False) -> bytes:
        wire = GenerateContentResponse(candidates=candidates)
        if last or self._usage.total_input:
            wire.usageMetadata = encode_usage(self._usage, self._tier)
        return self._framed(wire)

    def _framed(self, wire: GenerateContentResponse) -> bytes:
        wire.modelVersion = self._answer.model
        wire.responseId = self._answer.id
        return self._framing.piece(on_one_line(msgspec.json.encode(wire)))

    def _end(self, out: list[bytes]) -> None:
        for choice, line in self._lines.items():
            self._say(line.close(), choice, out)
        only = self._lines.get(0)
        if len(self._lines) == 1 and only and only.finish.reason == "content_filter" and not only.any:
            wire = GenerateContentResponse(promptFeedback=feedback(only.finish))
            wire.usageMetadata = encode_usage(self._usage, self._tier)
            out.append(self._framed(wire))
        else:
            ends = [line.end(choice) for choice, line in sorted(self._lines.items())]
            out.append(self._piece(ends, last=True))
        out.append(self._framing.end())


class _Lane:
    """A part on its way."""

    def __init__(self, part: _Streamed | ToolCall | Image | Native) -> None:
        self.part = part
        self.texts: list[str] = []
        self.seal = ""
        self.ended = False
        self.held: list[Delta] = []

    def add(self, delta: Delta) -> None:
        self.texts.append(delta.text)
        self.seal += delta.seal or ""

    def whole(self) -> _Streamed | ToolCall | Image | Native:
        more = "".join(self.texts)
        match self.part:
            case Reasoning(text=text, seal=seal):
                sealed = (seal or "") + self.seal or None
                return msgspec.structs.replace(self.part, text=text + more, seal=sealed)
            case ToolCall(arguments=arguments):
                return msgspec.structs.replace(self.part, arguments=arguments + more)
            case other:
                return other


class _Line:
    """One choice: its parts in their order, of which the first is being said."""

    def __init__(self, *, shown: bool) -> None:
        self.finish = Finish(reason="stop")
        self.any = False
        self._shown = shown
        self._speaker = Speaker(shown=shown)
        self._lanes: dict[int, _Lane] = {}
        self._waiting: list[_Lane] = []
        self._texts: list[str] = []
        self._citations: list[Citation] = []
        self._logprobs: list[str] = []

    def take(self, event: PartStarted | Delta | PartEnded) -> list[WirePart]:
        match event:
            case PartStarted(index=index, part=part):
                self.any = True
                lane = self._lanes[index] = _Lane(part)
                self._waiting.append(lane)
                return self._open(lane) if self._waiting[0] is lane else []
            case Delta(index=index):
                lane = self._lanes[index]
                if self._waiting and self._waiting[0] is lane:
                    return self._more(lane, event)
                lane.held.append(event)
                return []
            case PartEnded(index=index):
                self._lanes[index].ended = True
                return self._advance()

    def goes_on(self, delta: Delta) -> bool:
        """Whether ``delta`` is nothing but more of the text that is being said. It is noted then."""
        lane = self._waiting[0] if self._waiting else None
        if (
            lane is None
            or self._lanes.get(delta.index) is not lane
            or not isinstance(lane.part, Text | Refusal)
            or not delta.text
            or delta.citation is not None
            or delta.logprobs is not None
        ):
            return False
        self._texts.append(delta.text)
        return True

    def close(self) -> list[WirePart]:
        for lane in self._waiting:
            lane.ended = True
        return [*self._advance(), *self._speaker.rest()]

    def end(self, choice: int) -> Candidate:
        logprobs = "[" + ",".join(self._logprobs) + "]" if self._logprobs else None
        wire = candidate([Part(text="")], choice)
        return finished(wire, self.finish, self._citations, "".join(self._texts), logprobs)

    def _advance(self) -> list[WirePart]:
        parts: list[WirePart] = []
        while self._waiting and self._waiting[0].ended:
            lane = self._waiting.pop(0)
            whole = lane.whole()
            if isinstance(whole, Reasoning):
                parts += self._speaker.thinking(whole, "")
            elif not isinstance(whole, Text | Refusal):
                parts += self._speaker.whole(whole)
            if self._waiting:
                parts += self._open(self._waiting[0])
        return parts

    def _open(self, lane: _Lane) -> list[WirePart]:
        parts: list[WirePart] = []
        if isinstance(lane.part, Text | Refusal | Reasoning):
            parts += self._piece(lane, lane.part.text)
        if isinstance(lane.part, Text):
            self._citations += lane.part.citations
        for delta in lane.held:
            parts += self._more(lane, delta)
        lane.held.clear()
        return parts

    def _more(self, lane: _Lane, delta: Delta) -> list[WirePart]:
        if isinstance(lane.part, Reasoning | ToolCall):
            lane.add(delta)
        if delta.citation is not None:
            self._citations.append(delta.citation)
        if delta.logprobs is not None:
            self._logprobs.append(delta.logprobs)
        return self._piece(lane, delta.text)

    def _piece(self, lane: _Lane, text: str) -> list[WirePart]:
        if not text:
            return []
        match lane.part:
            case Text() | Refusal():
                self._texts.append(text)
                return [Part(text=text)]
            case Reasoning() if self._shown:
                return [Part(text=text, thought=True)]
            case _:
                return []
