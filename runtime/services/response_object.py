"""Response objects and items as JSON: read no deeper than needed, changed at their top level, every other byte kept.

Knows the vendor's names, and nothing of stores or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import msgspec

from runtime.canonical import Started
from runtime.errors import GatewayError
from runtime.protocols.base import Answer, ClientCodec
from runtime.protocols.framing import SseReader
from runtime.protocols.splice import Fields, join, raw
from runtime.stores.base import Item, Status

__all__ = [
    "Head",
    "Lifecycle",
    "failed_object",
    "first_object",
    "listed",
    "name_items",
    "read_event",
    "read_head",
    "with_fields",
]

Changes: TypeAlias = dict[str, str | bool | msgspec.Raw | None]
"""Members of an object, and what they shall be."""

FINAL: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})

_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message": "msg",
        "reasoning": "rs",
        "function_call": "fc",
        "function_call_output": "fco",
        "custom_tool_call": "ctc",
        "custom_tool_call_output": "ctco",
    }
)
_FIELDS: Final = msgspec.json.Decoder(Fields)


class Head(msgspec.Struct, frozen=True):
    """What is read of a response object."""

    id: str
    status: str
    output: list[msgspec.Raw] = []

    @property
    def end(self) -> Status:
        """The status to keep of an answer that is over."""
        return cast("Status", self.status) if self.status in FINAL else "completed"


class Lifecycle(msgspec.Struct, frozen=True):
    """An event of a stream that holds the response, or a finished item of it."""

    type: str
    response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    item: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _ItemHead(msgspec.Struct, frozen=True):
    id: str | None = None
    type: str | None = None


_HEAD: Final = msgspec.json.Decoder(Head)
_EVENT: Final = msgspec.json.Decoder(Lifecycle)
_ITEM: Final = msgspec.json.Decoder(_ItemHead)


def read_head(body: bytes | msgspec.Raw) -> Head | None:
    """None for what is no response object."""
    try:
        head = _HEAD.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return head if head.id else None


def read_event(data: bytes) -> Lifecycle | None:
    """None for what is no event."""
    try:
        return _EVENT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def with_fields(body: bytes | msgspec.Raw, changes: Changes) -> bytes:
    """``body``, an object, with members replaced or added."""
    body = bytes(body)
    before = _FIELDS.decode(body)
    after = before | {name: each if isinstance(each, msgspec.Raw) else raw(each) for name, each in changes.items()}
    return join(body, before, after)


def name_items(items: Sequence[msgspec.Raw], new_id: Callable[[], str]) -> tuple[Item, ...]:
    """Each item under its own id, or a new one. Raises msgspec.DecodeError for what is no item."""
    named: list[Item] = []
    for item in items:
        head = _ITEM.decode(item)
        prefix = _PREFIXES.get(head.type or "message", "item")
        named.append(Item(id=head.id or f"{prefix}_{new_id()}", body=bytes(item)))
    return tuple(named)


def listed(item: Item) -> msgspec.Raw:
    """An item as lists of items show it: with an id and a type, a message's text as a part."""
    fields = _FIELDS.decode(item.body)
    head = _ITEM.decode(item.body)
    shown: Fields = {"id": raw(item.id), "type": raw(head.type or "message")}
    if shown["type"] == raw("message"):
        shown["status"] = raw("completed")
        content = fields.get("content")
        if content is not None and bytes(content).startswith(b'"'):
            fields["content"] = _text_part(content, said=bytes(fields.get("role", b"")) == b'"assistant"')
    return msgspec.Raw(msgspec.json.encode(shown | {name: each for name, each in fields.items() if name != "id"}))


def first_object(codec: ClientCodec, answer: Answer) -> bytes:
    """The response object with which a streamed answer would begin."""
    return _object_in(codec.stream_encoder(answer).feed([Started(id="", model=answer.model, created=answer.created)]))


def failed_object(codec: ClientCodec, answer: Answer, error: GatewayError) -> bytes:
    """The response object with which a streamed answer would tell of ``error``."""
    return _object_in(codec.stream_encoder(answer).fail(error))


def _object_in(stream: bytes) -> bytes:
    """The response as the last event tells it."""
    reader, told = SseReader(), None
    for frame in (*reader.feed(stream), *reader.close()):
        event = read_event(frame.data)
        if event is not None and isinstance(event.response, msgspec.Raw):
            told = bytes(event.response)
    if told is None:
        raise LookupError("the dialect's stream has no event that holds the response")
    return told


def _text_part(text: msgspec.Raw, *, said: bool) -> msgspec.Raw:
    part: dict[str, object] = {"type": "output_text" if said else "input_text", "text": text}
    if said:
        part["annotations"] = []
    return msgspec.Raw(msgspec.json.encode([part]))
