"""One candidate of a provider's answer to canonical events, as its pieces come.

Texts and thoughts of pieces that follow one another are one part. Signatures become parts that say where they stood.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from generated.types.gemini import Candidate, FunctionCall, Part
from runtime.canonical import (
    Base64Source,
    Citation,
    Delta,
    Event,
    Image,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    Text,
    ToolCall,
)
from runtime.errors import InvalidRequest, UpstreamProtocolError
from runtime.protocols.absent import is_null, present
from runtime.protocols.base import Outgoing
from runtime.protocols.free_text import unwrapped
from runtime.protocols.gemini.grounding import read_citations
from runtime.protocols.gemini.growing import GrowingCall, says_nothing
from runtime.protocols.gemini.logprobs import read_logprobs
from runtime.protocols.gemini.media import standard
from runtime.protocols.gemini.plain import PlainPart
from runtime.protocols.gemini.signature import own
from runtime.protocols.gemini.usage import finish_reason
from runtime.protocols.gemini.wire import PROTOCOL, text_of

__all__ = ["Line"]

_PART: Final = msgspec.json.Decoder(Part, strict=False)
_NATIVE: Final = (
    "inlineData", "fileData", "executableCode", "codeExecutionResult", "toolCall", "toolResponse", "functionResponse",
)  # fmt: skip


class Line:
    """One choice. ``open`` is the part that the next piece may continue."""

    def __init__(self, choice: int, response_id: str, outgoing: Outgoing) -> None:
        self.reason: str | None = None
        self.message: str | None = None
        self.calls = 0
        self._choice = choice
        self._response_id = response_id
        self._outgoing = outgoing
        self._parts = 0
        self._open: Literal["text", "thought"] | None = None
        self._texts: list[str] = []
        self._citations: list[Citation] = []
        self._cited: list[Citation] = []
        self._logprobs: str | None = None
        self._growing: GrowingCall | None = None

    def take(self, candidate: Candidate, events: list[Event]) -> None:
        reason = finish_reason(candidate)
        content = present(candidate.content)
        parts = [_read(raw) for raw in (present(content.parts) if content else None) or ()]
        self._cite(candidate, [part for part, _ in parts])
        logprobs = present(candidate.logprobsResult)
        self._logprobs = read_logprobs(logprobs) if logprobs else None
        for part, raw in parts:
            self._take(part, raw, events)
        if self._open == "text":
            self._say_citations(events)
        self.reason = reason or self.reason
        self.message = present(candidate.finishMessage) or self.message

    def take_plain(self, parts: Sequence[PlainPart], events: list[Event]) -> None:
        self._logprobs = None
        for part in parts:
            if part.text and self._growing is not None:
                self._grown(events)
            if part.thought:
                self._think(part.text, "", events)
            else:
                self._say(part.text, events)
        if self._citations and self._open == "text":
            self._say_citations(events)

    def close(self, events: list[Event]) -> None:
        if self._growing is not None:
            self._grown(events, cut=self._growing.expects_more and self.reason != "STOP")
        self._close(events)
        if self._citations:  # their text is over already: they get a place of their own
            self._begin("text", events)
            self._close(events)

    def _take(self, part: Part, raw: msgspec.Raw, events: list[Event]) -> None:
        signature = present(part.thoughtSignature) or ""
        text, call, blob = present(part.text), present(part.functionCall), present(part.inlineData)
        if call is not None and self._goes_on(call):
            self._grow(call, signature, events)
            return
        if text != "" or signature:
            self._grown(events)
        if call is not None:
            self._close(events)
            if signature:
                self._whole(own("call", signature), events)
            self._call(call, events)
        elif present(part.thought) and text is not None:
            self._think(text, signature, events)
        elif text is not None:
            self._say(text, events)
            self._sign("text", signature, events)
        elif blob is not None and (present(blob.mimeType) or "").startswith("image/"):
            self._close(events)
            self._whole(_image(present(blob.mimeType) or "", present(blob.data) or ""), events)
            self._sign("data", signature, events)
        else:
            self._native(part, raw, signature, events)

    def _say(self, text: str, events: list[Event]) -> None:
        if not text:
            return
        self._begin("text", events)
        self._texts.append(text)
        logprobs, self._logprobs = self._logprobs, None
        events.append(Delta(index=self._parts - 1, text=text, logprobs=logprobs, choice=self._choice))

    def _think(self, text: str, signature: str, events: list[Event]) -> None:
        if not text and not signature:
            return
        self._begin("thought", events)
        seal = f"thought.{signature}" if signature else None
        events.append(Delta(index=self._parts - 1, text=text, seal=seal, choice=self._choice))
        if signature:
            self._close(events)

    def _sign(self, kind: str, signature: str, events: list[Event]) -> None:
        if signature:
            self._close(events)
            self._whole(own(kind, signature), events)

    def _native(self, part: Part, raw: msgspec.Raw, signature: str, events: list[Event]) -> None:
        block = next((name for name in _NATIVE if present(getattr(part, name)) is not None), None)
        if block is not None:
            self._close(events)
            self._whole(Native(protocol=PROTOCOL, block=block, json=text_of(raw)), events)
        else:
            self._sign("text", signature, events)

    def _goes_on(self, given: FunctionCall) -> bool:
        """Whether it is a piece of the call before, which need not repeat its name; or an end that was said already."""
        name, growing = present(given.name), self._growing
        if growing is None:
            return not name and self.calls > 0 and says_nothing(given)
        return not name or (name == growing.name and growing.expects_more)

    def _grow(self, given: FunctionCall, signature: str, events: list[Event]) -> None:
        if self._growing is not None:
            self._growing.take(given)
            self._growing.signature = signature or self._growing.signature
            if says_nothing(given):
                self._grown(events)

    def _grown(self, events: list[Event], *, cut: bool = False) -> None:
        """The call that came in pieces is over."""
        growing, self._growing = self._growing, None
        if growing is None:
            return
        arguments = growing.text(cut=cut)
        arguments = unwrapped(arguments) if growing.custom else arguments
        events.append(Delta(index=growing.index, text=arguments, choice=self._choice))
        events.append(PartEnded(index=growing.index, choice=self._choice))
        self._sign("text", growing.signature, events)

    def _call(self, given: FunctionCall, events: list[Event]) -> None:
        name, args = present(given.name), present(given.args)
        if not name:
            raise UpstreamProtocolError("The provider's answer holds a call without a name.")
        id_ = present(given.id) or self._made_id()
        self.calls += 1
        custom = name in self._outgoing.custom_tools
        index = self._start(ToolCall(id=id_, name=self._outgoing.tool_names.get(name, name), custom=custom), events)
        if present(given.willContinue) or present(given.partialArgs) is not None:
            self._growing = GrowingCall(name, index, custom=custom)
            self._growing.take(given)
            return
        arguments = "{}" if args is None or is_null(args) else text_of(args)
        arguments = unwrapped(arguments) if custom else arguments
        if arguments:
            events.append(Delta(index=index, text=arguments, choice=self._choice))
        events.append(PartEnded(index=index, choice=self._choice))

    def _made_id(self) -> str:
        """An id for a call that came without one: the same in every reading of the same answer, another in each answer."""
        made = hashlib.sha256(f"{self._response_id} {self._choice} {self.calls}".encode())
        if not self._response_id:  # then what was asked tells one answer of a conversation from the next
            made.update(self._outgoing.body)
        return "call_" + made.hexdigest()[:24]

    def _cite(self, candidate: Candidate, parts: list[Part]) -> None:
        """Note what the piece names as sources; they may be named again in a later one."""
        if present(candidate.groundingMetadata) is None and present(candidate.citationMetadata) is None:
            return
        said = ["" if present(part.thought) else present(part.text) or "" for part in parts]
        texts = ["".join((*self._texts, *said))] if self._texts else said or [""]
        for citation in read_citations(candidate, texts):
            if citation not in self._cited:
                self._cited.append(citation)
                self._citations.append(citation)

    def _say_citations(self, events: list[Event]) -> None:
        index = self._parts - 1
        events += [Delta(index=index, citation=found, choice=self._choice) for found in self._citations]
        self._citations.clear()

    def _begin(self, kind: Literal["text", "thought"], events: list[Event]) -> None:
        if self._open != kind:
            self._close(events)
            self._start(Text(text="") if kind == "text" else Reasoning(sealed_by=PROTOCOL), events)
            self._open = kind

    def _close(self, events: list[Event]) -> None:
        if self._open is None:
            return
        if self._open == "text":
            self._say_citations(events)
        events.append(PartEnded(index=self._parts - 1, choice=self._choice))
        self._open = None

    def _start(self, part: Text | Reasoning | ToolCall | Image | Native, events: list[Event]) -> int:
        events.append(PartStarted(index=self._parts, part=part, choice=self._choice))
        self._parts += 1
        return self._parts - 1

    def _whole(self, part: Reasoning | Image | Native, events: list[Event]) -> None:
        events.append(PartEnded(index=self._start(part, events), choice=self._choice))


def _read(raw: msgspec.Raw) -> tuple[Part, msgspec.Raw]:
    try:
        return _PART.decode(raw), raw
    except msgspec.DecodeError as error:
        raise UpstreamProtocolError(f"The provider's answer holds a part that is not sound: {error}.") from None


def _image(media_type: str, data: str) -> Image:
    try:
        return Image(source=Base64Source(media_type=media_type, data=standard(data)))
    except InvalidRequest:
        raise UpstreamProtocolError("The provider's answer holds a picture that is not base64.") from None
