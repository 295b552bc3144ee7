"""Canonical answers to what a Completions client gets: whole, or as chunks of the same shape.

Thinking has no place here and is left out; a refusal is text. An answer in the form `ECHO` begins with the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from generated.protocols.openai_completions import FACTS
from runtime.canonical import (
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    PartStarted,
    Refusal,
    Response,
    Started,
    Text,
    Usage,
    UsageReported,
)  # fmt: skip
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import Answer, StreamEncoder
from runtime.protocols.openai_chat.errors import error_json
from runtime.protocols.openai_chat.finish import DONE
from runtime.protocols.openai_chat.usage import write_usage
from runtime.protocols.openai_completions.logprobs import write_logprobs
from runtime.protocols.openai_completions.request import ECHO, prompt_of

__all__ = ["CompletionEncoder", "Share", "write_choices", "write_head", "write_response"]

_json: Final = msgspec.json.Encoder().encode


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What of an answer one call makes: ``size`` choices numbered from ``first`` on. The whole says when it was ``created``."""

    first: int
    size: int
    created: int

    def number(self, choice: int) -> int:
        """A choice's number in the whole. Raises UpstreamProtocolError for one that would take another's."""
        if choice >= self.size:
            raise UpstreamProtocolError(f"The provider gave more than the {self.size} completions it was asked for.")
        return self.first + choice


def write_response(response: Response, answer: Answer) -> bytes:
    """The model's name is the one the client asked for, the id the gateway's."""
    choices, usage = write_choices(response, answer), write_usage(response.usage)
    return b'%b"choices":[%b],"usage":%b}' % (write_head(answer, response.created), choices, usage)


def write_choices(response: Response, answer: Answer, share: Share | None = None) -> bytes:
    """The choices, without the brackets around them."""
    numbered = ((choice, share.number(at) if share else at) for at, choice in enumerate(response.choices))
    return b",".join(_choice(choice, index, _echo(answer)) for choice, index in numbered)


class CompletionEncoder(StreamEncoder):
    """One stream; of a ``share`` only its choices, without what ends the whole."""

    content_type = "text/event-stream"
    keep_alive: bytes | None = b": keep-alive\n\n"

    def __init__(self, answer: Answer, share: Share | None = None) -> None:
        self._answer = answer
        self._share = share
        self._echo = _echo(answer)
        self._show_usage = answer.request is not None and answer.request.include_usage
        self._head = b""
        self._tail = b'],"usage":null}\n\n' if self._show_usage else b"]}\n\n"
        self._spoken: dict[int, int] = {}  # choice to where its next token begins
        self._shown: set[tuple[int, int]] = set()  # parts that are text to this client
        self._refused: set[int] = set()
        self._usage = Usage()

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case Started():
                    self._usage = event.usage
                    created = event.created if self._share is None else self._share.created
                    self._head = b'data: %b"choices":[' % write_head(self._answer, created)
                case PartStarted(index=index, part=Text(text=text) | Refusal(text=text) as part, choice=choice):
                    self._shown.add((choice, index))
                    self._refused.update((choice,) if isinstance(part, Refusal) else ())
                    self._say(choice, text, None, out)
                case Delta() if (event.choice, event.index) in self._shown:
                    self._say(event.choice, event.text, event.logprobs, out)
                case Finished(finish=finish, choice=choice):
                    self._begin(choice, out)
                    out.append(self._chunk(choice, "", b"null", _finish(finish, refused=choice in self._refused)))
                case UsageReported(usage=usage):
                    self._usage = usage
                case Ended():
                    self._end(out)
                case _:
                    pass
        return b"".join(out)

    @override
    def fail(self, error: GatewayError) -> bytes:
        return b"data: %b\n\n" % error_json(error)

    def _begin(self, choice: int, out: list[bytes]) -> None:
        if choice in self._spoken:
            return
        self._spoken[choice] = 0
        if self._echo:
            out.append(self._chunk(choice, self._echo, b"null", b"null"))

    def _say(self, choice: int, text: str, logprobs: str | None, out: list[bytes]) -> None:
        self._begin(choice, out)
        if not text and logprobs is None:
            return
        columns = b"null"
        if logprobs is not None:
            columns, self._spoken[choice] = write_logprobs(logprobs, self._spoken[choice])
        out.append(self._chunk(choice, text, columns, b"null"))

    def _chunk(self, choice: int, text: str, logprobs: bytes, finish: bytes) -> bytes:
        index = choice if self._share is None else self._share.number(choice)
        return b"%b%b%b" % (self._head, _text_json(index, text, logprobs, finish), self._tail)

    def _end(self, out: list[bytes]) -> None:
        if self._share is not None:
            return
        if self._show_usage:
            out.append(b'%b],"usage":%b}\n\n' % (self._head, write_usage(self._usage)))
        out.append(DONE)


def _echo(answer: Answer) -> str:
    return prompt_of(answer.request) if answer.variant == ECHO else ""


def _choice(choice: Choice, index: int, echo: str) -> bytes:
    text = "".join(part.text for part in choice.content if isinstance(part, Text | Refusal))
    columns = b"null" if choice.logprobs is None else write_logprobs(choice.logprobs[1:-1], 0)[0]
    refused = any(isinstance(part, Refusal) for part in choice.content)
    return _text_json(index, echo + text, columns, _finish(choice.finish, refused=refused))


def _text_json(index: int, text: str, logprobs: bytes, finish: bytes) -> bytes:
    return b'{"index":%d,"text":%b,"logprobs":%b,"finish_reason":%b}' % (index, _json(text), logprobs, finish)


def write_head(answer: Answer, created: int) -> bytes:
    """An answer's or a chunk's first fields, up to its choices."""
    return b'{"id":"cmpl-%b","object":"text_completion","created":%d,"model":%b,' % (
        answer.id.encode(), created or answer.created, _json(answer.model),
    )  # fmt: skip


def _finish(finish: Finish, *, refused: bool) -> bytes:
    """The model's own words of refusal are an answer that ended."""
    word = "stop" if refused and finish.reason == "refusal" else FACTS.finish_out.get(finish.reason, "stop")
    return b'"%b"' % word.encode()
