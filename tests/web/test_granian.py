"""The exchange on the real server: what `runtime.web.exchange` says of Granian is true of the one that is installed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from runtime.errors import ClientClosed, GatewayError
from runtime.web.exchange import Exchange
from tests.support.ports import kept_port

Serve = Callable[[Exchange], Awaitable[None]]

PATIENCE_S = 20
PIECE = bytes(65536)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}

    async def answer(self) -> tuple[int, bytes]:
        status, headers = await self.head()
        return status, await self.reader.readexactly(int(headers["content-length"]))

    def leave(self) -> None:
        self.writer.transport.abort()


class Site:
    """A running server. ``outcome`` is how the one call ended: "done", or the name of what was raised."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))
        self._clients.append(client)
        return client

    async def aclose(self) -> None:
        for client in self._clients:
            client.leave()
            with suppress(ConnectionError):
                await client.writer.wait_closed()


@asynccontextmanager
async def site(serve: Serve) -> AsyncIterator[Site]:
    """``serve`` behind Granian on loopback."""
    with kept_port() as port:
        async with _served(serve, Site(port)) as found:
            yield found


@asynccontextmanager
async def _served(serve: Serve, found: Site) -> AsyncIterator[Site]:
    async def app(scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        exchange = Exchange(scope, receive, send, request_id="r-1")
        try:
            await serve(exchange)
            outcome = "done"
        except GatewayError as error:
            outcome = type(error).__name__
            await exchange.respond(error.http_status, [], error.message.encode())
        except ClientClosed:
            outcome = "ClientClosed"
        if not found.outcome.done():
            found.outcome.set_result(outcome)

    server = Server(app, address="127.0.0.1", port=found.port, interface=Interfaces.ASGI, log_enabled=False)
    running = asyncio.ensure_future(server.serve())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _listening(found.port)
            yield found
    finally:
        await found.aclose()
        server.stop()
        await running


async def _listening(port: int) -> None:
    while True:
        with suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.01)


def request(method: str = "GET", headers: str = "", body: bytes = b"", path: str = "/x") -> bytes:
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: h\r\n{length}{headers}\r\n".encode() + body


async def echo(exchange: Exchange) -> None:
    body = await exchange.read_body(1 << 20, 5)
    await exchange.respond(200, [("x-seen", repr((exchange.path, exchange.query, exchange.client_host)))], body)


async def test_a_body_comes_and_goes_on_one_connection_again_and_again() -> None:
    async with site(echo) as found:
        client = await found.connect()
        answers = []
        for body in (b"one", gzip.compress(b"two"), b"three" * 10000):
            coded = "content-encoding: gzip\r\n" if body[:2] == b"\x1f\x8b" else ""
            await client.send(request("POST", coded, body))
            answers.append(await client.answer())

        assert [(200, b"one"), (200, b"two"), (200, b"three" * 10000)] == answers


async def test_the_path_arrives_decoded_and_the_query_does_not_mix_in() -> None:
    async with site(echo) as found:
        client = await found.connect()
        await client.send(request("POST", body=b"x", path="/v1/models/a%2Fb%20c?beta=true&key=k%2B1"))
        _, headers = await client.head()

        assert repr(("/v1/models/a/b c", {"beta": "true", "key": "k+1"}, "127.0.0.1")) == headers["x-seen"]


async def test_a_chunked_body_is_read_whole() -> None:
    async with site(echo) as found:
        client = await found.connect()
        await client.send(request("POST", "transfer-encoding: chunked\r\n") + b"3\r\nabc\r\n")
        await client.send(b"2\r\nde\r\n0\r\n\r\n")

        assert (200, b"abcde") == await client.answer()


async def test_a_client_that_sends_too_much_still_reads_its_refusal() -> None:
    async with site(echo) as found:
        client = await found.connect()
        await client.send(request("POST", body=bytes(20 << 20)))
        status, body = await client.answer()

        assert (413, True) == (status, b"larger than 1048576 bytes" in body)


async def test_a_chunked_body_without_a_declared_size_is_refused_too() -> None:
    async with site(echo) as found:
        client = await found.connect()
        chunk = b"10000\r\n" + PIECE + b"\r\n"
        await client.send(request("POST", "transfer-encoding: chunked\r\n") + chunk * 40 + b"0\r\n\r\n")

        assert 413 == (await client.answer())[0]


async def test_a_client_that_waits_for_leave_to_send_is_refused_at_once() -> None:
    async with site(echo) as found:
        client = await found.connect()
        await client.send(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2000000\r\nexpect: 100-continue\r\n\r\n")

        assert 413 == (await client.answer())[0]


async def test_a_client_that_leaves_within_its_body_is_noticed() -> None:
    async with site(echo) as found:
        client = await found.connect()
        await client.send(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf")
        await asyncio.sleep(0.05)  # the request must have begun before its client goes
        client.leave()

        assert "ClientClosed" == await found.outcome


async def test_a_client_that_leaves_while_nothing_is_sent_is_noticed() -> None:
    entered = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        await exchange.read_body(10, 5)
        with exchange.while_connected():
            entered.set()
            await asyncio.Event().wait()

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request("POST", body=b"body"))
        await entered.wait()
        client.leave()

        assert "ClientClosed" == await found.outcome


async def test_a_client_that_leaves_in_the_middle_of_a_stream_stops_it() -> None:
    sent = 0

    async def serve(exchange: Exchange) -> None:
        nonlocal sent
        with exchange.while_connected():
            await exchange.start(200, [])
            while True:
                await exchange.send(b"data: x\n\n")
                sent += 1
                await asyncio.sleep(0.001)

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request())
        await client.head()
        client.leave()

        assert "ClientClosed" == await found.outcome
    assert sent > 0


async def test_a_client_that_leaves_is_noticed_by_a_loop_that_only_sends() -> None:
    async def serve(exchange: Exchange) -> None:
        with exchange.while_connected():
            await exchange.start(200, [])
            while True:
                await exchange.send(PIECE)

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request())
        await client.head()
        client.leave()

        assert "ClientClosed" == await found.outcome


async def test_a_slow_client_holds_back_whoever_sends_and_gets_everything() -> None:
    total = 400
    sent = 0
    blocked = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.start(200, [("content-type", "application/octet-stream")])
        for _ in range(total):
            try:
                async with asyncio.timeout(0.2):
                    await exchange.send(PIECE)
            except TimeoutError:
                blocked.set()
                break
            sent += 1
        else:
            return
        await exchange.finish()

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request())
        await blocked.wait()

        assert 0 < sent < total
        received = 0
        await client.head()
        while data := await client.reader.read(1 << 20):
            received += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
        assert received >= sent * len(PIECE)


async def test_a_blocked_send_ends_when_its_client_leaves() -> None:
    blocked = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        with exchange.while_connected():
            await exchange.start(200, [])
            while True:
                sending = asyncio.ensure_future(exchange.send(PIECE))
                done, _ = await asyncio.wait([sending], timeout=0.2)
                if not done:
                    blocked.set()
                await sending

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request())
        await blocked.wait()
        client.leave()

        assert "ClientClosed" == await found.outcome


@pytest.mark.parametrize(("finish", "terminated"), [(True, True), (False, False)])
async def test_only_a_finished_stream_has_a_terminator(finish: bool, terminated: bool) -> None:
    async def serve(exchange: Exchange) -> None:
        await exchange.start(200, [])
        await exchange.send(b"part")
        if finish:
            await exchange.finish()

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request(headers="connection: close\r\n"))
        await client.head()

        assert terminated == (await client.reader.read()).endswith(b"0\r\n\r\n")


async def test_head_gets_headers_only() -> None:
    async def serve(exchange: Exchange) -> None:
        await exchange.respond(200, [], b"hello")

    async with site(serve) as found:
        client = await found.connect()
        await client.send(request("HEAD", "connection: close\r\n"))

        assert (200, "5") == ((answer := await client.head())[0], answer[1]["content-length"])
        assert b"" == await client.reader.read()
