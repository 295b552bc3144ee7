"""Canonical answers to what Ollama's clients get: lines of a stream, or one object that says all of them at once.

A line is written as Ollama's own encoder writes it: `<`, `>`, `&` and the characters that a reader might take for the end
of a line are escaped. Times that canonical answers do not have are left out, not made up: all of them are optional. What
`/api/chat` and `/api/generate` say differently is the piece in the middle: `Piece`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
from typing_extensions import override

from generated.protocols.ollama_chat import FACTS
from runtime.canonical import (
    Base64Source,
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Response,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)  # fmt: skip
from runtime.errors import GatewayError
from runtime.protocols.base import Answer, StreamEncoder
from runtime.protocols.ollama_chat.errors import error_json
from runtime.protocols.ollama_chat.wire import arguments_object, compact, write_time

__all__ = ["LineEncoder", "Piece", "Said", "chat_piece", "write_answer"]

_UNSAFE: Final = re.compile("[<>&\u2028\u2029\x85]")
_UNSAFE_BYTES: Final = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]|\xc2\x85")
_NOT_DONE: Final = b'"done":false'
_MARK: Final = "@"
_json: Final = msgspec.json.Encoder().encode


class Said(NamedTuple):
    """What one line, or the whole answer, says."""

    text: str = ""
    thinking: str = ""
    images: Sequence[str] = ()
    calls: Sequence[tuple[int, ToolCall]] = ()


Piece = Callable[[Said], bytes]
"""The members of a line that hold what is said."""


def chat_piece(said: Said) -> bytes:
    """The ``message`` of `/api/chat`."""
    members = [b'"message":{"role":"assistant","content":%b' % _json(said.text)]
    if said.thinking:
        members.append(b',"thinking":%b' % _json(said.thinking))
    if said.images:
        members.append(b',"images":%b' % _json(said.images))
    if said.calls:
        members.append(b',"tool_calls":[%b]' % b",".join(_call(*numbered) for numbered in said.calls))
    return b"".join((*members, b"}"))


def write_answer(response: Response, answer: Answer, piece: Piece) -> bytes:
    """The whole answer as one object. Of several choices the first is told: this wire has room for one."""
    choice = response.choices[0] if response.choices else Choice(content=(), finish=Finish(reason="stop"))
    parts = choice.content
    calls = [part for part in parts if isinstance(part, ToolCall)]
    said = Said(
        text="".join(part.text for part in parts if isinstance(part, Text | Refusal)),
        thinking="".join(part.text for part in parts if isinstance(part, Reasoning)),
        images=[
            part.source.data for part in parts if isinstance(part, Image) and isinstance(part.source, Base64Source)
        ],
        calls=list(enumerate(calls)),
    )
    logprobs = None if choice.logprobs is None else choice.logprobs[1:-1]
    head = _head(answer, response.created)
    return _line(head, piece(said), logprobs, _end(choice.finish, response.usage)).rstrip(b"\n")


class LineEncoder(StreamEncoder):
    """One stream. A call goes out whole, and not before those that began before it."""

    content_type = "application/x-ndjson"
    keep_alive: bytes | None = None

    def __init__(self, answer: Answer, piece: Piece) -> None:
        self._answer = answer
        self._piece = piece
        self._head = b""
        self._around_text = self._around_thinking = (b"", b"")  # what every line of that kind begins and ends with
        self._parts: dict[int, object] = {}
        self._calls: list[_Call] = []  # those that have not gone out
        self._told = 0
        self._finish = Finish(reason="stop")
        self._usage = Usage()

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case Delta(choice=0):
                    self._more(event, out)
                case Started():
                    self._start(event)
                case PartStarted(index=index, part=part, choice=0):
                    self._begin(index, part, out)
                case PartEnded(index=index, choice=0):
                    self._end_call(index, out)
                case Finished(finish=finish, choice=0):
                    self._finish = finish
                case UsageReported(usage=usage):
                    self._usage = usage
                case Ended():
                    out.append(_line(self._head, self._piece(Said()), None, _end(self._finish, self._usage)))
                case _:  # further choices, for which this wire has no room
                    pass
        return b"".join(out)

    @override
    def fail(self, error: GatewayError) -> bytes:
        return _escaped(error_json(error)) + b"\n"

    def _start(self, event: Started) -> None:
        self._usage = event.usage
        self._head = _head(self._answer, event.created)
        self._around_text = self._around(Said(text=_MARK))
        self._around_thinking = self._around(Said(thinking=_MARK))

    def _around(self, said: Said) -> tuple[bytes, bytes]:
        start, _, end = self._piece(said).partition(_json(_MARK))
        return _escaped(self._head) + start, b"%b,%b}\n" % (end, _NOT_DONE)

    def _begin(self, index: int, part: object, out: list[bytes]) -> None:
        self._parts[index] = part
        match part:
            case ToolCall():
                self._calls.append(_Call(index, part))
            case Image(source=Base64Source(data=data)):
                self._say(Said(images=(data,)), None, out)
            case Text(text=text) | Reasoning(text=text) | Refusal(text=text) if text:
                self._more(Delta(index=index, text=text), out)
            case _:
                pass

    def _more(self, delta: Delta, out: list[bytes]) -> None:
        match self._parts.get(delta.index):
            case Text() | Refusal():
                if delta.logprobs is not None:
                    self._say(Said(text=delta.text), delta.logprobs, out)
                elif delta.text:
                    start, end = self._around_text
                    out.append(start + _escaped(_json(delta.text)) + end)
            case Reasoning():
                if delta.text:
                    start, end = self._around_thinking
                    out.append(start + _escaped(_json(delta.text)) + end)
            case ToolCall():
                next(call for call in self._calls if call.index == delta.index).texts.append(delta.text)
            case _:
                pass

    def _end_call(self, index: int, out: list[bytes]) -> None:
        for call in self._calls:
            call.ended = call.ended or call.index == index
        while self._calls and self._calls[0].ended:
            self._say(Said(calls=((self._told, self._calls.pop(0).whole()),)), None, out)
            self._told += 1

    def _say(self, said: Said, logprobs: str | None, out: list[bytes]) -> None:
        out.append(_line(self._head, self._piece(said), logprobs, _NOT_DONE))


class _Call:
    """A call under way."""

    __slots__ = ("_start", "ended", "index", "texts")

    def __init__(self, index: int, start: ToolCall) -> None:
        self.index = index
        self.texts = [start.arguments]
        self.ended = False
        self._start = start

    def whole(self) -> ToolCall:
        return msgspec.structs.replace(self._start, arguments="".join(self.texts))


def _call(number: int, call: ToolCall) -> bytes:
    return b'{"id":%b,"function":{"index":%d,"name":%b,"arguments":%b}}' % (
        _json(call.id), number, _json(call.name), bytes(arguments_object(call)),
    )  # fmt: skip


def _head(answer: Answer, created: int) -> bytes:
    return b'{"model":%b,"created_at":"%b",' % (
        _json(answer.model), write_time(created or answer.created).encode(),
    )  # fmt: skip


def _end(finish: Finish, usage: Usage) -> bytes:
    return b'"done":true,"done_reason":"%b","prompt_eval_count":%d,"eval_count":%d' % (
        FACTS.finish_out.get(finish.reason, "stop").encode(), usage.total_input, usage.output,
    )  # fmt: skip


def _line(head: bytes, piece: bytes, logprobs: str | None, end: bytes) -> bytes:
    likely = b"" if logprobs is None else b',"logprobs":%b' % compact(b"[%b]" % logprobs.encode())
    return _escaped(b"%b%b%b,%b}" % (head, piece, likely, end)) + b"\n"


def _escaped(line: bytes) -> bytes:
    """Outside of its texts JSON has none of these characters."""
    if _UNSAFE_BYTES.search(line) is None:
        return line
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()
