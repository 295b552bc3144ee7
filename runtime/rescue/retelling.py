"""An answer told again by somebody else: what repeats what was told is dropped, and the rest goes on from there.

Pure: events in, events out. Nothing that was told is ever contradicted: an answer that goes another way raises. Thoughts
are no part of the answer: others than were told are told beside them while nothing else was, and dropped later.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from typing_extensions import override

from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)  # fmt: skip
from runtime.rescue.told import Told, ToldPart, written

__all__ = ["DivergedError", "Retelling"]


class DivergedError(Exception):
    """The new answer is not the one that was begun."""


class Retelling:
    """One attempt to go on from ``told``, in which whatever comes out of here is noted.

    ``prefilled`` is what of the text the new answer was given to go on from, None where it begins afresh.
    """

    def __init__(self, told: Told, prefilled: str | None) -> None:
        seen = [part for part in told.parts if not isinstance(part.part, Reasoning)]
        self.told = told
        self._prefilled = prefilled
        self._left = [] if prefilled is not None else seen
        self._last = seen[-1] if seen else None
        self._thoughts = [] if seen else list(told.parts)
        self._lanes: dict[int, _Lane] = {}

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """What of ``events`` the client does not know yet. Raises DivergedError."""
        out: list[Event] = []
        for event in events:
            match event:
                case PartStarted(choice=0):
                    self._start(event, out)
                case Delta(choice=0):
                    self._lanes[event.index].take(event, out)
                case PartEnded(choice=0):
                    self._lanes[event.index].end(out)
                case Finished(choice=0):
                    self._finish(event, out)
                case UsageReported() | Ended():
                    out.append(event)
                case Started():
                    if not self.told.begun:
                        self.tell(event, out)
                case _:
                    raise DivergedError("it has several choices")
        return out

    def tell(self, event: Event, out: list[Event]) -> None:
        self.told.note((event,))
        out.append(event)

    def begin(self, event: PartStarted, out: list[Event]) -> ToldPart:
        """A part that the client does not have. Parts that nobody goes on with are ended before it."""
        self._close(out, {lane.old.index for lane in self._lanes.values() if lane.old is not None and not lane.over})
        self.tell(PartStarted(index=len(self.told.parts), part=event.part), out)
        return self.told.parts[-1]

    def _start(self, event: PartStarted, out: list[Event]) -> None:
        lane = self._lanes[event.index] = self._lane(event, out)
        first = written(event)
        if first and not isinstance(lane, _New):
            lane.take(Delta(index=event.index, text=first), out)

    def _lane(self, event: PartStarted, out: list[Event]) -> _Lane:
        if isinstance(event.part, Reasoning):
            if self._thoughts and not event.part.redacted:
                return _Again(self, self._thoughts.pop(0), event, last=True)
            return _Lane() if self._behind() else _New(self, event, out)
        if self._prefilled is not None and isinstance(event.part, Text):
            given, self._prefilled = self._prefilled, None
            assert self._last is not None, "there is text to go on from"
            return _Onward(self, self._last, event, given)
        while self._left:
            old = self._left.pop(0)
            if isinstance(old.part, Text) and not old.text and not isinstance(event.part, Text):
                continue
            if not _same(old, event):
                raise DivergedError("it has other parts")
            return _Again(self, old, event, last=old is self._last)
        return _New(self, event, out)

    def _behind(self) -> bool:
        """Whether something that was told was not told again yet."""
        return bool(self._left) or any(not lane.whole for lane in self._lanes.values())

    def _finish(self, event: Finished, out: list[Event]) -> None:
        if any(part.text or not isinstance(part.part, Text) for part in self._left):
            raise DivergedError("it ends earlier")
        for lane in self._lanes.values():
            lane.end(out)
        self._close(out, set())
        self.tell(event, out)

    def _close(self, out: list[Event], but: set[int]) -> None:
        for part in self.told.parts:
            if not part.ended and part.index not in but:
                self.tell(PartEnded(index=part.index), out)


class _Lane:
    """Where one part of the new answer goes: nowhere. ``old`` is the told part that it goes on with."""

    old: ToldPart | None = None
    over = False
    whole = True

    def take(self, delta: Delta, out: list[Event]) -> None:
        """More of it."""

    def end(self, out: list[Event]) -> None:  # noqa: ARG002 — the others tell it
        """It has ended. A second end is no event."""
        self.over = True


class _New(_Lane):
    """A part that the client did not have."""

    def __init__(self, telling: Retelling, event: PartStarted, out: list[Event]) -> None:
        self._telling = telling
        self.old = telling.begin(event, out)

    @override
    def take(self, delta: Delta, out: list[Event]) -> None:
        assert self.old is not None
        self._telling.tell(msgspec.structs.replace(delta, index=self.old.index), out)

    @override
    def end(self, out: list[Event]) -> None:
        if not self.over and self.old is not None and not self.old.ended:
            self._telling.tell(PartEnded(index=self.old.index), out)
        self.over = True


class _Again(_Lane):
    """A part that the client has the beginning of. ``last``: nothing was told behind it."""

    def __init__(self, telling: Retelling, old: ToldPart, event: PartStarted, *, last: bool) -> None:
        self._telling = telling
        self._part = event.part
        self._goal = old.text
        self._heard = ""
        self._seal: str | None = None
        self._last = last
        self.old = old
        self.whole = not self._goal

    @override
    def take(self, delta: Delta, out: list[Event]) -> None:
        if self.whole:
            self._pass(delta, out)
            return
        self._heard += delta.text
        self._seal = delta.seal or self._seal
        if len(self._heard) < len(self._goal):
            if not self._goal.startswith(self._heard):
                self._differs(out)
        elif self._heard.startswith(self._goal):
            self.whole = True
            rest = self._heard[len(self._goal) :]
            self._pass(Delta(index=delta.index, text=rest, seal=delta.seal, citation=delta.citation), out)
        else:
            self._differs(out)

    @override
    def end(self, out: list[Event]) -> None:
        if self.over:
            return
        if not self.whole:
            self._differs(out)
        if self.old is not None and not self.old.ended:
            self._telling.tell(PartEnded(index=self.old.index), out)
        self.over = True

    def _pass(self, delta: Delta, out: list[Event]) -> None:
        """More than was told."""
        old, part = self.old, self._part
        assert old is not None
        if isinstance(old.part, Reasoning) and isinstance(part, Reasoning) and old.part.sealed_by != part.sealed_by:
            delta = msgspec.structs.replace(delta, seal=None)
        if old.ended:
            if not delta.text:
                return
            if not isinstance(part, Text) or not self._last:
                raise DivergedError("a part goes on that had ended")
            self._begin(delta, out)
        elif delta.text or delta.seal or delta.citation or delta.native:
            self._telling.tell(msgspec.structs.replace(delta, index=old.index), out)

    def _begin(self, delta: Delta, out: list[Event]) -> None:
        """Go on in a part of its own."""
        self.whole = True
        self.old = _anew(self, self._telling, self._part, out)
        self._telling.tell(msgspec.structs.replace(delta, index=self.old.index), out)

    def _differs(self, out: list[Event]) -> None:
        """Other thoughts are told beside the old ones; anything else is another answer."""
        if not isinstance(self._part, Reasoning):
            raise DivergedError("it says something else")
        self._begin(Delta(index=0, text=self._heard, seal=self._seal), out)


class _Onward(_Lane):
    """Text that goes on from what was given as its beginning, or, from some providers, begins with all of that again."""

    def __init__(self, telling: Retelling, old: ToldPart, event: PartStarted, given: str) -> None:
        self._telling = telling
        self._part = event.part
        self._given = given
        said = "".join(part.text for part in telling.told.parts)
        self._space = said[len(given) :]
        self._heard: str | None = ""
        self.old = old

    @override
    def take(self, delta: Delta, out: list[Event]) -> None:
        if self._heard is None:
            self._pass(delta, out)
            return
        self._heard += delta.text
        if not (self._given.startswith(self._heard) or self._space.startswith(self._heard)):
            self._decide(out)

    @override
    def end(self, out: list[Event]) -> None:
        if self.over:
            return
        self._decide(out)
        if self.old is not None and not self.old.ended:
            self._telling.tell(PartEnded(index=self.old.index), out)
        self.over = True

    def _decide(self, out: list[Event]) -> None:
        """Drop what repeats the text, or the white space at its end."""
        if self._heard is None:
            return
        heard, self._heard = self._heard.removeprefix(self._given), None
        at = 0
        while at < min(len(heard), len(self._space)) and heard[at] == self._space[at]:
            at += 1
        self._pass(Delta(index=0, text=heard[at:]), out)

    def _pass(self, delta: Delta, out: list[Event]) -> None:
        assert self.old is not None
        if self.old.ended and delta.text:
            self.old = _anew(self, self._telling, self._part, out)
        if not self.old.ended and (delta.text or delta.citation):
            self._telling.tell(msgspec.structs.replace(delta, index=self.old.index), out)


def _anew(lane: _Lane, telling: Retelling, part: object, out: list[Event]) -> ToldPart:
    """A part of the same kind with nothing in it yet; the one that ``lane`` went on with is ended."""
    lane.over = True
    empty = Reasoning(sealed_by=part.sealed_by) if isinstance(part, Reasoning) else Text(text="")
    old = telling.begin(PartStarted(index=0, part=empty), out)
    lane.over = False
    return old


def _same(old: ToldPart, event: PartStarted) -> bool:
    match old.part, event.part:
        case ToolCall(name=name, custom=custom), ToolCall() as call:
            return (name, custom) == (call.name, call.custom)
        case (Text(), Text()) | (Refusal(), Refusal()):
            return True
        case one, other:
            return one == other
