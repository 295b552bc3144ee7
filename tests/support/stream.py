"""Same bytes, any chunking: how tests cut streams, and what they read out of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec
from hypothesis import strategies as st

from runtime.canonical import Event
from runtime.errors import GatewayError
from runtime.protocols.base import StreamDecoder, StreamTap

__all__ = [
    "APART",
    "chop",
    "chunks_of",
    "cut_everywhere",
    "cuts",
    "decode_stream",
    "random_cuts",
    "sse_data",
    "tap_stream",
    "transcript",
]

APART = 250
"""Bytes: more than most frames have, and in a longer one still far from each other."""


def transcript(*frames: bytes | str | dict[str, object], end: bytes = b"\n\n") -> bytes:
    """An SSE stream of data frames: dicts become JSON, text and bytes stay as they are."""
    return b"".join(b"data: " + _data(frame) + end for frame in frames)


def _data(frame: bytes | str | dict[str, object]) -> bytes:
    if isinstance(frame, bytes):
        return frame
    return frame.encode() if isinstance(frame, str) else msgspec.json.encode(frame)


def chunks_of(data: bytes, size: int) -> list[bytes]:
    """``data`` in reads of ``size`` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` cut at ``places`` (any integers; they are taken modulo its length)."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def cut_everywhere(data: bytes) -> Iterator[list[bytes]]:
    """Reads of ``data`` that are cut, all of them together, at every place: once each, and no two near each other.

    That is every split in two where ``data`` is short. In a longer one cuts stand `APART` in the same reads: what a reader
    keeps from one read to the next is a frame that is not whole yet, so that a cut does its harm near where it is.
    """
    for first in range(min(APART, len(data) + 1)):
        yield cuts(data, list(range(first, len(data) + 1, APART)))


def chop(data: bytes) -> Iterator[list[bytes]]:
    """The splits every stream test runs over: whole, one byte at a time, by 7 bytes, and cut at every single place."""
    yield [data]
    yield chunks_of(data, 1)
    yield chunks_of(data, 7)
    yield from cut_everywhere(data)


def random_cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Random splits, as a Hypothesis strategy."""
    return st.lists(st.integers(0, 10**6), max_size=12).map(lambda places: cuts(data, places))


def decode_stream(decoder: StreamDecoder, reads: list[bytes]) -> tuple[list[Event], GatewayError | None]:
    """All events of a stream, and the error that ended it, if one did."""
    events: list[Event] = []
    try:
        for read in reads:
            events += decoder.feed(read)
        events += decoder.close()
    except GatewayError as error:
        return events, error
    return events, None


def tap_stream(tap: StreamTap, reads: list[bytes]) -> tuple[bytes, GatewayError | None]:
    """All bytes that a tap forwards, and the error that ended it, if one did."""
    out: list[bytes] = []
    try:
        out.extend(tap.feed(read) for read in reads)
        out.append(tap.close())
    except GatewayError as error:
        return b"".join(out), error
    return b"".join(out), None


def sse_data(stream: bytes) -> list[bytes]:
    """The data of each frame of a stream of ours, comments left out."""
    frames = [frame for frame in stream.split(b"\n\n") if frame and not frame.startswith(b":")]
    return [
        line.removeprefix(b"data: ") for frame in frames for line in frame.split(b"\n") if line.startswith(b"data:")
    ]
