"""Streams as odd servers and proxies send them: other line ends, comments, events over several lines, no end of the last one.

Each vendor's own transcripts are told so, in reads of any size: decoders and pass-through must understand the very same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from runtime.canonical import Event
from runtime.errors import GatewayError
from runtime.protocols import CODECS
from runtime.protocols.base import Answer, Outgoing
from tests.support.each import each
from tests.support.vendor import WIRE

ANSWER: Final = Answer(model="public/name", id="r1", created=1, headers={})
OUTGOING: Final = Outgoing("/", (), b"", stream=True)
BOM: Final = b"\xef\xbb\xbf"


def over_lines(data: bytes) -> bytes:
    """Each event's JSON laid out over several lines of data."""
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        if line.startswith(b"data: {"):
            told = json.dumps(json.loads(line[6:]), indent=1, ensure_ascii=False).encode()
            lines += [b"data: " + piece for piece in told.split(b"\n")]
        else:
            lines.append(line)
    return b"\n".join(lines)


EVENTS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "byte order mark": lambda data: BOM + data,
    "comments": lambda data: b": hi\n\n" + data.replace(b"\n\n", b"\n\n: ping\n\n:\n"),
    "other fields": lambda data: data.replace(b"data: ", b"id: 5\nretry: 10\nfoo\ndata: "),
    "no space": lambda data: data.replace(b"data: ", b"data:"),
    "blank lines": lambda data: b"\n\n\n" + data.replace(b"\n\n", b"\n\n\n\n\n"),
    "no last line end": lambda data: data.rstrip(b"\n"),
    "over lines": over_lines,
}
LINES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "crlf": EVENTS["crlf"],
    "byte order mark": EVENTS["byte order mark"],
    "blank lines": lambda data: data.replace(b"\n", b"\n\n \n"),
    "no last line end": EVENTS["no last line end"],
    "blanks": lambda data: data.replace(b"\n", b"  \n  "),
}
CASES: Final = [
    (protocol, path, oddity)
    for protocol in CODECS
    for path in sorted((WIRE / protocol).iterdir())
    if path.suffix != ".json" and path.stem != "cut"  # cut, the last event is no event: there is nothing to be equal
    for oddity in (LINES if path.suffix == ".ndjson" else EVENTS)
]


def reads(data: bytes, seed: int) -> list[bytes]:
    if seed == 0:
        return [data[at : at + 1] for at in range(len(data))]
    draw, cut, at = Random(seed), list[bytes](), 0
    while at < len(data):
        size = draw.choice((1, 2, 3, 7, 50, 400, 10_000))
        cut.append(data[at : at + size])
        at += size
    return cut


def decoded(protocol: str, pieces: list[bytes]) -> tuple[list[Event], str]:
    decoder, events = CODECS[protocol]().stream_decoder(OUTGOING), list[Event]()
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        return [*events, *decoder.close()], ""
    except GatewayError as error:
        return events, str(error)


def watched(protocol: str, pieces: list[bytes]) -> tuple[object, ...]:
    """What a tap learned, and what a decoder reads of what it passed on."""
    tap, passed, failed = CODECS[protocol]().stream_tap(ANSWER), b"", ""
    try:
        for piece in pieces:
            passed += tap.feed(piece)
        passed += tap.close()
    except GatewayError as error:
        failed = str(error)
    events = [type(event).__name__ for event in decoded(protocol, [passed])[0]]
    return tap.usage, tap.complete, tap.started, failed, events


def plain(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")


@cache
def plainly(protocol: str, path: Path) -> tuple[tuple[list[Event], str], tuple[object, ...]]:
    """What is read of it, and what a tap makes of it, as its vendor sends it."""
    return decoded(protocol, [plain(path)]), watched(protocol, [plain(path)])


@each(CASES)
def test_an_odd_stream_says_what_it_says(protocol: str, path: Path, oddity: str) -> None:
    odd = (LINES if path.suffix == ".ndjson" else EVENTS)[oddity](plain(path))
    (events, failed), known = plainly(protocol, path)

    for seed in range(3):
        found, error = decoded(protocol, reads(odd, seed))
        assert error == failed
        assert [type(event) for event in found] == [type(event) for event in events]
        assert found == events or oddity == "over lines"  # blanks in native JSON stay
        assert watched(protocol, reads(odd, seed)) == known
