"""One worker's application called in this process, without server and sockets before it: what our own code costs.

`python -m benchmarks.proxy.inside SCENARIO REQUESTS ROUNDS` prints microseconds of CPU per request, least and median of the
rounds. `python -m benchmarks.proxy.inside --count LIBRARY REQUESTS` runs below callgrind, and dumps what each scenario of
`COUNTED` takes; `LIBRARY` is `counting.c`, compiled.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

import uvloop

from benchmarks.proxy.contenders import gatewright
from benchmarks.proxy.scenarios import SCENARIOS
from benchmarks.proxy.serving import KEY, Serving, whole_request
from benchmarks.proxy.tools import provider, tools
from runtime.app import build
from runtime.server import prepare

__all__ = ["COUNTED"]

COUNTED: Final = (
    "chat 1 KB",
    "chat 100 KB prompt",
    "Anthropic client, OpenAI provider",
    "OpenAI client, Anthropic provider",
    "stream of 100, at once",
    "refused key",
    "malformed body",
)
WARM_UP: Final = 20
CLOCKED: Final = (
    "runtime.web.connected.WATCH_AFTER_S",
    "runtime.lasting.TOGETHER_S",
    "runtime.services.keyring.STRANGER_S",
    "runtime.services.keyring.LOOK_LIMIT_S",
)
"""After how long calls are looked at, lines written, and a wrong key looked for again: the slower all is, the more of that a
call would be counted for."""

NEVER_S: Final = 1e6

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


async def measured(inside: Inside, requests: int, rounds: int) -> list[float]:
    """Microseconds of CPU per request, round by round."""
    await _warm(inside)
    times: list[float] = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        for _ in range(requests):
            await inside.call()
        times.append((time.process_time_ns() - begun) / requests / 1000)
    return times


async def counted(insides: Mapping[str, Inside], requests: int, library: str) -> None:
    """Let callgrind count ``requests`` of each, and dump them by name."""
    counting = ctypes.CDLL(library)
    for name, inside in insides.items():
        await _warm(inside)
        gc.collect()  # what was left by others is not this one's to clear away
        counting.counting_on()
        for _ in range(requests):
            await inside.call()
        counting.counting_off(name.encode())


async def _warm(inside: Inside) -> None:
    for _ in range(WARM_UP):
        await inside.call()


@contextmanager
def called(names: Sequence[str]) -> Generator[dict[str, Inside], None, None]:
    """The application, to be called with each of those scenarios. What it starts does not end: leave the process by `os._exit`."""
    os.environ |= {"PROVIDER_KEY": "sk-provider", "GATEWAY_KEY": KEY}
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
        app = cast("Application", build(ready))
        chosen = {each.name: each for each in SCENARIOS if each.name in names}
        yield {
            name: Inside(app, whole_request(serving, chosen[name]), chosen[name].status) for name in names
        }  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    counting = arguments[0] == "--count"
    with ExitStack() as stack:
        for name in CLOCKED if counting else ():
            stack.enter_context(patch(name, NEVER_S))
        insides = stack.enter_context(called(COUNTED if counting else arguments[:1]))
        if counting:
            uvloop.run(counted(insides, int(arguments[2]), arguments[1]))
        else:
            times = uvloop.run(measured(insides[arguments[0]], int(arguments[1]), int(arguments[2])))
            sys.stdout.write(f"{min(times):.1f} {statistics.median(times):.1f}\n")
            sys.stdout.flush()
    os._exit(0)  # what still runs is the application's, and is not waited for


if __name__ == "__main__":
    main(sys.argv[1:])
