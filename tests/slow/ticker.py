"""A provider of Chat streams that tick: every stream says the time, again and again. A process of its own.

`python -m tests.slow.ticker` prints its port. The model's name is `tick-<events>` for an event every 10 ms, or
`flood-<events>` for events as fast as they are taken. `GET /stats` tells of the streams that were: how many are open, how
many bytes were taken, and when each that had not ended was closed by the other side, by the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

EVERY_S = 0.010
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = b'"role":"assistant",'
FLOOD = b"x" * 900


def frame(text: bytes, more: bytes = b"") -> bytes:
    event = (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{'
        + more + b'"content":"' + text + b'"},"finish_reason":null}]}\n\n'
    )  # fmt: skip
    return b"%x\r\n%s\r\n" % (len(event), event)


def last() -> bytes:
    event = (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
        b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event)


class Streams:
    def __init__(self) -> None:
        self.open: dict[Stream, int] = {}
        self.taken_bytes = 0
        self.closed_s: list[float] = []

    def tick(self) -> None:
        """An event to everybody who is due one."""
        now = b"@%.6f@" % time.monotonic()
        event = frame(now)
        for stream, left in list(self.open.items()):
            if left:
                stream.write(event)
                self.open[stream] = left - 1
            else:
                stream.write(last())
                del self.open[stream]


class Stream(asyncio.Protocol):
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._got = b""
        self._transport: asyncio.Transport | None = None
        self._flood = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        self._streams.taken_bytes += len(data)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, mark, body = self._got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not mark or (length is not None and len(body) < int(length[1])):
            return
        self._got = b""
        if head.startswith(b"GET"):
            self._tell()
            return
        asked = re.search(rb'"model":\s*"(tick|flood)-(\d+)"', body)
        assert asked is not None, body
        self.write(HEAD + frame(b"", FIRST))
        if asked[1] == b"tick":
            self._streams.open[self] = int(asked[2])
        else:
            self._flood = int(asked[2])
            self._pour()

    def _pour(self) -> None:
        while self._flood and not self._paused:
            self.write(frame(FLOOD))
            self._flood -= 1
            if not self._flood:
                self.write(last())

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pour()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._streams.open.pop(self, None) is not None:
            self._streams.closed_s.append(time.monotonic())

    def _tell(self) -> None:
        streams = self._streams
        said = {"open": len(streams.open), "taken_bytes": streams.taken_bytes, "closed_s": streams.closed_s}
        body = json.dumps(said).encode()
        assert self._transport is not None
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


async def main() -> None:
    streams = Streams()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(streams), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    due_s = loop.time()
    while True:
        due_s += EVERY_S
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        streams.tick()


if __name__ == "__main__":
    uvloop.run(main())
