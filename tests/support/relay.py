"""A line between the gateway and a server that tests may cut, freeze or slow down, from a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["Relay", "relay"]


class Relay:
    """``port`` is where it listens, whole as long as nobody says otherwise; `mend` makes it so again."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._behind = port
        self._loop = asyncio.new_event_loop()
        self._flows: asyncio.Event
        self._delay_s = 0.0
        self._cut = False
        self._lines: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def open(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Every line ends with a reset, and so does a new one."""
        self._do(self._set, True, True, 0.0)

    def freeze(self) -> None:
        """Lines stay, new ones are taken, and nothing passes either way."""
        self._do(self._set, False, False, 0.0)

    def slow(self, delay_s: float) -> None:
        """Whatever passes takes so much longer, each way."""
        self._do(self._set, False, True, delay_s)

    def mend(self) -> None:
        self._do(self._set, False, True, 0.0)

    def _set(self, cut: bool, flows: bool, delay_s: float) -> None:
        self._cut, self._delay_s = cut, delay_s
        (self._flows.set if flows else self._flows.clear)()
        if cut:
            for line in self._lines:
                line.transport.abort()

    def _do(self, what: Callable[..., None], *arguments: object) -> None:
        done = threading.Event()

        def run() -> None:
            what(*arguments)
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(60)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        self._lines |= {writer, behind}
        try:
            await asyncio.gather(self._pass(reader, behind), self._pass(behind_reader, writer))
        finally:
            self._lines -= {writer, behind}
            for each in (writer, behind):
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _open(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        self._set(True, True, 0.0)
        ours = asyncio.current_task()
        others = [each for each in asyncio.all_tasks() if each is not ours]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for line in self._lines:
            line.transport.abort()
        for _ in range(5):
            await asyncio.sleep(0)  # sockets are closed a turn of the loop later


@contextlib.contextmanager
def relay(port: int) -> Iterator[Relay]:
    """A line to ``port`` of the loopback, until the block ends."""
    made = Relay(port)
    made.open()
    try:
        yield made
    finally:
        made.close()
