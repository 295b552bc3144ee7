"""What the journal holds: frames, each with its length and its checksum, so that what was torn off is noticed.

A frame is 4 bytes of length, 4 of CRC-32, both little-endian, and so many bytes of MessagePack. Pure.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, Generic, TypeAlias, TypeVar
from zlib import crc32

import msgspec

from runtime.catalog import Prices
from runtime.stores.entries import AttemptEntry, Settlement

__all__ = ["Frame", "Kept", "Opened", "Passed", "PriceTable", "Refused", "Scanned", "encode_frame", "scan", "scan_kept"]

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


class Passed(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """An `Opened` of which nothing is asked: its worker lives, and settles it. To skip its fields takes less than to read them.

    That they are sound is not seen here: only we write frames, and their checksum was right.
    """


class PriceTable(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The prices of a version that frames behind it name."""

    version: str
    prices: Prices


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What a request came to, which the database did not take. ``counted``: limits have counted it."""

    settlement: Settlement
    counted: bool


Frame: TypeAlias = Opened | Settlement | PriceTable | Refused
Kept: TypeAlias = Passed | Settlement | PriceTable | Refused
"""What the ledger is told of by a worker that lives."""

F = TypeVar("F", bound="Frame | Kept")

_HEAD_BYTES: Final = _HEAD.size
_PACK_HEAD: Final = _HEAD.pack
_UNPACK_HEAD: Final = _HEAD.unpack_from
_ENCODER: Final = msgspec.msgpack.Encoder()
_FRAMES: Final[msgspec.msgpack.Decoder[Frame]] = msgspec.msgpack.Decoder(Frame)
_KEPT: Final[msgspec.msgpack.Decoder[Kept]] = msgspec.msgpack.Decoder(Kept)


class Scanned(msgspec.Struct, Generic[F], frozen=True):
    """Frames in order; ``ends`` is where each ends, and ``sound`` how far the bytes are frames."""

    frames: list[F]
    ends: list[int]
    sound: int


def encode_frame(frame: Frame) -> bytes:
    payload = _ENCODER.encode(frame)
    return _PACK_HEAD(len(payload), crc32(payload)) + payload


def scan(data: bytes) -> Scanned[Frame]:
    """The whole frames at the beginning of ``data``. What stands behind the first that is not whole is not looked at."""
    return _scan(data, _FRAMES)


def scan_kept(data: bytes) -> Scanned[Kept]:
    """The same, for a journal whose worker lives."""
    return _scan(data, _KEPT)


def _scan(data: bytes, decoder: msgspec.msgpack.Decoder[F]) -> Scanned[F]:
    frames: list[F] = []
    ends: list[int] = []
    at, size, view = 0, len(data), memoryview(data)
    while at + _HEAD_BYTES <= size:
        length, checksum = _UNPACK_HEAD(data, at)
        end = at + _HEAD_BYTES + length
        if not 0 < length <= MAX_BYTES or end > size:
            break
        payload = view[at + _HEAD_BYTES : end]
        if crc32(payload) != checksum:
            break
        try:
            frames.append(decoder.decode(payload))
        except msgspec.DecodeError:
            break
        ends.append(end)
        at = end
    return Scanned(frames, ends, at)
