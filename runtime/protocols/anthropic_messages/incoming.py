"""A provider's content block under way: its pieces to the events of one canonical part.

One class per kind, each made at a block's start, fed with its deltas, and told of its end. They share a `Position`.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Protocol

import msgspec
from typing_extensions import override

from generated.types.anthropic_messages import ReceivedBlock, ReceivedDelta
from runtime.canonical import Citation, Delta, Event, Native, PartEnded, PartStarted, Reasoning, Text, ToolCall
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.content import citation
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields, compact_object, text_of
from runtime.protocols.base import Outgoing
from runtime.protocols.free_text import unwrapped

__all__ = ["Block", "CallBlock", "NativeBlock", "Position", "TextBlock", "ThinkingBlock"]

_FIELDS: Final = msgspec.json.Decoder(Fields)
_CITATIONS: Final = msgspec.json.Decoder(list[Fields])
_TEXT: Final = msgspec.json.Decoder(str)


class Position:
    """How far the answer has come: the next part's index, and the characters of text so far."""

    def __init__(self) -> None:
        self.parts = 0
        self.chars = 0

    def next_part(self) -> int:
        self.parts += 1
        return self.parts - 1


class Block(Protocol):
    """``kind`` tells them apart: `isinstance` of a protocol's classes runs in Python, for every delta.

    ``member`` is where a delta has the words that are `said`; empty where all of a delta counts.
    """

    kind: ClassVar[Literal["text", "thinking", "call", "native"]]
    member: ClassVar[str]

    def start(self, given: ReceivedBlock) -> list[Event]: ...

    def more(self, delta: ReceivedDelta, raw: msgspec.Raw | None) -> list[Event]:
        """``raw`` is the delta's JSON, given to native blocks."""
        ...

    def said(self, words: str) -> list[Event]:
        """A delta that says ``words`` and nothing else."""
        ...

    def stop(self) -> list[Event]: ...


class TextBlock(Block):
    """Citations are held until the end, when it is known which text they are about."""

    kind = "text"
    member = "text"

    def __init__(self, position: Position) -> None:
        self._position = position
        self._index = position.next_part()
        self._from = position.chars
        self._citations: list[Fields] = []

    @override
    def start(self, given: ReceivedBlock) -> list[Event]:
        text = present(given.text) or ""
        self._position.chars += len(text)
        cited = present(given.citations)
        if cited is not None:
            self._citations += _CITATIONS.decode(cited)
        return [PartStarted(index=self._index, part=Text(text=text))]

    @override
    def more(self, delta: ReceivedDelta, raw: msgspec.Raw | None) -> list[Event]:
        text = delta.text
        if not isinstance(text, str):
            cited = present(delta.citation)
            if cited is not None:
                self._citations.append(_FIELDS.decode(cited))
            return []
        return self.said(text)

    @override
    def said(self, words: str) -> list[Event]:
        if not words:
            return []
        self._position.chars += len(words)
        return [Delta(index=self._index, text=words)]

    @override
    def stop(self) -> list[Event]:
        found: list[Citation] = [citation(fields, self._from, self._position.chars) for fields in self._citations]
        return [*(Delta(index=self._index, citation=one) for one in found), PartEnded(index=self._index)]


class ThinkingBlock(Block):
    """Thinking, shown, hidden (only the signature comes) or redacted (only the data is there)."""

    kind = "thinking"
    member = "thinking"

    def __init__(self, position: Position) -> None:
        self._index = position.next_part()

    @override
    def start(self, given: ReceivedBlock) -> list[Event]:
        redacted = given.type == "redacted_thinking"
        seal = present(given.data) if redacted else present(given.signature)
        part = Reasoning(text=present(given.thinking) or "", seal=seal or None, sealed_by=PROTOCOL, redacted=redacted)
        return [PartStarted(index=self._index, part=part)]

    @override
    def more(self, delta: ReceivedDelta, raw: msgspec.Raw | None) -> list[Event]:
        text, seal = present(delta.thinking) or "", present(delta.signature) or None
        return [Delta(index=self._index, text=text, seal=seal)] if text or seal else []

    @override
    def said(self, words: str) -> list[Event]:
        return [Delta(index=self._index, text=words)] if words else []

    @override
    def stop(self) -> list[Event]:
        return [PartEnded(index=self._index)]


class CallBlock(Block):
    """A call. Input that came whole with the start counts only when no fragments follow."""

    kind = "call"
    member = "partial_json"

    def __init__(self, position: Position, outgoing: Outgoing) -> None:
        self._index = position.next_part()
        self._outgoing = outgoing
        self._whole = "{}"
        self._custom = False
        self._held: list[str] = []
        self._any = False

    @override
    def start(self, given: ReceivedBlock) -> list[Event]:
        id_, name = present(given.id), present(given.name)
        if not id_ or not name:
            raise UpstreamProtocolError("The provider's stream holds a tool call without an id or a name.")
        whole = present(given.input)
        self._whole = text_of(whole) if whole is not None else "{}"
        self._custom = name in self._outgoing.custom_tools
        part = ToolCall(id=id_, name=self._outgoing.tool_names.get(name, name), custom=self._custom)
        return [PartStarted(index=self._index, part=part)]

    @override
    def more(self, delta: ReceivedDelta, raw: msgspec.Raw | None) -> list[Event]:
        return self.said(present(delta.partial_json) or "")

    @override
    def said(self, words: str) -> list[Event]:
        if not words:
            return []
        self._any = True
        if self._custom:  # its text can be read out only when the JSON around it is whole
            self._held.append(words)
            return []
        return [Delta(index=self._index, text=words)]

    @override
    def stop(self) -> list[Event]:
        rest = "" if self._any else self._whole
        if self._custom:
            rest = unwrapped("".join(self._held) or rest)
        return [*([Delta(index=self._index, text=rest)] if rest else []), PartEnded(index=self._index)]


class NativeBlock(Block):
    """A block of the vendor's own, given on whole: its deltas are put into it."""

    kind = "native"
    member = ""

    def __init__(self, position: Position, raw: msgspec.Raw) -> None:
        self._position = position
        self._raw = raw
        self._kind = ""
        self._input: list[str] = []
        self._fields: Fields = {}

    @override
    def start(self, given: ReceivedBlock) -> list[Event]:
        self._kind = given.type
        return []

    @override
    def more(self, delta: ReceivedDelta, raw: msgspec.Raw | None) -> list[Event]:
        fragment = present(delta.partial_json)
        if fragment is not None:
            self._input.append(fragment)
        elif raw is not None:
            for name, value in _FIELDS.decode(raw).items():
                if name != "type":
                    self._fields[name] = _joined(self._fields.get(name), value)
        return []

    @override
    def said(self, words: str) -> list[Event]:
        raise AssertionError("the vendor's own blocks are given all of a delta")

    @override
    def stop(self) -> list[Event]:
        json = text_of(self._raw)
        if "".join(self._input):
            self._fields["input"] = compact_object("".join(self._input))
        if self._fields:
            before = _FIELDS.decode(self._raw)
            after = {name: _joined(before.get(name), value) for name, value in self._fields.items() if name != "input"}
            after |= {"input": self._fields["input"]} if "input" in self._fields else {}
            json = msgspec.json.encode({**before, **after}).decode()
        index = self._position.next_part()
        part = Native(protocol=PROTOCOL, block=self._kind, json=json)
        return [PartStarted(index=index, part=part), PartEnded(index=index)]


def _joined(before: msgspec.Raw | None, more: msgspec.Raw) -> msgspec.Raw:
    """Texts grow, all else is replaced."""
    if before is not None and bytes(before)[:1] == b'"' and bytes(more)[:1] == b'"':
        return msgspec.Raw(msgspec.json.encode(_TEXT.decode(before) + _TEXT.decode(more)))
    return more
