"""A provider's answer, whole or in pieces, to canonical events.

Each piece is an answer of its own, whose candidates go on with those of the piece before. A reason to finish ends nothing:
pieces may follow it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from generated.types.gemini import GenerateContentResponse, UsageMetadata
from runtime.canonical import (
    Ended,
    Event,
    Finish,
    Finished,
    Started,
    Usage,
    UsageReported,
)
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.base import Outgoing
from runtime.protocols.gemini.line import Line
from runtime.protocols.gemini.plain import PlainPiece
from runtime.protocols.gemini.usage import (
    Searches,
    blocked,
    decode_finish,
    decode_tier,
    decode_usage,
    usage_of,
)

__all__ = ["Assembly"]


class Assembly:
    def __init__(self, outgoing: Outgoing) -> None:
        self.started = False
        self._outgoing = outgoing
        self._id = ""
        self._model = ""
        self._lines: dict[int, Line] = {}
        self._blocked: Finish | None = None
        self._usage: Usage | None = None
        self._counted: UsageMetadata | None = None  # by the last piece, where that was a plain one
        self._searches = Searches()
        self._searched = 0

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        if not self._lines:
            return self._blocked is not None
        return self._blocked is not None or all(line.reason for line in self._lines.values())

    def take(self, answer: GenerateContentResponse, events: list[Event]) -> None:
        """Add a piece. Raises UpstreamProtocolError for what is not sound in it, after the events before that."""
        candidates = present(answer.candidates) or []
        self._counted = None
        self._model = present(answer.modelVersion) or self._model
        self._searched = self._searches.take(candidates, self._model)
        if not self.started:
            self._start(answer, events)
        self._blocked = blocked(answer) or self._blocked
        for place, candidate in enumerate(candidates):
            index = present(candidate.index)
            self._line(place if index is None else index).take(candidate, events)
        self._count(answer, events)

    def take_plain(self, piece: PlainPiece, events: list[Event]) -> None:
        """As `take`, for a piece of an answer that has begun."""
        self._model = piece.modelVersion or self._model
        candidate = piece.candidates[0]
        self._line(candidate.index).take_plain(candidate.content.parts, events)
        counted = piece.usageMetadata
        if counted is msgspec.UNSET or counted == self._counted:
            return
        self._counted = counted
        self._report(decode_usage(counted, self._searched), counted, events)

    def end(self, events: list[Event], *, whole: bool = False) -> None:
        """The answer is over. ``whole``: it came in one piece, so that it needs no reason to be complete."""
        if not self._lines and self._blocked is None:
            raise UpstreamProtocolError("The provider's answer holds no candidates.")
        for index, line in sorted(self._lines.items()):
            line.close(events)
            finish = decode_finish(line.reason, line.message, calls=line.calls > 0)
            if not line.reason and self._blocked is not None:
                finish = self._blocked
            elif not line.reason and not whole:
                raise UpstreamProtocolError("The provider's stream ended before the answer was complete.")
            events.append(Finished(finish=finish, choice=index))
        if not self._lines and self._blocked is not None:
            events.append(Finished(finish=self._blocked))
        events.append(Ended())

    def _line(self, index: int) -> Line:
        if index not in self._lines:
            self._lines[index] = Line(index, self._id, self._outgoing)
        return self._lines[index]

    def _start(self, answer: GenerateContentResponse, events: list[Event]) -> None:
        self.started = True
        self._id = present(answer.responseId) or ""
        usage = usage_of(answer) or Usage()
        events.append(
            Started(
                id=self._id,
                model=self._model,
                created=_seconds(present(answer.createTime)),
                usage=msgspec.structs.replace(usage, output=0, reasoning=0, audio_output=0),
            )
        )

    def _count(self, answer: GenerateContentResponse, events: list[Event]) -> None:
        usage = usage_of(answer, self._searched)
        if usage is not None:
            self._report(usage, present(answer.usageMetadata), events)

    def _report(self, usage: Usage, counted: UsageMetadata | None, events: list[Event]) -> None:
        if usage != self._usage:
            self._usage = usage
            events.append(UsageReported(usage=usage, service_tier=decode_tier(counted)))


def _seconds(time: str | None) -> int:
    try:
        return int(datetime.fromisoformat(time).timestamp()) if time else 0
    except ValueError:
        return 0
