"""Connections to providers that are kept: used again, replaced where they went stale, bounded, let go."""

import asyncio

import pytest

from runtime.errors import UpstreamTimeout, UpstreamUnavailable
from runtime.upstream.client import HttpUpstream
from tests.support.raw_server import RawConnection, RawRequest, answer, each_request, head, raw_server
from tests.upstream.conftest import limits, post
from tests.upstream.test_client import finish, hello

# -- kept connections


async def test_a_connection_is_used_again_after_a_complete_body(upstream: HttpUpstream) -> None:
    async with raw_server(hello) as server:
        for _ in range(5):
            await finish(upstream, post(server.url))

    assert (server.connections, len(server.requests)) == (1, 5)


async def test_pools_do_not_share_connections(upstream: HttpUpstream) -> None:
    async with raw_server(hello) as server:
        for pool in ("a", "b", "a", "b"):
            await finish(upstream, post(server.url, pool=pool))

    assert server.connections == 2


async def test_connection_close_is_obeyed(upstream: HttpUpstream) -> None:
    @each_request
    async def script(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(answer(b"bye", "connection: close"))

    async with raw_server(script) as server:
        await finish(upstream, post(server.url))
        await finish(upstream, post(server.url))

    assert server.connections == 2


@pytest.mark.parametrize("announced", ["content-length: 45", "transfer-encoding: chunked"])
@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_where_none_may_be_is_never_the_next_answer(
    upstream: HttpUpstream, status: int, announced: str
) -> None:
    """It may come when the connection has been given to another request, and read like the answer to that."""

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(status, announced) if connection.number == 1 else answer(b"mine"))
        if await connection.request() is not None:
            await connection.send(answer(b"of the one before"))

    async with raw_server(script) as server:
        await finish(upstream, post(server.url))
        body = await finish(upstream, post(server.url))

    assert (b"mine", 2) == (body, server.connections)


async def test_idle_connections_are_dropped() -> None:
    dropped = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(answer(b"hello"))
        await connection.gone()
        dropped.set()

    upstream = HttpUpstream(keep_idle_s=0.05)
    async with raw_server(script) as server:
        await finish(upstream, post(server.url))
        async with asyncio.timeout(20):
            await dropped.wait()
    await upstream.aclose()


async def test_a_pool_is_bounded_and_who_waits_waits_within_the_connect_limit() -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(200))
        await connection.gone()

    upstream = HttpUpstream(max_connections=1)
    async with raw_server(script) as server:
        first = await upstream.send(post(server.url))
        with pytest.raises(UpstreamTimeout) as caught:
            await upstream.send(post(server.url, limits=limits(connect_ms=50)))
        await first.aclose()
    await upstream.aclose()

    assert caught.value.limit == "connect"
    assert server.connections == 1


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_stale_connection_is_replaced_and_the_request_sent_again(upstream: HttpUpstream, end: str) -> None:
    """The provider closes a kept connection as our next request is on its way: the client never learns."""

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(answer(b"from connection %d" % connection.number))
        if connection.number == 1:
            await connection.request()
            connection.close() if end == "close" else connection.reset()
        else:
            await connection.gone()

    async with raw_server(script) as server:
        bodies = [await finish(upstream, post(server.url)), await finish(upstream, post(server.url, b'{"n":2}'))]

    assert bodies == [b"from connection 1", b"from connection 2"]
    assert [request.body for request in server.requests] == [b"{}", b'{"n":2}', b'{"n":2}']


async def test_a_stale_connection_is_replaced_once_not_for_ever(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        if connection.number == 1:
            await connection.request()
            await connection.send(answer(b"hello"))
        await connection.request()
        connection.close()

    async with raw_server(script) as server:
        await finish(upstream, post(server.url))
        with pytest.raises(UpstreamUnavailable):
            await upstream.send(post(server.url))

    assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_new_connection_that_fails_is_not_tried_again(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        connection.reset()

    async with raw_server(script) as server:
        with pytest.raises(UpstreamUnavailable):
            await upstream.send(post(server.url))

    assert len(server.requests) == 1


async def test_a_kept_connection_that_ends_after_the_beginning_of_an_answer_is_not_tried_again(
    upstream: HttpUpstream,
) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(answer(b"hello"))
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-le")

    async with raw_server(script) as server:
        await finish(upstream, post(server.url))
        with pytest.raises(UpstreamUnavailable):
            await upstream.send(post(server.url))

    assert len(server.requests) == 2
