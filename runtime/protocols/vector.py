"""Vectors on the wire: arrays of numbers, and OpenAI's base64 of little-endian 32-bit floats. Digits stay as they came."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

import msgspec

from runtime.errors import UpstreamProtocolError

__all__ = ["packed", "unpacked"]

_NUMBERS: Final = msgspec.json.Decoder(list[float])
_TEXT: Final = msgspec.json.Decoder(str)


def unpacked(raw: msgspec.Raw) -> str:
    """The JSON text of an array of numbers, whichever way a provider wrote it.

    Raises:
        UpstreamProtocolError: it is neither an array of numbers nor base64 of whole floats, or it is empty.
    """
    if bytes(memoryview(raw)[:1]) == b'"':
        return _floats(_TEXT.decode(raw))
    try:
        numbers = _NUMBERS.decode(raw)
    except msgspec.DecodeError:
        raise UpstreamProtocolError("The provider sent a vector that is not an array of numbers.") from None
    if not numbers:
        raise UpstreamProtocolError("The provider sent an empty vector.")
    return str(memoryview(raw), "utf-8")


def packed(vector: str) -> str:
    """``vector``, an array's JSON text, as base64 of little-endian 32-bit floats."""
    numbers = _NUMBERS.decode(vector)
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _floats(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise UpstreamProtocolError("The provider sent a vector that is not base64.") from None
    if not data or len(data) % 4:
        raise UpstreamProtocolError(f"The provider sent a vector of {len(data)} bytes, which are no whole floats.")
    return msgspec.json.encode(list(struct.unpack(f"<{len(data) // 4}f", data))).decode()
