"""A Chat provider's complete answer to a canonical one."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from generated.types.openai_chat import (
    Annotation,
    AnswerMessage,
    ChatCompletion,
    Choice,
    ContentPiece,
    FunctionDelta,
    Logprobs,
    ToolCallDelta,
)  # fmt: skip
from runtime.canonical import Choice as CanonicalChoice
from runtime.canonical import (
    Citation,
    Extensions,
    Image,
    Native,
    Part,
    Refusal,
    Response,
    Text,
    ToolCall,
    Usage,
)
from runtime.errors import InvalidRequest, UpstreamProtocolError
from runtime.protocols.absent import NULL
from runtime.protocols.base import Outgoing
from runtime.protocols.counts import read_counted
from runtime.protocols.framing import readable
from runtime.protocols.free_text import unwrapped
from runtime.protocols.openai_chat.errors import error_within
from runtime.protocols.openai_chat.finish import read_finish, refuse_failure
from runtime.protocols.openai_chat.parts import read_shown
from runtime.protocols.openai_chat.reasoning import PROTOCOL, read_details
from runtime.protocols.openai_chat.signature import provider_signature
from runtime.protocols.openai_chat.usage import read_usage
from runtime.protocols.openai_error import not_json

__all__ = [
    "arguments_text", "check_answer", "logprobs_text", "made_id", "pieces_text", "read_citations", "read_images",
    "read_response",
]  # fmt: skip

_ANSWER: Final = msgspec.json.Decoder(ChatCompletion)
_THOUGHT: Final[msgspec.json.Decoder[str | list[ContentPiece] | None]] = msgspec.json.Decoder(
    str | list[ContentPiece] | None
)


def read_response(body: bytes, outgoing: Outgoing) -> Response:
    """Raises UpstreamProtocolError for what is no answer, or the error that a server hid behind a success status."""
    wire = check_answer(body)
    choices = wire.choices or []
    if len(choices) > 1:
        choices = sorted(choices, key=lambda choice: choice.index or 0)
    extensions: Extensions = {}
    if wire.system_fingerprint:
        extensions["system_fingerprint"] = msgspec.Raw(msgspec.json.encode(wire.system_fingerprint))
    if isinstance(wire.moderation, msgspec.Raw) and wire.moderation != NULL:
        extensions["moderation"] = wire.moderation
    return Response(
        id=wire.id or "",
        model=wire.model or "",
        created=int(wire.created or 0),
        choices=tuple([_choice(choice, wire.id or "", outgoing) for choice in choices]),
        usage=read_usage(wire.usage, wire.service_tier) if wire.usage else Usage(),
        service_tier=wire.service_tier or None,
        extensions={PROTOCOL: extensions} if extensions else {},
    )


def check_answer(body: bytes) -> ChatCompletion:
    """The answer on its wire. Raises as `read_response` does."""
    try:
        wire = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        counted = read_counted(_ANSWER, body, ("usage",))
        if counted is None:
            raise error_within(body) or not_json(body, error) from None
        wire = counted
    if not wire.choices:
        raise error_within(body) or UpstreamProtocolError("The provider's answer holds no choices.")
    for choice in wire.choices:
        refuse_failure(choice.finish_reason or "")
    return wire


def arguments_text(arguments: msgspec.Raw | msgspec.UnsetType) -> str:
    """The JSON text of a call's arguments; some servers send the object itself."""
    if not isinstance(arguments, msgspec.Raw) or arguments == NULL:
        return ""
    text = readable(bytes(arguments))
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()


def made_id(response_id: str, choice: int, number: int) -> str:
    """An id for a call that came without one: the same in every reading of the same answer."""
    return "call_" + hashlib.sha256(f"{response_id} {choice} {number}".encode()).hexdigest()[:24]


def read_citations(annotations: list[Annotation] | msgspec.UnsetType | None) -> tuple[Citation, ...]:
    """Web pages that the text was taken from; other kinds have no canonical form."""
    pages = [annotation.url_citation for annotation in annotations or ()]
    return tuple(
        Citation(
            url=page.url or None,
            title=page.title or None,
            start=page.start_index if isinstance(page.start_index, int) else None,
            end=page.end_index if isinstance(page.end_index, int) else None,
        )
        for page in pages
        if page
    )


def read_images(images: msgspec.Raw | msgspec.UnsetType) -> list[Image]:
    """Generated images, which compatible servers send beside the text."""
    try:
        return read_shown(images, "images")
    except InvalidRequest:
        raise UpstreamProtocolError("The provider's answer holds an image that cannot be read.") from None


def logprobs_text(logprobs: Logprobs | msgspec.UnsetType | None) -> str | None:
    """The JSON text of the list of the text's tokens; None when there is none or it is empty."""
    if not logprobs or not isinstance(logprobs.content, msgspec.Raw):
        return None
    text = readable(bytes(logprobs.content)).decode()
    return text if text.startswith("[") and text[1:-1].strip() else None


def pieces_text(pieces: list[ContentPiece]) -> tuple[str, str]:
    """The thinking and the text of content that came in pieces."""
    return "".join(_thought(piece.thinking) for piece in pieces), "".join(piece.text or "" for piece in pieces)


def _thought(thinking: msgspec.Raw | msgspec.UnsetType) -> str:
    if not isinstance(thinking, msgspec.Raw):
        return ""
    try:
        thought = _THOUGHT.decode(readable(bytes(thinking)))
    except msgspec.ValidationError:
        return ""  # a shape that nobody has told us of
    if isinstance(thought, list):
        return "".join(piece.text or "" for piece in thought)
    return thought or ""


def _choice(wire: Choice, response_id: str, outgoing: Outgoing) -> CanonicalChoice:
    message = wire.message
    parts = _said(message)
    called = bool(message.tool_calls or message.function_call)
    finish = read_finish(wire.finish_reason or "stop", calls=called, refused=bool(message.refusal))
    if called:
        parts += _calls(message, response_id, wire.index or 0, outgoing)
    return CanonicalChoice(content=tuple(parts), finish=finish, logprobs=logprobs_text(wire.logprobs))


def _said(message: AnswerMessage) -> list[Part]:
    thought, text = "", message.content or ""
    if isinstance(text, list):
        thought, text = pieces_text(text)
    thought = message.reasoning_content or message.reasoning or thought
    details = message.reasoning_details if isinstance(message.reasoning_details, msgspec.Raw) else None
    parts: list[Part] = [*read_details(thought, details)] if thought or details is not None else []
    if text:
        cited = message.annotations
        parts.append(Text(text=text, citations=read_citations(cited)) if cited else Text(text=text))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    if message.images is not msgspec.UNSET:
        parts += read_images(message.images)
    if isinstance(message.audio, msgspec.Raw) and message.audio != NULL:
        parts.append(Native(protocol=PROTOCOL, block="audio", json=bytes(message.audio).decode()))
    return parts


def _calls(message: AnswerMessage, response_id: str, choice: int, outgoing: Outgoing) -> list[Part]:
    """The calls, each behind its signature."""
    wires: list[ToolCallDelta] = list(message.tool_calls or ())
    if message.function_call:
        wires.append(ToolCallDelta(function=message.function_call))
    parts: list[Part] = []
    for number, wire in enumerate(wires):
        signature = provider_signature(wire.extra_content)
        parts += [signature] if signature else []
        parts.append(_call(wire, made_id(response_id, choice, number), outgoing))
    return parts


def _call(wire: ToolCallDelta, spare_id: str, outgoing: Outgoing) -> ToolCall:
    function: FunctionDelta | None = wire.function or None
    name: Any = function.name if function else wire.custom.name if wire.custom else None
    if not name:
        raise UpstreamProtocolError("The provider's answer holds a tool call without a name.")
    if wire.custom and function is None:
        arguments = wire.custom.input or ""
    else:
        arguments = arguments_text(function.arguments) if function else ""
    custom = function is None
    if not custom and name in outgoing.custom_tools:
        arguments, custom = unwrapped(arguments), True
    return ToolCall(
        id=wire.id or spare_id, name=outgoing.tool_names.get(name, name), arguments=arguments, custom=custom
    )
