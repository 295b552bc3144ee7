"""What arrives while its reader waits goes straight to whoever asked for that; limits, ends and breaks are the reader's. Over real sockets."""

import asyncio
import gzip

import pytest

from runtime.errors import GatewayError, UpstreamTimeout, UpstreamUnavailable
from runtime.upstream.client import HttpUpstream
from runtime.upstream.line import READ_BUFFER_BYTES
from runtime.upstream.types import UpstreamResponse
from tests.support.raw_server import LAST_CHUNK, RawConnection, answer, chunk, chunked, head, raw_server
from tests.upstream.conftest import limits, post

CHUNKED = head(200, "transfer-encoding: chunked")


class Taker:
    """Keeps what goes straight; of ``stops`` it says that the reader is not to go on waiting, of ``faults`` that it is broken."""

    def __init__(self, *, stops: bytes = b"", faults: bytes = b"") -> None:
        self.took: list[bytes] = []
        self._stops = stops
        self._faults = faults

    def take(self, data: bytes) -> bool:
        if self._faults and self._faults in data:
            raise LookupError(self._faults)
        self.took.append(data)
        return not (self._stops and self._stops in data)


async def read_on(response: UpstreamResponse) -> tuple[list[bytes], GatewayError | None]:
    """What the reader is given up to the end, and what the end was."""
    given: list[bytes] = []
    try:
        async for part in response.chunks():
            given.append(part)
    except GatewayError as failure:
        return given, failure
    finally:
        await response.aclose()
    return given, None


async def pieces(connection: RawConnection, count: int, pause_s: float) -> None:
    for _ in range(count):
        async with asyncio.timeout(20):
            await asyncio.sleep(pause_s)
        await connection.send(chunk(b"x"))


@pytest.mark.parametrize("end", ["whole", "cut"])
async def test_all_comes_once_and_in_order_whichever_way_it_goes(upstream: HttpUpstream, end: str) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        for number in range(200):
            await connection.send(chunk(b"%d," % number))
            if number % 7 == 0:
                await asyncio.sleep(0.001)
        if end == "whole":
            await connection.send(LAST_CHUNK)
        else:
            connection.close()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        all_of_it, taker = bytearray(), Taker()

        def take(data: bytes) -> bool:
            all_of_it.extend(data)
            return taker.take(data)

        response.go_straight(take)
        failure = None
        try:
            async for data in response.chunks():
                all_of_it.extend(data)
        except UpstreamUnavailable as broken:
            failure = broken
        await response.aclose()

    assert bytes(all_of_it) == b"".join(b"%d," % number for number in range(200))
    assert taker.took
    assert (failure is None) == (end == "whole")


async def test_what_is_not_to_go_on_gives_the_reader_nothing_and_what_comes_next_waits(upstream: HttpUpstream) -> None:
    resume = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        await asyncio.sleep(0.01)
        await connection.send(chunk(b"first"))
        await resume.wait()
        await connection.send(chunk(b"second") + LAST_CHUNK)

    taker = Taker(stops=b"first")
    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        response.go_straight(taker.take)
        chunks = response.chunks()
        nothing = await anext(chunks)
        resume.set()
        rest, failure = await read_on(response)

    assert (b"", [b"first"]) == (nothing, taker.took[:1])
    assert b"second" == b"".join(rest + taker.took[1:])
    assert failure is None


async def test_what_it_raises_is_raised_where_the_answer_is_read(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        await asyncio.sleep(0.01)
        await connection.send(chunk(b"bad"))
        await connection.gone()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        response.go_straight(Taker(faults=b"bad").take)
        with pytest.raises(LookupError):
            await anext(response.chunks())
        await response.aclose()


async def test_what_is_here_already_and_what_is_compressed_is_read(upstream: HttpUpstream) -> None:
    sent = [answer(b"here"), chunked([gzip.compress(b"packed")], "content-encoding: gzip")]

    async def script(connection: RawConnection) -> None:
        for each in sent:
            await connection.request()
            await connection.send_split(each, 10_000)

    async with raw_server(script) as server:
        for expected in (b"here", b"packed"):
            taker = Taker()
            response = await upstream.send(post(server.url))
            response.go_straight(taker.take)
            given, failure = await read_on(response)
            assert (expected, None, []) == (b"".join(given), failure, taker.took)


async def test_more_than_is_read_ahead_is_read(upstream: HttpUpstream) -> None:
    """So that a slow reader slows the upstream."""
    large = bytes(READ_BUFFER_BYTES * 3)

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        await asyncio.sleep(0.01)
        await connection.send(chunk(large) + LAST_CHUNK)

    taker = Taker()
    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        response.go_straight(taker.take)
        given, failure = await read_on(response)

    assert (len(large), None) == (sum(map(len, given + taker.took)), failure)
    assert all(len(data) <= READ_BUFFER_BYTES for data in taker.took)


async def test_a_silence_behind_it_ends_at_the_idle_limit(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        await pieces(connection, 2, 0.01)
        await connection.gone()

    taker = Taker()
    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, limits=limits(idle_ms=400)))
        response.go_straight(taker.take)
        _, failure = await read_on(response)

    assert isinstance(failure, UpstreamTimeout)
    assert ("idle", b"xx") == (failure.limit, b"".join(taker.took))


async def test_the_idle_limit_starts_anew_with_it(upstream: HttpUpstream) -> None:
    """Eight pieces, 150 ms apart, are no silence of a second, though together they take longer."""

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        await pieces(connection, 8, 0.15)
        await connection.send(LAST_CHUNK)

    taker = Taker()
    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, limits=limits(idle_ms=1_000)))
        response.go_straight(taker.take)
        given, failure = await read_on(response)

    assert (b"x" * 8, None) == (b"".join(taker.took + given), failure)


async def test_a_steady_stream_of_it_ends_at_the_total_limit(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        await pieces(connection, 10_000, 0.01)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, limits=limits(total_ms=120)))
        response.go_straight(Taker().take)
        _, failure = await read_on(response)

    assert isinstance(failure, UpstreamTimeout)
    assert failure.limit == "total"


async def test_a_reader_that_is_cancelled_lets_it_go(upstream: HttpUpstream) -> None:
    closed = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"first"))
        await connection.gone()
        closed.set()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        response.go_straight(Taker().take)
        reading = asyncio.ensure_future(read_on(response))
        await asyncio.sleep(0.02)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(20):
            await closed.wait()
