"""What a client was told of one answer, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.canonical import (
    Delta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
)

__all__ = ["Told", "ToldPart", "written"]

MAX_TOLD: Final = 8 << 20
"""Characters of an answer that are remembered. A longer one is not gone on with."""


class ToldPart:
    """One part as far as it was told. ``index`` is the client's."""

    __slots__ = ("_pieces", "ended", "index", "part")

    def __init__(self, event: PartStarted) -> None:
        self.index = event.index
        self.part = event.part
        self.ended = False
        self._pieces = [written(event)]

    @property
    def text(self) -> str:
        """What it says, or a tool call's arguments."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def add(self, text: str) -> None:
        self._pieces.append(text)


class Told:
    """``begun``: at least that there is an answer. ``complete``: also why the answer ended. ``lost``: it was too much to remember, or has several choices."""

    def __init__(self) -> None:
        self.parts: list[ToldPart] = []
        self.begun = False
        self.complete = False
        self.lost = False
        self._size = 0

    def note(self, events: Sequence[Event]) -> None:
        """These are told now."""
        if self.lost:
            return
        for event in events:
            match event:
                case Delta(index=index, text=text, choice=0):
                    if text:
                        self.parts[index].add(text)
                        self._size += len(text)
                case PartStarted(choice=0):
                    self.parts.append(ToldPart(event))
                case PartEnded(index=index, choice=0):
                    self.parts[index].ended = True
                case Finished():
                    self.complete = True
                case Started():
                    self.begun = True
                case Delta() | PartStarted() | PartEnded():
                    self._forget()
                    return
                case _:
                    continue
        if self._size > MAX_TOLD:
            self._forget()

    def _forget(self) -> None:
        self.lost = True
        self.parts.clear()


def written(event: PartStarted) -> str:
    """What a part says already where it begins."""
    match event.part:
        case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
            return text
        case ToolCall(arguments=arguments):
            return arguments
        case _:
            return ""
