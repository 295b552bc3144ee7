"""A text joined to the system prompt of a client's request, in its own dialect, while every other byte stays.

For requests that pass through. What the client said stays word for word, and keeps its own marks for caching.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from runtime.errors import InvalidRequest
from runtime.protocols.base import Envelope
from runtime.protocols.splice import Fields, join, raw

__all__ = ["BETWEEN", "Place", "with_system_prompt"]

Place: TypeAlias = Literal["first", "last"]
T = TypeVar("T")

BETWEEN: Final = "\n\n"
"""What stands between the operator's text and the client's where both are one string."""

_LEADING: Final = frozenset({"system", "developer"})

_TEXT: Final = msgspec.json.Decoder(str)
_PIECES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(Fields)


class _Role(msgspec.Struct, frozen=True):
    role: str = ""


_ROLE: Final = msgspec.json.Decoder(_Role)


def with_system_prompt(protocol: str, envelope: Envelope, text: str, place: Place) -> Envelope:
    """``envelope``, of ``protocol``, with ``text`` before or after the client's system prompt, or in its place.

    Raises InvalidRequest where the client's own is nothing that its protocol knows: ``text`` is never left out in silence.
    """
    name, put = _WAYS[protocol]
    spelt = next((each for each in (name, *_SPELLINGS.get(name, ())) if each in envelope.fields), name)
    given = envelope.fields.get(spelt)
    if given is not None and bytes(memoryview(given)) == b"null":
        given = None
    try:
        fields = {**envelope.fields, spelt: put(given, text, place)}
    except msgspec.DecodeError:
        raise InvalidRequest(f"The field '{spelt}' has a form that {protocol} does not know.", param=spelt) from None
    body = join(envelope.body, envelope.fields, fields)
    return msgspec.structs.replace(envelope, fields=fields, body=body)


def _in_messages(given: msgspec.Raw | None, text: str, place: Place) -> msgspec.Raw:
    """Into the client's first message of the system, or its last of those before the conversation; else a new one.

    Not a second message beside it: many servers' templates take one at most.
    """
    messages = [] if given is None else _PIECES.decode(given)
    leading = 0
    while leading < len(messages) and _ROLE.decode(messages[leading]).role in _LEADING:
        leading += 1
    if not leading:
        return _list([_value({"role": "system", "content": text}), *messages])
    index = 0 if place == "first" else leading - 1
    fields = _OBJECT.decode(messages[index])
    fields["content"] = _in_content(fields.get("content"), text, place)
    messages[index] = _value(fields)
    return _list(messages)


def _in_content(given: msgspec.Raw | None, text: str, place: Place) -> msgspec.Raw:
    """Text, or a list of text parts as Chat and Anthropic write them."""
    if given is None or bytes(memoryview(given)[:1]) != b"[":
        return _in_text(given, text, place)
    return _list(_placed(_PIECES.decode(given), _value({"type": "text", "text": text}), place))


def _in_text(given: msgspec.Raw | None, text: str, place: Place) -> msgspec.Raw:
    own = "" if given is None or bytes(memoryview(given)) == b"null" else _TEXT.decode(given)
    return raw(BETWEEN.join(_placed([own], text, place)) if own else text)


def _in_parts(given: msgspec.Raw | None, text: str, place: Place) -> msgspec.Raw:
    """Gemini's content, or the plain text that some of its clients send."""
    part = _value({"text": text})
    if given is None:
        return _value({"parts": _list([part])})
    if bytes(memoryview(given)[:1]) == b'"':
        return _in_text(given, text, place)
    fields = _OBJECT.decode(given)
    parts = fields.get("parts")
    fields["parts"] = _list(_placed([] if parts is None else _parts(parts), part, place))
    return _value(fields)


def _parts(given: msgspec.Raw) -> list[msgspec.Raw]:
    """Gemini takes one part without its list, too."""
    return _PIECES.decode(given) if bytes(memoryview(given)[:1]) == b"[" else [given]


def _placed(own: list[T], new: T, place: Place) -> list[T]:
    return [new, *own] if place == "first" else [*own, new]


def _list(pieces: list[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(pieces))


def _value(fields: Mapping[str, object]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(fields))


_Put: TypeAlias = Callable[[msgspec.Raw | None, str, Place], msgspec.Raw]

_WAYS: Final[Mapping[str, tuple[str, _Put]]] = MappingProxyType(
    {
        "openai_chat": ("messages", _in_messages),
        "ollama_chat": ("messages", _in_messages),
        "openai_responses": ("instructions", _in_text),
        "anthropic_messages": ("system", _in_content),
        "gemini": ("systemInstruction", _in_parts),
    }
)
"""The field of each protocol that passes through, and how a text comes into it."""

_SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"systemInstruction": ("system_instruction",)})
