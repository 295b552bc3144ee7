"""Requests that go through a proxy: what the proxy is told, what it is not, and what becomes of its refusals."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from runtime.errors import UpstreamTimeout, UpstreamUnavailable
from runtime.upstream.client import HttpUpstream
from runtime.upstream.types import UpstreamRequest
from tests.support.raw_server import RawConnection, RawRequest, answer, each_request, raw_server
from tests.upstream.conftest import limits, post
from tests.upstream.test_client import client_tls, server_tls


class Proxy:
    """``heads`` are what it was told."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.scheme = scheme
        self.heads: list[bytes] = []

    def url(self, credential: str = "") -> str:
        return f"{self.scheme}://{credential}127.0.0.1:{self.port}"


@asynccontextmanager
async def proxy(says: bytes | None = None, *, authority: Path | None = None) -> AsyncIterator[Proxy]:
    """A proxy that lets everything through, or answers ``says``; with ``authority`` over TLS."""
    tasks: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        made.heads.append(head)
        if says is not None:
            writer.write(says)
            await writer.drain()
            writer.close()
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1" if host != "[::1]" else host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
        for one in (relay(reader, far_writer), relay(far_reader, writer)):
            tasks.add(asyncio.ensure_future(one))

    tls = server_tls(authority, "good") if authority is not None else None
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    made = Proxy(server.sockets[0].getsockname()[1], "https" if tls else "http")
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        server.close()


async def hello(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(answer(b"hello"))


def through(request: UpstreamRequest, url: str) -> UpstreamRequest:
    return msgspec.structs.replace(request, to=msgspec.structs.replace(request.to, proxy=url))


async def test_a_request_goes_through_and_the_line_is_kept(upstream: HttpUpstream) -> None:
    async with raw_server(each_request(hello)) as server, proxy() as between:
        url = between.url("us:p%40ss%3Aword@")
        for _ in range(3):
            response = await upstream.send(through(post(server.url), url))
            assert b"hello" == await response.read(100)
        assert 1 == len(between.heads)
        port = server.url.rpartition(":")[2]
        assert between.heads[0].startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
        assert base64.b64encode(b"us:p@ss:word") in between.heads[0]
        assert b"hidden" not in between.heads[0]
        assert "proxy-authorization" not in server.requests[0].headers
        response = await upstream.send(post(server.url))
        assert b"hello" == await response.read(100)
        assert (1, 2) == (len(between.heads), server.connections), "one without the proxy has a line of its own"


@pytest.mark.parametrize("outer", [False, True], ids=["http", "https"])
async def test_the_providers_certificate_is_checked_through_the_proxy(authority: Path, outer: bool) -> None:
    upstream = HttpUpstream(tls=client_tls(authority))
    async with proxy(authority=authority if outer else None) as between:
        url = between.url()
        async with raw_server(each_request(hello), tls=server_tls(authority, "good")) as server:
            response = await upstream.send(through(post(server.url), url))
            assert b"hello" == await response.read(100)
        if outer and "uvloop" not in type(asyncio.get_running_loop()).__module__:
            await upstream.aclose()  # asyncio's own loop stumbles over what it meant to say (`SSLProtocol._abort`)
            return
        async with raw_server(each_request(hello), tls=server_tls(authority, "wrong")) as server:
            with pytest.raises(UpstreamUnavailable) as refused:
                await upstream.send(through(post(server.url), url))
            assert "certificate" in refused.value.message
            assert not server.requests
    await upstream.aclose()


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "403"),
        (b"HTTP/1.1 200 OK\r\n\r\nand more", "protocol does not allow"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol does not allow"),
        (b"x" * 20_000, "protocol does not allow"),
        (b"", "closed the connection"),
    ],
)
async def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    upstream: HttpUpstream, says: bytes, told: str
) -> None:
    async with proxy(says) as between:
        with pytest.raises(UpstreamUnavailable) as refused:
            await upstream.send(through(post("http://127.0.0.1:9"), between.url("us:hidden-in-proxy@")))
        assert told in refused.value.message
        assert "the proxy" in refused.value.message
        assert "hidden" not in str(refused.value)


async def test_a_proxy_that_is_not_there_is_named(upstream: HttpUpstream) -> None:
    with pytest.raises(UpstreamUnavailable) as refused:
        await upstream.send(through(post("http://127.0.0.1:9"), "http://us:hidden@127.0.0.1:9"))
    assert "the proxy could not be reached" in refused.value.message
    with pytest.raises(UpstreamUnavailable):
        await upstream.send(through(post("http://127.0.0.1:9"), "socks5://127.0.0.1:9"))


async def test_a_silent_proxy_ends_at_the_connect_limit(upstream: HttpUpstream) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    request = through(post("http://127.0.0.1:9", limits=limits(connect_ms=50)), url)
    with pytest.raises(UpstreamTimeout) as late:
        await upstream.send(request)
    assert "connect" == late.value.limit
    server.close()


async def test_a_retired_pool_dials_its_proxy_anew(upstream: HttpUpstream) -> None:
    async with raw_server(each_request(hello)) as server, proxy() as between:
        for number in (1, 2):
            response = await upstream.send(through(post(server.url, pool="a"), between.url()))
            assert b"hello" == await response.read(100)
            upstream.retire("a")
            assert number == len(between.heads)
