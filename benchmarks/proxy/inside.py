"""One worker's application called in this process, without server and sockets before it: what our own code costs.

`python -m benchmarks.proxy.inside SCENARIO REQUESTS ROUNDS` prints microseconds of CPU per request, least and median of the
rounds. `COUNTING` may name a library to switch callgrind on with, around the last round.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks.proxy.contenders import KEY, Serving, gatewright, whole_request
from benchmarks.proxy.scenarios import SCENARIOS, Scenario
from benchmarks.proxy.tools import provider, tools
from runtime.app import build
from runtime.server import prepare

__all__ = ["Inside", "main"]

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class Inside:
    """Calls ``app`` as a server would, one request after the other, and checks the status of every answer.

    It is never told to start: what runs beside the calls would run by the clock, and be counted more the slower all is.
    """

    def __init__(self, app: Application, request: bytes, status: int) -> None:
        head, _, self._body = request.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        self._app = app
        self._status = status
        self._path = first.split()[1].decode()
        self._headers = [tuple(line.split(b": ", 1)) for line in lines]

    async def call(self) -> int:
        """One request; how many messages its answer had."""
        messages: list[Message] = [{"type": "http.request", "body": self._body, "more_body": True}]
        never = asyncio.get_running_loop().create_future()
        sent: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await never
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(
            {
                "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
                "scheme": "http", "path": self._path, "raw_path": self._path.encode(), "root_path": "", "query_string": b"",
                "headers": self._headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "state": {},
                "extensions": {},
            },
            receive,
            send,
        )  # fmt: skip
        if sent[0]["status"] != self._status:
            raise RuntimeError(f"{sent}")
        return len(sent)


async def measured(inside: Inside, requests: int, rounds: int, counting: ctypes.CDLL | None) -> list[float]:
    for _ in range(max(20, requests // 10)):
        await inside.call()
    times: list[float] = []
    for number in range(rounds):
        if counting is not None and number == rounds - 1:
            counting.counting_on()
        begun = time.process_time_ns()
        for _ in range(requests):
            await inside.call()
        times.append((time.process_time_ns() - begun) / requests / 1000)
    if counting is not None:
        counting.counting_off(b"call")
    return times


def main(scenario: Scenario, requests: int, rounds: int) -> None:
    os.environ |= {"PROVIDER_KEY": "sk-provider", "GATEWAY_KEY": KEY}
    library = os.environ.get("COUNTING")
    counting = ctypes.CDLL(library) if library else None
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(folder, "log").open("wb") as log,
        provider(tools(Path(folder))[1]) as port,
    ):
        contender, root = gatewright(), Path(folder) / "gateway"
        root.mkdir()
        contender.start(root, 1, port)
        serving = Serving(contender=contender, port=1, pid=os.getpid(), provider_port=port, start_s=0)
        ready = prepare(root, host=None, port=0)
        os.dup2(log.fileno(), 2)
        inside = Inside(cast("Application", build(ready)), whole_request(serving, scenario), scenario.status)
        times = uvloop.run(measured(inside, requests, rounds, counting))
        sys.stdout.write(f"{min(times):.1f} {statistics.median(times):.1f}\n")
        sys.stdout.flush()
    os._exit(0)  # what still runs is the application's, and is not waited for


if __name__ == "__main__":
    main(next(each for each in SCENARIOS if each.name == sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
