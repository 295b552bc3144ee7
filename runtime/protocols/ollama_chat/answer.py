"""What an Ollama provider answers: one object, whole or as a line of a stream, and its pieces as canonical ones."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from generated.protocols.ollama_chat import FACTS
from generated.types.ollama_chat import AnswerMessage, ChatAnswer, TokenLogprob, ToolCall
from runtime.canonical import (
    Base64Source,
    Choice,
    Finish,
    FinishReason,
    Image,
    Part,
    Reasoning,
    Response,
    Text,
    Usage,
)  # fmt: skip
from runtime.canonical import ToolCall as CanonicalCall
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import is_null
from runtime.protocols.base import Outgoing
from runtime.protocols.counts import count, read_counted
from runtime.protocols.free_text import unwrapped
from runtime.protocols.ollama_chat.errors import error_within, unreadable
from runtime.protocols.ollama_chat.wire import arguments_text, unix_seconds
from runtime.protocols.openai_chat.answer import made_id
from runtime.protocols.openai_chat.parts import sniff
from runtime.protocols.splice import raw, replace

__all__ = [
    "check_answer",
    "check_whole",
    "logprobs_text",
    "read_call",
    "read_finish",
    "read_picture",
    "read_response",
    "read_usage",
    "renamed",
    "seed_of",
]

_ANSWER: Final = msgspec.json.Decoder(ChatAnswer)
_LOGPROBS: Final[msgspec.json.Decoder[list[TokenLogprob] | None]] = msgspec.json.Decoder(list[TokenLogprob] | None)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOTHING: Final = AnswerMessage()
_COUNTED: Final = (("prompt_eval_count",), ("eval_count",))


def check_answer(body: bytes) -> ChatAnswer:
    """The answer, or the line. Raises the error that it holds, or UpstreamProtocolError for what is neither."""
    try:
        if not body.isascii():
            body.decode()  # what is kept as it came is looked at by nobody else
        wire = _ANSWER.decode(body)
    except _UNREADABLE as error:
        counted = read_counted(_ANSWER, body, *_COUNTED) if isinstance(error, msgspec.ValidationError) else None
        if counted is None:
            raise unreadable(body, error) from None
        wire = counted
    if isinstance(wire.error, msgspec.Raw) and not is_null(wire.error):
        raise error_within(body) or UpstreamProtocolError("The provider sent an error that says nothing.")
    if not wire.message and not wire.done:
        raise UpstreamProtocolError("The provider's answer holds no message.")
    return wire


def check_whole(body: bytes) -> ChatAnswer:
    """An answer that came at once. Raises as `check_answer` does, and UpstreamProtocolError where it is not complete."""
    wire = check_answer(body)
    if not wire.done:
        raise UpstreamProtocolError("The provider's answer does not say that it is complete.")
    return wire


def renamed(body: bytes, model: str) -> bytes:
    """``body`` with its model's name replaced, all else byte for byte. Raises as `check_answer` does."""
    try:
        return replace(body, ("model",), raw(model))
    except _UNREADABLE as error:
        raise unreadable(body, error) from None


def read_response(body: bytes, outgoing: Outgoing) -> Response:
    """Raises as `check_whole` does."""
    wire = check_whole(body)
    message = wire.message or _NOTHING
    seed = seed_of(wire, body)
    parts: list[Part] = [Reasoning(text=message.thinking)] if message.thinking else []
    parts += [Text(text=message.content)] if message.content else []
    parts += [read_picture(data) for data in message.images or ()]
    calls = [read_call(call, number, seed, outgoing) for number, call in enumerate(message.tool_calls or ())]
    inside = logprobs_text(wire)
    choice = Choice(
        content=(*parts, *calls),
        finish=read_finish(wire, calls=bool(calls)),
        logprobs=None if inside is None else f"[{inside}]",
    )
    return Response(
        id="",
        model=wire.model or "",
        created=unix_seconds(wire.created_at),
        choices=(choice,),
        usage=read_usage(wire) or Usage(),
    )


def read_call(wire: ToolCall, number: int, seed: str, outgoing: Outgoing) -> CanonicalCall:
    """The answer's call ``number``. Without an id it gets one made of ``seed``, which tells this answer from others."""
    name = wire.function.name
    arguments = arguments_text(wire.function.arguments)
    custom = name in outgoing.custom_tools
    if custom:
        arguments = unwrapped(arguments)
    return CanonicalCall(id=wire.id or made_id(seed, 0, number), name=name, arguments=arguments, custom=custom)


def seed_of(wire: ChatAnswer, line: bytes) -> str:
    """What tells an answer from others, as far as its first ``line`` can: its time, to the nanosecond."""
    return wire.created_at or line.decode("utf-8", "replace")


def read_picture(data: str) -> Image:
    return Image(source=Base64Source(media_type=sniff(data) or "image/png", data=data))


def read_finish(wire: ChatAnswer, *, calls: bool) -> Finish:
    """There is no word for "waits for tools": that there are calls says it. Unknown words mean a natural end."""
    word = cast("FinishReason", FACTS.finish_in.get(wire.done_reason or "stop", "stop"))
    return Finish(reason="tool_calls" if calls and word == "stop" else word)


def read_usage(wire: ChatAnswer) -> Usage | None:
    """None where nothing was counted. A prompt that was cached may be counted as less than it is."""
    if wire.prompt_eval_count is msgspec.UNSET and wire.eval_count is msgspec.UNSET:
        return None
    return Usage(input=count(wire.prompt_eval_count), output=count(wire.eval_count))


def logprobs_text(wire: ChatAnswer) -> str | None:
    """The inside of Chat's list of tokens; None when there are none. Chat's have every member, these only what is known."""
    if not isinstance(wire.logprobs, msgspec.Raw):
        return None
    try:
        tokens = _LOGPROBS.decode(wire.logprobs) or []
    except _UNREADABLE as error:
        raise UpstreamProtocolError(f"The provider's log probabilities cannot be read: {error}.") from None
    told = [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": token.bytes or None,
            "top_logprobs": [
                {"token": other.token, "logprob": other.logprob, "bytes": other.bytes or None}
                for other in token.top_logprobs or ()
            ],
        }
        for token in tokens
    ]
    return msgspec.json.encode(told)[1:-1].decode() or None
