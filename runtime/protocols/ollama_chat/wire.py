"""What the modules of this package share: its name, tool arguments as objects, pictures as base64, and times.

Arguments are objects on this wire and texts in the canonical model: the very text travels, so that big integers and `1.0`
stay what they are.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Final

import msgspec

from runtime.canonical import Base64Source, ToolCall
from runtime.errors import InvalidRequest
from runtime.protocols.absent import is_null
from runtime.protocols.arguments import as_object
from runtime.protocols.free_text import wrapped
from runtime.protocols.openai_chat.parts import data_source, sniff, standard

__all__ = ["PROTOCOL", "arguments_object", "arguments_text", "compact", "read_picture", "unix_seconds", "write_time"]  # fmt: skip

PROTOCOL: Final = "ollama_chat"
"""The one property of a free-text tool that had to become a function."""

_TEXT: Final = msgspec.json.Decoder(str)
_FALLBACK: Final = "image/png"
_LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999."""


def arguments_object(call: ToolCall) -> msgspec.Raw:
    """The arguments as an object on one line: the very text where it is one, and a free text wrapped."""
    if call.custom:
        return msgspec.Raw(wrapped(call.arguments).encode())
    return msgspec.Raw(compact(as_object(call.arguments)))


def compact(json: bytes) -> bytes:
    """``json`` on one line, as a line of a stream must be; as it came where it is."""
    return msgspec.json.format(json, indent=-1) if b"\n" in json or b"\r" in json else json


def arguments_text(arguments: msgspec.Raw | msgspec.UnsetType) -> str:
    """The JSON text of a call's arguments as it came; some senders put the object into a text."""
    if not isinstance(arguments, msgspec.Raw) or is_null(arguments):
        return "{}"
    data = bytes(arguments)
    return _TEXT.decode(data) if data.startswith(b'"') else data.decode()


def read_picture(data: str, path: str) -> Base64Source:
    """Raises InvalidRequest for what is neither base64 nor a data URL of it."""
    if data[:5].lower() == "data:":
        source = data_source(data, path)
        media_type, data = source.media_type, source.data
    else:
        data = standard(data)
        media_type = sniff(data) or _FALLBACK
    try:
        sound = bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        sound = False
    if not sound:
        raise InvalidRequest(f"The field '{path}' must hold an image in base64.", param=path, code="invalid_value")
    return Base64Source(media_type=media_type, data=data)


def unix_seconds(created_at: str | msgspec.UnsetType | None) -> int:
    """0 for what is no time."""
    try:
        time = datetime.fromisoformat(created_at or "")
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0


def write_time(seconds: int) -> str:
    """In RFC 3339, with the fraction that this wire's times have. A time beyond the calendar is its beginning."""
    if not 0 <= seconds <= _LAST_SECOND:
        seconds = 0
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
