"""The limits of an answer's body: silence, the whole time, size; and readers that take their time."""

import asyncio
import contextlib
import tracemalloc
import zlib

import pytest

from runtime.errors import UpstreamProtocolError, UpstreamTimeout
from runtime.upstream.client import HttpUpstream
from tests.support.raw_server import (
    LAST_CHUNK,
    RawConnection,
    answer,
    chunk,
    head,
    raw_server,
)
from tests.upstream.conftest import limits, post
from tests.upstream.test_body import CHUNKED, begins, collect, pause, says


def _bomb(size_bytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1_000_000)
    return b"".join([*(packer.compress(block) for _ in range(size_bytes // len(block))), packer.flush()])


# -- limits


async def test_silence_in_the_body_ends_at_the_idle_limit_and_closes(upstream: HttpUpstream) -> None:
    closed = asyncio.Event()

    async with raw_server(begins(closed)) as server:
        response = await upstream.send(post(server.url, limits=limits(idle_ms=40)))
        body, failure = await collect(response)
        async with asyncio.timeout(20):
            await closed.wait()

    assert body == b"begun"
    assert isinstance(failure, UpstreamTimeout)
    assert failure.limit == "idle"


@pytest.mark.parametrize("behind", [b"0\r\nx-trailer: ", b"1;"], ids=["a trailer", "a chunk's extension"])
async def test_what_is_no_body_has_the_limit_of_a_head(upstream: HttpUpstream, behind: bytes) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"begun") + behind)
        with contextlib.suppress(ConnectionError):
            while True:
                await connection.send(b"a" * 4096)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        body, failure = await collect(response)

    assert (body, type(failure)) == (b"begun", UpstreamProtocolError)


async def test_chunks_whose_sizes_come_by_themselves_are_a_body(upstream: HttpUpstream) -> None:
    """More of them than would fit into a head."""
    sizes = 30_000

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        for _ in range(sizes):
            await connection.send(b"1\r\n")
            await pause(0)
            await connection.send(b"x\r\n")
            await pause(0)
        await connection.send(LAST_CHUNK)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))

        assert await collect(response) == (b"x" * sizes, None)


async def test_the_idle_limit_starts_anew_with_every_byte(upstream: HttpUpstream) -> None:
    """Eight pieces, 30 ms apart, are no silence of 150 ms, though together they take longer."""

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        for _ in range(8):
            await pause(0.03)
            await connection.send(chunk(b"x"))
        await connection.send(LAST_CHUNK)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, limits=limits(idle_ms=150)))

        assert await collect(response) == (b"x" * 8, None)


async def test_a_reader_that_takes_its_time_does_not_make_the_provider_silent(upstream: HttpUpstream) -> None:
    resume = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"first"))
        await resume.wait()
        await connection.send(chunk(b"second") + LAST_CHUNK)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, limits=limits(idle_ms=60)))
        chunks = response.chunks()
        first = await anext(chunks)
        await pause(0.2)
        resume.set()
        second = await anext(chunks)
        await response.aclose()

    assert (first, second) == (b"first", b"second")


async def test_a_steady_stream_ends_at_the_total_limit(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        while True:
            await connection.send(chunk(b"x"))
            await pause(0.01)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, limits=limits(total_ms=120)))
        body, failure = await collect(response)

    assert b"x" in body
    assert isinstance(failure, UpstreamTimeout)
    assert failure.limit == "total"


async def test_the_total_limit_closes_the_connection_also_when_nobody_reads(upstream: HttpUpstream) -> None:
    closed = asyncio.Event()

    async with raw_server(begins(closed)) as server:
        response = await upstream.send(post(server.url, limits=limits(total_ms=60)))
        async with asyncio.timeout(20):
            await closed.wait()
        _, failure = await collect(response)

    assert isinstance(failure, UpstreamTimeout)
    assert failure.limit == "total"


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_read_stops_at_its_size_and_closes(upstream: HttpUpstream, coding: str) -> None:
    """A hundred megabytes of zeros in a hundred kilobytes of gzip is given up after the first pieces."""
    closed = asyncio.Event()
    data = bytes(1_000_000) if not coding else _bomb(100_000_000)
    lines = [f"content-encoding: {coding}"] if coding else []

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(200, f"content-length: {len(data) + 1}", *lines) + data)
        await connection.gone()
        closed.set()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        tracemalloc.start()
        with pytest.raises(UpstreamProtocolError, match="larger than 100000 bytes"):
            await response.read(100_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        async with asyncio.timeout(20):
            await closed.wait()
        await response.aclose()

    assert peak_bytes < 8_000_000


async def test_a_compressed_stream_is_decompressed_piece_by_piece(upstream: HttpUpstream) -> None:
    async with raw_server(says(answer(_bomb(20_000_000), "content-encoding: gzip"))) as server:
        response = await upstream.send(post(server.url))
        sizes = [len(part) async for part in response.chunks()]
        await response.aclose()

    assert sum(sizes) == 20_000_000
    assert max(sizes) < 1_000_000
