"""Canonical events to a Chat client's stream: a role first, one finish chunk per choice, usage if asked for, `[DONE]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finished,
    Image,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)  # fmt: skip
from runtime.errors import GatewayError
from runtime.protocols.base import Answer, StreamEncoder
from runtime.protocols.openai_chat.errors import error_json
from runtime.protocols.openai_chat.finish import DONE, write_finish
from runtime.protocols.openai_chat.reasoning import write_details
from runtime.protocols.openai_chat.response import annotation_json, image_json, is_legacy, json, tier_json
from runtime.protocols.openai_chat.signature import extra_for_client
from runtime.protocols.openai_chat.usage import write_usage

__all__ = ["ChatEncoder"]

_ROLE: Final = b'{"role":"assistant","content":"","refusal":null}'
_GOES_ON: Final = b',"logprobs":null,"finish_reason":null}'


class _Part:
    """A part under way: ``open`` and ``close`` are what a delta's text stands between in its chunk."""

    __slots__ = ("close", "length", "open", "part", "seal", "start", "texts")

    def __init__(self, part: object, opening: bytes, closing: bytes) -> None:
        self.part = part
        self.open = opening
        self.close = closing
        self.start = 0
        self.length = 0
        self.seal = ""
        self.texts: list[str] = []


class _Choice:
    """One choice under way: where its chunks begin and end, and what it has had."""

    __slots__ = ("calls", "chars", "parts", "prefix", "refused", "sealed")

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.parts: dict[int, _Part] = {}
        self.calls = 0
        self.chars = 0
        self.refused = False
        self.sealed: tuple[int, Reasoning] | None = None
        """The last sealed thinking that ended, and its number."""


class ChatEncoder(StreamEncoder):
    """One stream. Chunks share their beginning and end, which are made once."""

    content_type = "text/event-stream"
    keep_alive: bytes | None = b": keep-alive\n\n"

    def __init__(self, answer: Answer) -> None:
        request = answer.request
        self._answer = answer
        self._legacy = is_legacy(answer)
        self._show_usage = request is not None and request.include_usage
        self._head = b""
        self._tail = b"}\n\n"
        self._rest = _GOES_ON + self._tail
        self._choices: dict[int, _Choice] = {}
        self._usage = Usage()

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case Delta():
                    self._delta(event, out)
                case PartStarted(index=index, part=part, choice=choice):
                    self._start_part(self._choice(choice, out), index, part, out)
                case PartEnded(index=index, choice=choice):
                    self._end_part(self._choices[choice], index, out)
                case Started():
                    self._start(event, out)
                case Finished():
                    self._finish(event, out)
                case UsageReported(usage=usage):
                    self._usage = usage
                case Ended():
                    self._end(out)
        return b"".join(out)

    @override
    def fail(self, error: GatewayError) -> bytes:
        return b"data: %b\n\n" % error_json(error)

    def _start(self, event: Started, out: list[bytes]) -> None:
        self._usage = event.usage
        self._head = b'data: {"id":"chatcmpl-%b","object":"chat.completion.chunk","created":%d,"model":%b%b,"choices":[' % (
            self._answer.id.encode(), event.created or self._answer.created, json(self._answer.model),
            tier_json(event.service_tier),
        )  # fmt: skip
        self._tail = b'],"usage":null}\n\n' if self._show_usage else b"]}\n\n"
        self._rest = _GOES_ON + self._tail
        self._choice(0, out)

    def _choice(self, index: int, out: list[bytes]) -> _Choice:
        """The choice; its role goes out when it is first spoken of."""
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(b'%b{"index":%d,"delta":' % (self._head, index))
            out.append(self._chunk(choice, _ROLE))
        return choice

    def _chunk(self, choice: _Choice, delta: bytes) -> bytes:
        return choice.prefix + delta + self._rest

    def _part(self, choice: _Choice, part: object, opening: bytes, closing: bytes) -> _Part:
        return _Part(part, choice.prefix + opening, closing + self._rest)

    def _start_part(self, choice: _Choice, index: int, started: object, out: list[bytes]) -> None:
        match started:
            case Text(text=text):
                part = self._part(choice, started, b'{"content":', b"}")
                part.start = choice.chars
            case Reasoning(text=text):
                part = self._part(choice, started, b'{"reasoning_content":', b"}")
                part.seal = started.seal or ""
            case Refusal(text=text):
                part = self._part(choice, started, b'{"refusal":', b"}")
                choice.refused = True
            case ToolCall():
                choice.parts[index] = self._start_call(choice, index, started, out)
                return
            case Image():
                shown = image_json(started)
                if shown:
                    out.append(self._chunk(choice, b'{"images":[%b]}' % shown))
                return
            case _:  # a block of another protocol: nothing a Chat client could read
                return
        choice.parts[index] = part
        if text:
            self._say(choice, part, text, None, out)
        if isinstance(started, Text):
            for citation in started.citations:
                self._cite(choice, part, Delta(index=index, citation=citation), out)

    def _start_call(self, choice: _Choice, index: int, call: ToolCall, out: list[bytes]) -> _Part:
        number = choice.calls
        choice.calls += 1
        if self._legacy:
            if number:  # the old form has room for one call
                return _Part(call, b"", b"")
            named = json({"name": call.name, "arguments": call.arguments})
            out.append(self._chunk(choice, b'{"function_call":%b}' % named))
            return self._part(choice, call, b'{"function_call":{"arguments":', b"}}")
        kind, field = (b"custom", b"input") if call.custom else (b"function", b"arguments")
        head = b'{"tool_calls":[{"index":%d,' % number
        before = choice.sealed
        extra = extra_for_client(before[1]) if before is not None and before[0] == index - 1 else None
        out.append(self._chunk(choice, b'%b"id":%b,"type":"%b","%b":{"name":%b,"%b":%b}%b}]}' % (
            head, json(call.id), kind, kind, json(call.name), field, json(call.arguments),
            b',"extra_content":%b' % extra if extra else b"",
        )))  # fmt: skip
        return self._part(choice, call, b'%b"%b":{"%b":' % (head, kind, field), b"}}]}")

    def _delta(self, delta: Delta, out: list[bytes]) -> None:
        choice = self._choices[delta.choice]
        part = choice.parts.get(delta.index)
        if part is None or not part.open:
            return
        if delta.text or delta.logprobs is not None:
            self._say(choice, part, delta.text, delta.logprobs, out)
        if delta.seal is not None:
            part.seal += delta.seal
        if delta.citation is not None:
            self._cite(choice, part, delta, out)

    def _say(self, choice: _Choice, part: _Part, text: str, logprobs: str | None, out: list[bytes]) -> None:
        if isinstance(part.part, Text):
            choice.chars += len(text)
            part.length += len(text)
        elif isinstance(part.part, Reasoning):
            part.texts.append(text)
        if logprobs is None:
            out += (part.open, json(text), part.close)
        else:
            shown = b'"logprobs":{"content":[%b],"refusal":null}' % logprobs.encode()
            out += (part.open, json(text), part.close.replace(b'"logprobs":null', shown))

    def _cite(self, choice: _Choice, part: _Part, delta: Delta, out: list[bytes]) -> None:
        if delta.citation is not None and delta.citation.url:
            annotation = annotation_json(delta.citation, part.start, part.start + part.length)
            out.append(self._chunk(choice, b'{"annotations":[%b]}' % annotation))

    def _end_part(self, choice: _Choice, index: int, out: list[bytes]) -> None:
        """Sealed thinking is told once, whole: a client must give it back as it was."""
        part = choice.parts.pop(index, None)
        if part is None or not part.seal or not isinstance(part.part, Reasoning):
            return
        whole = Reasoning(
            text="".join(part.texts), seal=part.seal, sealed_by=part.part.sealed_by, redacted=part.part.redacted
        )
        choice.sealed = index, whole
        details = write_details([whole], foreign=True)
        if details:
            out.append(self._chunk(choice, b'{"reasoning_details":%b}' % json(details)))

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        choice = self._choice(event.choice, out)
        finish = write_finish(event.finish, calls=choice.calls > 0, refused=choice.refused)
        if self._legacy and finish == "tool_calls":
            finish = "function_call"
        out.append(b'%b{},"logprobs":null,"finish_reason":"%b"}%b' % (choice.prefix, finish.encode(), self._tail))

    def _end(self, out: list[bytes]) -> None:
        if self._show_usage:
            out.append(b'%b],"usage":%b}\n\n' % (self._head, write_usage(self._usage)))
        out.append(DONE)
