"""A client of many Chat streams at once, which notes how late every event is. A process of its own.

`python -m tests.slow.listener URL KEY MODEL STREAMS [LEAVE_AFTER_S]` prints what it saw as JSON: complete streams, events,
the delays in seconds (median, 99.9 %, longest), the longest silence within a stream; and, if it left, when.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from typing import cast
from urllib.parse import urlsplit

import uvloop

STAMP = re.compile(rb"@([0-9.]+)@")


class Listener(asyncio.Protocol):
    def __init__(self, request: bytes, done: asyncio.Future[None]) -> None:
        self._request = request
        self.done = done
        self.complete = False
        self.delays_s: list[float] = []
        self.silence_s = 0.0
        self._last_s = 0.0
        self._tail = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        data = self._tail + data
        if self._last_s:
            self.silence_s = max(self.silence_s, now_s - self._last_s)
        end = 0
        for stamp in STAMP.finditer(data):
            self.delays_s.append(now_s - float(stamp[1]))
            self._last_s, end = now_s, stamp.end()
        self._tail = data[max(end, len(data) - 64) :]
        if b"[DONE]" in data:
            self.complete = True
            assert self.transport is not None
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def main(url: str, key: str, model: str, count: int, leave_after_s: float | None) -> None:
    to, loop = urlsplit(url), asyncio.get_running_loop()
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "go"}], "stream": True}).encode()
    lines = ("POST /v1/chat/completions HTTP/1.1", f"host: {to.netloc}", f"authorization: Bearer {key}",
             "content-type: application/json", f"content-length: {len(body)}", "", "")  # fmt: skip
    request = "\r\n".join(lines).encode() + body
    listeners = [Listener(request, loop.create_future()) for _ in range(count)]
    for each in listeners:
        await loop.create_connection(lambda each=each: each, to.hostname, to.port)
    left_s = 0.0
    if leave_after_s is not None:
        await asyncio.sleep(leave_after_s)
        left_s = time.monotonic()
        for each in listeners:
            if each.transport is not None:
                each.transport.abort()
    await asyncio.gather(*(each.done for each in listeners))
    delays = sorted(delay for each in listeners for delay in each.delays_s)
    said = {
        "complete": sum(each.complete for each in listeners),
        "events": len(delays),
        "median_s": statistics.median(delays) if delays else None,
        "p999_s": delays[int(len(delays) * 0.999)] if delays else None,
        "longest_s": delays[-1] if delays else None,
        "silence_s": max(each.silence_s for each in listeners),
        "left_s": left_s,
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    url, key, model, count, *rest = sys.argv[1:]
    uvloop.run(main(url, key, model, int(count), float(rest[0]) if rest else None))
