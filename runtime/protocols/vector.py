"""Vectors on the wire: arrays of numbers, and OpenAI's base64 of little-endian 32-bit floats. Digits stay as they came.

A provider owes one vector for each input, whether its answer is translated or passed on.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from runtime.canonical import EmbeddingRequest
from runtime.errors import InvalidRequest, UpstreamProtocolError
from runtime.protocols.base import Target

__all__ = ["inputs_in", "not_too_many", "one_each", "packed", "places", "unpacked"]

_NUMBERS: Final = msgspec.json.Decoder(list[float])
_TEXT: Final = msgspec.json.Decoder(str)
_INPUTS: Final[msgspec.json.Decoder[str | list[msgspec.Raw]]] = msgspec.json.Decoder(str | list[msgspec.Raw])


def inputs_in(raw: msgspec.Raw) -> int | None:
    """How many vectors a client's `input` asks for: a text, a list of texts, tokens, or a list of tokens' lists.

    None for anything else, of which the provider was the judge.
    """
    try:
        inputs = _INPUTS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return 1 if isinstance(inputs, str) or (inputs and bytes(inputs[0])[:1].isdigit()) else len(inputs)


def not_too_many(request: EmbeddingRequest, target: Target) -> None:
    """Raises InvalidRequest for more texts than ``target`` takes in one request."""
    given, most = len(request.inputs), target.surface.max_inputs
    if most is not None and given > most:
        message = f"{target.provider.name} takes at most {most} texts in one request, and {given} were given."
        raise InvalidRequest(message, param="input", code="invalid_value")


def one_each(vectors: Sequence[msgspec.Raw], inputs: int | None) -> None:
    """Raises UpstreamProtocolError for more or fewer vectors than inputs, and for what is no vector at first sight."""
    if inputs is not None and len(vectors) != inputs:
        raise UpstreamProtocolError(f"The provider sent {len(vectors)} vectors for {inputs} inputs.")
    for vector in vectors:
        text = memoryview(vector)
        if bytes(text[:1]) not in {b"[", b'"'} or not bytes(text[1 : min(len(text) - 1, 16)]).strip():
            raise UpstreamProtocolError("The provider sent a vector that is empty or no array of numbers.")


def places(indexes: Sequence[int | None]) -> list[int]:
    """Which input each vector belongs to; its own place where it does not say. Raises UpstreamProtocolError if two say the same."""
    placed = [place if index is None else index for place, index in enumerate(indexes)]
    if sorted(placed) != list(range(len(placed))):
        raise UpstreamProtocolError("The provider's vectors do not say which input each of them belongs to.")
    return placed


def unpacked(raw: msgspec.Raw) -> str:
    """The JSON text of an array of numbers, whichever way a provider wrote it.

    Raises:
        UpstreamProtocolError: it is neither an array of numbers nor base64 of whole floats, none of which is infinite
            or NaN, or it is empty.
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
    """``vector``, an array's JSON text, as base64 of little-endian 32-bit floats.

    Raises UpstreamProtocolError for a number that is beyond them.
    """
    numbers = _NUMBERS.decode(vector)
    try:
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    except OverflowError:
        raise UpstreamProtocolError("The provider sent a vector with a number beyond 32-bit floats.") from None


def _floats(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise UpstreamProtocolError("The provider sent a vector that is not base64.") from None
    if not data or len(data) % 4:
        raise UpstreamProtocolError(f"The provider sent a vector of {len(data)} bytes, which are no whole floats.")
    numbers = struct.unpack(f"<{len(data) // 4}f", data)
    if not all(map(math.isfinite, numbers)):
        raise UpstreamProtocolError("The provider sent a vector with something that is no number.")
    return msgspec.json.encode(numbers).decode()
