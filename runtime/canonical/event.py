"""A streamed answer as events.

Grammar, per choice: ``Started (PartStarted Delta* PartEnded)* Finished``, with one ``Started`` first of all, one
``Finished`` per choice, any number of ``UsageReported`` (cumulative: the last one counts) and one ``Ended`` last of all.
Parts have dense indexes from 0 in order of their start. Parts may overlap: upstreams interleave parallel tool calls.
A stream that stops without ``Ended`` was cut.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.canonical.base import Value
from runtime.canonical.content import Citation, Image, Native, Part, Reasoning, Refusal, Text, ToolCall
from runtime.canonical.response import Choice, Finish, Response
from runtime.canonical.usage import Usage

__all__ = ["Delta", "Ended", "Event", "Finished", "PartEnded", "PartStarted", "Started", "UsageReported", "collect"]


class Started(Value, frozen=True, tag="started"):
    """``usage`` is what the vendor knows at the start, usually the input's counts; zeros otherwise."""

    id: str
    model: str
    created: int = 0
    usage: Usage = Usage()
    service_tier: str | None = None


class PartStarted(Value, frozen=True, tag="part_started"):
    """``part`` is the part as far as it is known: empty text, a call's id and name, an image or native block whole."""

    index: int
    part: Text | Reasoning | Refusal | ToolCall | Image | Native
    choice: int = 0


class Delta(Value, frozen=True, tag="delta"):
    """More of part ``index``.

    ``text`` continues a text, reasoning or refusal, or a tool call's arguments. ``seal`` completes a reasoning part.
    ``citation`` adds one to a text. ``logprobs`` is Chat's JSON text for this piece. ``native`` is the JSON text of a
    delta only ``Native.protocol`` understands.
    """

    index: int
    text: str = ""
    seal: str | None = None
    citation: Citation | None = None
    logprobs: str | None = None
    native: str | None = None
    choice: int = 0


class PartEnded(Value, frozen=True, tag="part_ended"):
    index: int
    choice: int = 0


class Finished(Value, frozen=True, tag="finished"):
    finish: Finish
    choice: int = 0


class UsageReported(Value, frozen=True, tag="usage"):
    usage: Usage
    service_tier: str | None = None


class Ended(Value, frozen=True, tag="ended"):
    """The upstream said that the answer is complete."""


Event = Started | PartStarted | Delta | PartEnded | Finished | UsageReported | Ended


def collect(events: Iterable[Event]) -> Response:
    """The answer that a complete stream amounts to. Raises ValueError when the stream was cut or breaks the grammar."""
    collector = _Collector()
    for event in events:
        collector.add(event)
    return collector.response()


class _Collector:
    def __init__(self) -> None:
        self._started: Started | None = None
        self._usage: Usage | None = None
        self._service_tier: str | None = None
        self._parts: dict[int, dict[int, _Growing]] = {}
        self._finished: dict[int, Finish] = {}
        self._logprobs: dict[int, list[str]] = {}
        self._ended = False

    def add(self, event: Event) -> None:
        match event:
            case Started():
                if self._started is not None:
                    raise ValueError("a second start")
                self._started, self._service_tier = event, event.service_tier
            case PartStarted(index=index, part=part, choice=choice):
                parts = self._parts.setdefault(choice, {})
                if index != len(parts):
                    raise ValueError(f"part {index} starts where {len(parts)} is next")
                parts[index] = _Growing(part)
            case Delta():
                self._parts[event.choice][event.index].add(event)
                if event.logprobs is not None:
                    self._logprobs.setdefault(event.choice, []).append(event.logprobs)
            case PartEnded(index=index, choice=choice):
                self._parts[choice][index].close()
            case Finished(finish=finish, choice=choice):
                self._finished[choice] = finish
            case UsageReported():
                self._usage = event.usage
                self._service_tier = event.service_tier or self._service_tier
            case Ended():
                self._ended = True

    def response(self) -> Response:
        if self._started is None or not self._ended or not self._finished:
            raise ValueError("the stream was cut")
        choices = tuple(
            Choice(
                content=tuple(part.part() for _, part in sorted(self._parts.get(index, {}).items())),
                finish=finish,
                logprobs=_join_logprobs(self._logprobs.get(index)),
            )
            for index, finish in sorted(self._finished.items())
        )
        return Response(
            id=self._started.id,
            model=self._started.model,
            created=self._started.created,
            choices=choices,
            usage=self._usage if self._usage is not None else self._started.usage,
            service_tier=self._service_tier,
        )


class _Growing:
    """A part under way."""

    def __init__(self, part: Text | Reasoning | Refusal | ToolCall | Image | Native) -> None:
        self._start = part
        self._texts: list[str] = []
        self._citations: list[Citation] = []
        self._seal: str | None = None
        self._open = True

    def add(self, delta: Delta) -> None:
        if not self._open:
            raise ValueError(f"part {delta.index} goes on after its end")
        self._texts.append(delta.text)
        if delta.citation is not None:
            self._citations.append(delta.citation)
        if delta.seal is not None:
            self._seal = (self._seal or "") + delta.seal

    def close(self) -> None:
        self._open = False

    def part(self) -> Part:
        more = "".join(self._texts)
        match self._start:
            case Text(text=text, citations=citations, cache=cache):
                return Text(text=text + more, citations=citations + tuple(self._citations), cache=cache)
            case Reasoning(text=text, seal=seal, sealed_by=sealed_by, redacted=redacted):
                sealed = (seal or "") + (self._seal or "") or None
                return Reasoning(
                    text=text + more, seal=sealed, sealed_by=sealed_by if sealed else None, redacted=redacted
                )
            case Refusal(text=text):
                return Refusal(text=text + more)
            case ToolCall(id=id_, name=name, arguments=arguments, custom=custom):
                return ToolCall(id=id_, name=name, arguments=arguments + more, custom=custom)
            case Image() | Native() as whole:
                return whole


def _join_logprobs(pieces: list[str] | None) -> str | None:
    """Chat's logprobs objects, each a JSON array's inside, joined into one array's text."""
    return "[" + ",".join(pieces) + "]" if pieces else None
