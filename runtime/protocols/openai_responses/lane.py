"""What all lanes of an answer's items share: where their parts go, and a text under way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import msgspec

from generated.types.openai_responses import OutputItem
from runtime.canonical import (
    Delta,
    Event,
    Image,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)  # fmt: skip
from runtime.protocols.base import Outgoing
from runtime.protocols.openai_chat.halves import Joiner

__all__ = ["Lane", "Sink", "Voice", "read_item"]

_ITEM: Final = msgspec.json.Decoder(OutputItem)
_READ: Final = frozenset({"message", "reasoning", "function_call", "custom_tool_call", "image_generation_call"})
"""Kinds of items that are read; others are kept as they came, whatever is in them."""


class _Kind(msgspec.Struct):
    type: str = "message"
    id: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)


def read_item(raw: msgspec.Raw) -> OutputItem:
    """An item of an answer. Of a kind that came later, whose members may be of other types, only kind and id are read."""
    try:
        return _ITEM.decode(raw)
    except msgspec.ValidationError:
        found = _KIND.decode(raw)
        if found.type in _READ:
            raise
        return OutputItem(type=found.type, id=found.id)


class Sink:
    """Where parts go: numbers them, and drops what comes behind a stop string."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.events: list[Event] = []
        self.outgoing = outgoing
        self.response_id = ""
        self.stopped: str | None = None
        self.calls = 0
        self.refused = False
        self.chars = 0  # of the answer's text so far
        self._next = 0

    def start(self, part: Text | Reasoning | Refusal | ToolCall | Image | Native) -> int:
        """The part's index; -1 when nothing more may be said."""
        if self.stopped is not None:
            return -1
        index, self._next = self._next, self._next + 1
        self.events.append(PartStarted(index=index, part=part))
        return index

    def send(self, event: Delta | PartEnded) -> None:
        if event.index >= 0:
            self.events.append(event)


class Voice:
    """One text under way: half characters joined, and what was said kept, so that nothing is said twice."""

    __slots__ = ("_joiner", "_pieces")

    def __init__(self) -> None:
        self._joiner = Joiner()
        self._pieces: list[str] = []

    def add(self, text: str, *, marked: bool) -> str:
        text = self._joiner.add(text, marked=marked)
        self._pieces.append(text)
        return text

    def said(self) -> str:
        return "".join(self._pieces)

    def missing(self, whole: str) -> str:
        """What of ``whole`` was not said; nothing where it is another text."""
        said = self.said()
        more = whole[len(said) :] if len(whole) > len(said) and whole.startswith(said) else ""
        if more:
            self._pieces.append(more)
            self._joiner.rest()
        return more

    def rest(self) -> str:
        return self._joiner.rest()


class Lane(ABC):
    """One item. ``fill`` takes what the finished item tells, ``close`` ends its parts; both may come more than once."""

    kind = ""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.closed = False

    @abstractmethod
    def fill(self, item: OutputItem, raw: msgspec.Raw) -> None: ...

    @abstractmethod
    def close(self) -> None: ...
