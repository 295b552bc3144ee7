"""Read and write small pieces of this protocol's JSON, and say faults the vendor's way.

Shared by the modules of this package; knows no canonical values. Where a field is at fault the message begins with its
path in dots, `messages.2.content.0.type: …`, as clients of this protocol know it.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from runtime.errors import InvalidRequest
from runtime.protocols.arguments import as_object

__all__ = [
    "PROTOCOL",
    "STOP",
    "Fields",
    "compact_object",
    "fault",
    "is_object",
    "is_text",
    "read",
    "required",
    "text_of",
]

PROTOCOL: Final = "anthropic_messages"

STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
"""What ends a stream."""

T = TypeVar("T")
Fields = dict[str, msgspec.Raw]

_FAULT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.+)`$")
_WORDS: Final = MappingProxyType({"`str`": "a string", "`int`": "an integer", "`float`": "a number", "`bool`": "a boolean", "`array`": "an array", "`object`": "an object"})  # fmt: skip


def read(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw | bytes, path: str) -> T:
    """``raw`` as the decoder's type. Raises InvalidRequest that names the field below ``path``."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _fault_of(error, path) from None
    except msgspec.DecodeError as error:
        raise fault(path, f"invalid JSON: {error}") from None
    except RecursionError:
        raise fault(path, "nested too deeply") from None


def fault(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {what}", param=path)


def required(value: T | msgspec.UnsetType | None, path: str) -> T:
    """``value`` when it is there. Raises InvalidRequest that names ``path``."""
    if value is None or isinstance(value, msgspec.UnsetType):
        raise fault(path, "Field required")
    return value


def is_object(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def is_text(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def text_of(raw: msgspec.Raw) -> str:
    """The JSON text, byte for byte."""
    return str(memoryview(raw), "utf-8")


def compact_object(text: str) -> msgspec.Raw:
    """A call's arguments as an object, which this protocol wants."""
    return msgspec.Raw(as_object(text))


def _fault_of(error: msgspec.ValidationError, path: str) -> InvalidRequest:
    match = _FAULT.match(str(error))
    what, tail = (match["what"], match["path"] or "") if match else (str(error), "")
    place = path + "".join(f".{step}" for step in re.findall(r"[^.\[\]]+", tail))
    missing = _MISSING.match(what)
    if missing:
        return fault(f"{place}.{missing[1]}", "Field required")
    for word, plain in _WORDS.items():
        what = what.replace(word, plain)
    return fault(place, what)
