"""What the journal holds: frames, each with its length and its checksum, so that what was torn off is noticed.

A frame is 4 bytes of length, 4 of CRC-32, both little-endian, and so many bytes of MessagePack. Pure.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias
from zlib import crc32

import msgspec

from runtime.catalog import Prices
from runtime.stores.entries import AttemptEntry, Settlement

__all__ = ["Frame", "Opened", "PriceTable", "Scanned", "encode_frame", "scan"]

MAX_BYTES: Final = 16 << 20
"""No frame is longer: a length beyond it is not one."""

_HEAD: Final = Struct("<II")


class Opened(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """An attempt is about to be sent. If nothing ever settles it, it was lost with the process that sent it.

    ``input_tokens`` is what it probably has, ``ended`` are the attempts of the same request before it.
    """

    id: str
    at_s: float
    request_id: str
    decision: str
    tenant: str
    key: str
    operation: str
    protocol: str
    model: str
    combo: str
    stream: bool
    number: int
    sent_s: float
    target: str
    provider: str
    connection: str
    price_version: str
    input_tokens: int
    ended: tuple[AttemptEntry, ...] = ()
    counters: tuple[str, ...] = ()


class PriceTable(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The prices of a version that frames behind it name."""

    version: str
    prices: Prices


Frame: TypeAlias = Opened | Settlement | PriceTable

_PACK_HEAD: Final = _HEAD.pack
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Frame)


class Scanned(msgspec.Struct, frozen=True):
    """Frames in order; ``ends`` is where each ends, and ``sound`` how far the bytes are frames."""

    frames: list[Frame]
    ends: list[int]
    sound: int


def encode_frame(frame: Frame) -> bytes:
    payload = _ENCODER.encode(frame)
    return _PACK_HEAD(len(payload), crc32(payload)) + payload


def scan(data: bytes) -> Scanned:
    """The whole frames at the beginning of ``data``. What stands behind the first that is not whole is not looked at."""
    frames: list[Frame] = []
    ends: list[int] = []
    at, view = 0, memoryview(data)
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        begin, end = at + _HEAD.size, at + _HEAD.size + length
        if not 0 < length <= MAX_BYTES or end > len(data) or crc32(view[begin:end]) != checksum:
            break
        try:
            frames.append(_DECODER.decode(view[begin:end]))
        except msgspec.DecodeError:
            break
        ends.append(end)
        at = end
    return Scanned(frames, ends, at)
