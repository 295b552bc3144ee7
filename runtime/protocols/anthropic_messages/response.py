"""Whole answers: a provider's to canonical, and canonical to a client's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from generated.types.anthropic_messages import (
    Message,
    ReceivedAnswer,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)
from runtime.canonical import (
    Choice,
    Citation,
    Extensions,
    Native,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    Usage,
)
from runtime.errors import InvalidRequest, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.content import parts_of, read_block
from runtime.protocols.anthropic_messages.errors import error_of
from runtime.protocols.anthropic_messages.outcome import (
    COUNTED,
    decode_finish,
    decode_tier,
    decode_usage,
    encode_details,
    encode_stop_reason,
    encode_usage,
)
from runtime.protocols.anthropic_messages.wire import PROTOCOL, compact_object
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.counts import read_counted
from runtime.protocols.free_text import unwrapped, wrapped
from runtime.protocols.seal import wrap
from runtime.protocols.splice import raw, renamed, replace

__all__ = [
    "OutBlock",
    "decode_response",
    "encode_response",
    "has_ended",
    "own_seal",
    "splice_response",
    "wire_citation",
]

OutBlock: TypeAlias = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | msgspec.Raw

_ANSWER: Final = msgspec.json.Decoder(ReceivedAnswer)
_KEPT: Final = ("container", "context_management")


class _RawAnswer(msgspec.Struct):
    content: list[msgspec.Raw]


_RAW_ANSWER: Final = msgspec.json.Decoder(_RawAnswer)


def decode_response(body: bytes, outgoing: Outgoing) -> Response:
    """Raises UpstreamProtocolError for what is no answer, and the typed error that stands in place of one."""
    given = _read(body)
    try:
        parts = parts_of(given.content or [], "content", lambda: _RAW_ANSWER.decode(body).content, own_seal)
    except InvalidRequest as error:
        raise UpstreamProtocolError(f"The provider's answer is not sound: {error.message}.") from error
    parts = _placed(parts)
    calls = bool([part for part in parts if isinstance(part, ToolCall)])
    if calls:
        parts = [_homeward(part, outgoing) for part in parts]
    usage = given.usage or None
    finish = decode_finish(
        given.stop_reason or None, present(given.stop_sequence), given.stop_details or None, calls=calls
    )
    return Response(
        id=given.id or "",
        model=given.model or "",
        choices=(Choice(content=tuple(parts), finish=finish),),
        usage=decode_usage(usage),
        service_tier=decode_tier(usage),
        extensions=_kept(given),
    )


def _kept(given: ReceivedAnswer) -> dict[str, Extensions]:
    if given.container is msgspec.UNSET and given.context_management is msgspec.UNSET:
        return {}
    kept = {name: value for name in _KEPT if (value := present(getattr(given, name))) is not None}
    return {PROTOCOL: kept} if kept else {}


def encode_response(response: Response, answer: Answer) -> bytes:
    """The first choice: this protocol has no more than one."""
    choice = response.choices[0]
    blocks = [block for part in choice.content if (block := _block(part)) is not None]
    calls = bool([part for part in choice.content if isinstance(part, ToolCall)])
    message = Message(
        id=f"msg_{answer.id}",
        model=answer.model,
        content=blocks,  # type: ignore[arg-type]  # a raw block is one of the union, as it came
        stop_reason=encode_stop_reason(choice.finish, calls=calls),
        stop_sequence=choice.finish.stop_sequence,
        usage=encode_usage(response.usage, response.service_tier),
    )
    details = encode_details(choice.finish)
    if details is not None:
        message.stop_details = details
    if response.extensions:
        for name, value in response.extensions.get(PROTOCOL, {}).items():
            if name in _KEPT:
                setattr(message, name, value)
    return msgspec.json.encode(message)


def splice_response(body: bytes, model: str) -> tuple[bytes, Usage | None]:
    """``body`` with the client's name of the model, all else as it came, and the usage in it."""
    given = _read(body)
    usage = present(given.usage)
    passed = renamed(body, model) if present(given.model) else replace(body, ("model",), raw(model))
    return passed, None if usage is None else decode_usage(usage)


def has_ended(body: bytes) -> bool:
    """Whether an answer says why it ended."""
    return bool(_read(body).stop_reason)


def own_seal(signature: str) -> tuple[str, str]:
    """A provider's signature is its own, whatever it looks like."""
    return signature, PROTOCOL


def wire_citation(citation: Citation) -> msgspec.Raw:
    """A citation as clients of this protocol know it. One from elsewhere becomes a page that was found."""
    own = citation.extensions.get(PROTOCOL)
    if own is not None:
        return msgspec.Raw(msgspec.json.encode(own))
    found: Mapping[str, str | None] = {
        "type": "web_search_result_location",
        "cited_text": citation.quote or "",
        "url": citation.url or "",
        "title": citation.title,
        "encrypted_index": "",
    }
    return msgspec.Raw(msgspec.json.encode(found))


def _read(body: bytes) -> ReceivedAnswer:
    try:
        given = _answer(body)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamProtocolError("The provider's answer is not a message of its protocol.") from None
    if given.type == "error" or (present(given.error) is not None and present(given.content) is None):
        raise error_of(200, {}, body)
    if given.content is msgspec.UNSET or (given.content is None and not given.stop_reason):
        raise UpstreamProtocolError("The provider's answer is not a message of its protocol: it has no content.")
    return given


def _answer(body: bytes) -> ReceivedAnswer:
    try:
        return _ANSWER.decode(body)
    except msgspec.ValidationError:  # of a block that came later, perhaps
        counted = read_counted(_ANSWER, body, *COUNTED)
        if counted is not None:
            return counted
        blocks = [read_block(raw) for raw in _RAW_ANSWER.decode(body).content]
        given = _ANSWER.decode(replace(body, ("content",), msgspec.Raw(b"[]")))
        return msgspec.structs.replace(given, content=blocks)


def _placed(parts: list[Part]) -> list[Part]:
    """Citations told where their text stands in the answer: a text with citations is itself what is cited."""
    placed: list[Part] = []
    start = 0
    for part in parts:
        if isinstance(part, Text):
            end = start + len(part.text)
            if part.citations:
                found = tuple(msgspec.structs.replace(one, start=start, end=end) for one in part.citations)
                part = msgspec.structs.replace(part, citations=found)  # noqa: PLW2901
            start = end
        placed.append(part)
    return placed


def _homeward(part: Part, outgoing: Outgoing) -> Part:
    """A call by the name the client knows its tool by, and with free text where the tool takes that."""
    if not isinstance(part, ToolCall):
        return part
    name = outgoing.tool_names.get(part.name, part.name)
    if part.name in outgoing.custom_tools:
        return msgspec.structs.replace(part, name=name, arguments=unwrapped(part.arguments), custom=True)
    return part if name == part.name else msgspec.structs.replace(part, name=name)


def _block(part: Part) -> OutBlock | None:
    match part:
        case Text(text=text, citations=citations):
            block = TextBlock(text=text)
            if citations:
                block.citations = [wire_citation(citation) for citation in citations]
            return block if text else None
        case Refusal(text=text):
            return TextBlock(text=text) if text else None
        case Reasoning(redacted=True, seal=seal, sealed_by=owner):
            return RedactedThinkingBlock(data=wrap(seal, owner or "", PROTOCOL)) if seal else None
        case Reasoning(text=text, seal=seal, sealed_by=owner):
            if not text and not seal:
                return None
            return ThinkingBlock(thinking=text, signature=wrap(seal, owner or "", PROTOCOL) if seal else "")
        case ToolCall(custom=True):
            arguments = msgspec.Raw(wrapped(part.arguments).encode())
            return ToolUseBlock(id=part.id, name=part.name, input=arguments)
        case ToolCall():
            return ToolUseBlock(id=part.id, name=part.name, input=compact_object(part.arguments))
        case Native(protocol=protocol, json=json):
            return msgspec.Raw(json.encode()) if protocol == PROTOCOL else None
        case _:
            return None
