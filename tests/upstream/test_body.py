"""Bodies as they come: whole or cut, slow or endless, compressed, let go half-way. Over real sockets."""

import asyncio
import gzip
import resource
import zlib
from collections.abc import Iterator

import brotli
import pytest

from runtime.errors import GatewayError, UpstreamProtocolError, UpstreamUnavailable
from runtime.upstream.client import HttpUpstream
from runtime.upstream.line import GIVEN_BYTES, READ_BUFFER_BYTES
from runtime.upstream.types import UpstreamResponse
from tests.support.raw_server import (
    LAST_CHUNK,
    RawConnection,
    RawRequest,
    Script,
    answer,
    chunk,
    chunked,
    each_request,
    head,
    raw_server,
)
from tests.upstream.conftest import limits, post

CHUNKED = head(200, "transfer-encoding: chunked")


def begins(closed: asyncio.Event) -> Script:
    """A script that begins a body, and sets ``closed`` when the client is gone."""

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"begun"))
        await connection.gone()
        closed.set()

    return script


def says(*steps: bytes | str) -> Script:
    """A script: bytes are sent, `reset` and `close` end, `gone` waits for the client to go."""

    async def script(connection: RawConnection) -> None:
        await connection.request()
        for step in steps:
            match step:
                case bytes():
                    await connection.send(step)
                case "reset":
                    connection.reset()
                case "close":
                    connection.close()
                case _:
                    await connection.gone()

    return script


async def collect(response: UpstreamResponse) -> tuple[bytes, GatewayError | None]:
    """All that is given before the end, and what the end was."""
    parts: list[bytes] = []
    try:
        async for part in response.chunks():
            assert part, "an empty chunk says nothing"
            parts.append(part)
    except GatewayError as failure:
        return b"".join(parts), failure
    finally:
        await response.aclose()
    return b"".join(parts), None


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(answer(b"hello world"), id="content length"),
        pytest.param(chunked([b"hello", b" ", b"world"]), id="chunked"),
        pytest.param(head(200) + b"hello world", id="until the end of the connection"),
        pytest.param(answer(gzip.compress(b"hello world"), "content-encoding: gzip"), id="gzip"),
        pytest.param(answer(zlib.compress(b"hello world"), "content-encoding: deflate"), id="deflate"),
        pytest.param(answer(brotli.compress(b"hello world"), "content-encoding: br"), id="brotli"),
        pytest.param(
            chunked([gzip.compress(b"hello"), gzip.compress(b" world")], "content-encoding: gzip"), id="gzip twice"
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_body_is_the_same_whatever_way_and_pieces_it_comes_in(
    upstream: HttpUpstream, sent: bytes, size: int
) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send_split(sent, size)

    async with raw_server(script) as server:
        streamed = await collect(await upstream.send(post(server.url)))
        response = await upstream.send(post(server.url))
        read = await response.read(11)
        await response.aclose()

    assert streamed == (b"hello world", None)
    assert read == b"hello world"


async def test_headers_do_not_name_a_coding_that_was_undone(upstream: HttpUpstream) -> None:
    async with raw_server(says(answer(gzip.compress(b"x"), "Content-Encoding: gzip", "X-Kept: 1"))) as server:
        response = await upstream.send(post(server.url))
        await response.read(10)
        await response.aclose()

    assert response.headers == {"x-kept": "1"}


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_are_complete_at_once(upstream: HttpUpstream, status: int) -> None:
    @each_request
    async def script(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(head(status))

    async with raw_server(script) as server:
        for _ in range(2):
            response = await upstream.send(post(server.url))
            assert await response.read(0) == b""
            await response.aclose()

    assert server.connections == 1


async def test_each_network_read_is_handed_out_as_it_comes(upstream: HttpUpstream) -> None:
    """A stream is not gathered: the second piece is sent only when the first has been seen."""
    seen = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED + chunk(b"first"))
        await seen.wait()
        await connection.send(chunk(b"second") + LAST_CHUNK)

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        chunks = response.chunks()
        first = await anext(chunks)
        seen.set()
        second = await anext(chunks)
        end = await anext(chunks, None)
        await response.aclose()

    assert (first, second, end) == (b"first", b"second", None)


# -- bodies that are cut


@pytest.mark.parametrize(
    ("steps", "given"),
    [
        pytest.param((head(200, "content-length: 10") + b"half", "close"), b"half", id="length, closed"),
        pytest.param((CHUNKED + chunk(b"half"), "close"), b"half", id="chunked, closed"),
        pytest.param((CHUNKED + chunk(b"half") + b"5\r\nab", "close"), b"halfab", id="chunked, closed in a chunk"),
        pytest.param(
            (CHUNKED + chunk(b"half") + b"0\r\n", "close"), b"half", id="chunked, closed before the last line"
        ),
    ],
)
@pytest.mark.parametrize("late", [False, True])
async def test_a_body_that_is_cut_gives_what_came_and_then_an_error(
    upstream: HttpUpstream, steps: tuple[bytes | str, ...], given: bytes, late: bool
) -> None:
    """Never a silent success; also when the reader comes (``late``) after the connection has ended."""
    async with raw_server(says(*steps)) as server:
        response = await upstream.send(post(server.url))
        if late:
            await _ended(response)
        body, failure = await collect(response)

    assert given == body
    assert isinstance(failure, UpstreamUnavailable)


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(head(200, "content-length: 10"), id="content length"),
        pytest.param(CHUNKED, id="chunked"),
        pytest.param(head(200), id="until the end of the connection"),
    ],
)
async def test_a_reset_in_the_body_is_an_error(upstream: HttpUpstream, begun: bytes) -> None:
    """Also in a body that ends with its connection: broken is not closed."""
    read = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(begun + (chunk(b"half") if begun is CHUNKED else b"half"))
        await read.wait()
        connection.reset()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        chunks = response.chunks()
        first = await anext(chunks)
        read.set()
        with pytest.raises(UpstreamUnavailable):
            await anext(chunks)
        with pytest.raises(UpstreamUnavailable):
            await anext(chunks)
        await response.aclose()

    assert first == b"half"


async def test_a_cut_body_is_an_error_for_read_too(upstream: HttpUpstream) -> None:
    async with raw_server(says(head(200, "content-length: 10") + b"half", "close")) as server:
        response = await upstream.send(post(server.url))
        with pytest.raises(UpstreamUnavailable):
            await response.read(1_000)
        await response.aclose()


@pytest.mark.parametrize(
    ("begun", "broken"),
    [
        pytest.param(CHUNKED + chunk(b"good"), b"zz\r\nbad\r\n", id="chunk size"),
        pytest.param(CHUNKED + chunk(b"good"), b"ffffffffffffffffff\r\n", id="chunk size overflow"),
        pytest.param(CHUNKED + chunk(b"good"), b"3\r\nabcdef\r\n", id="chunk end"),
    ],
)
async def test_broken_framing_is_an_error_at_once(upstream: HttpUpstream, begun: bytes, broken: bytes) -> None:
    """At once: not when the idle limit passes (it is five seconds here, the test allows two)."""
    read = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(begun)
        await read.wait()
        await connection.send(broken)
        await connection.gone()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        chunks = response.chunks()
        first = await anext(chunks)
        read.set()
        async with asyncio.timeout(20):
            _, failure = await collect(response)

    assert isinstance(failure, UpstreamProtocolError)
    assert first == b"good"


async def test_what_is_not_compressed_as_said_is_an_error(upstream: HttpUpstream) -> None:
    async with raw_server(says(answer(b"plain", "content-encoding: gzip"), "gone")) as server:
        response = await upstream.send(post(server.url))
        with pytest.raises(UpstreamProtocolError, match="decompressed"):
            await response.read(1_000)
        await response.aclose()


# -- a slow reader


async def test_of_much_that_came_a_piece_is_given_at_a_time(upstream: HttpUpstream) -> None:
    """What a server keeps for a slow client it counts in pieces: twenty of them must not be megabytes."""
    events = [b"%06d" % each + b"x" * 994 for each in range(2_000)]
    chunks = b"".join(b"3e8\r\n" + each + b"\r\n" for each in events)

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(200, "transfer-encoding: chunked") + chunks + b"0\r\n\r\n")

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        pieces = [part async for part in response.chunks()]

    assert b"".join(pieces) == b"".join(events)
    assert sorted(map(len, pieces))[-2] <= READ_BUFFER_BYTES, "the last may be what one read brought"
    assert any(len(piece) < GIVEN_BYTES + 1_000 for piece in pieces)


async def test_a_slow_reader_slows_the_provider(upstream: HttpUpstream) -> None:
    """Nothing is read, so the buffers fill and the provider has to wait: it gets rid of megabytes, not of a gigabyte."""
    sent_bytes = 0
    blocked = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        nonlocal sent_bytes
        await connection.request()
        await connection.send(head(200, "content-length: 1000000000"))
        for _ in range(1_000):
            watch = asyncio.get_running_loop().call_later(0.3, blocked.set)
            await connection.send(bytes(1_000_000))
            watch.cancel()
            sent_bytes += 1_000_000

    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        async with asyncio.timeout(10):
            await blocked.wait()
        stuck_at = sent_bytes
        taken = 0
        async for part in response.chunks():
            taken += len(part)
            if sent_bytes > stuck_at:
                break
        await response.aclose()

    assert stuck_at < 50_000_000
    assert taken > 0, "reading lets it go on"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64_000


# -- letting go


@pytest.mark.parametrize("begun", [CHUNKED, CHUNKED + chunk(b"x"), head(200), head(200, "content-length: 5")])
async def test_letting_go_before_the_end_closes_the_connection(upstream: HttpUpstream, begun: bytes) -> None:
    closed = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(begun)
        await connection.gone()
        closed.set()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        await response.aclose()
        await response.aclose()
        async with asyncio.timeout(20):
            await closed.wait()
        with pytest.raises(UpstreamUnavailable):
            await response.read(10)


async def test_letting_go_of_a_provider_that_never_stops_sending_closes_at_once(upstream: HttpUpstream) -> None:
    closed = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(CHUNKED)
        try:
            while True:
                await connection.send(chunk(bytes(100_000)))
        except ConnectionError:
            closed.set()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        await anext(response.chunks())
        await response.aclose()
        async with asyncio.timeout(20):
            await closed.wait()


async def test_cancelling_a_read_closes_the_connection(upstream: HttpUpstream) -> None:
    closed = asyncio.Event()

    async with raw_server(begins(closed)) as server:
        response = await upstream.send(post(server.url))
        chunks = response.chunks()
        await anext(chunks)
        reading = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(20):
            await closed.wait()


@each_request
async def in_two_chunks(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(chunked([b"a", b"b"]))


async def test_letting_go_after_the_end_keeps_the_connection(upstream: HttpUpstream) -> None:
    async with raw_server(in_two_chunks) as server:
        for _ in range(3):
            assert await collect(await upstream.send(post(server.url))) == (b"ab", None)

    assert server.connections == 1


async def test_what_was_read_whole_is_let_go_of(upstream: HttpUpstream) -> None:
    async with raw_server(in_two_chunks) as server:
        for _ in range(3):
            assert b"ab" == await (await upstream.send(post(server.url))).read(100)

    assert server.connections == 1


async def test_what_is_read_whole_is_let_go_of_where_that_is_cancelled(upstream: HttpUpstream) -> None:
    closed = asyncio.Event()

    async with raw_server(begins(closed)) as server:
        response = await upstream.send(post(server.url))
        reading = asyncio.ensure_future(response.read(100))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(20):
            await closed.wait()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of a thousand connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4_096 if hard == resource.RLIM_INFINITY else min(4_096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_streams_at_once(upstream: HttpUpstream) -> None:
    """Each waits for all: none is held up by a pool or a lock."""
    open_ = 0
    all_open = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        nonlocal open_
        request = await connection.request()
        assert request is not None
        await connection.send(CHUNKED + chunk(request.body))
        open_ += 1
        if open_ == 1_000:
            all_open.set()
        await all_open.wait()
        await connection.send(chunk(b" done") + LAST_CHUNK)

    async def one(number: int, url: str) -> tuple[bytes, GatewayError | None]:
        patient = limits(connect_ms=60_000, first_byte_ms=60_000, idle_ms=60_000, total_ms=60_000)
        return await collect(await upstream.send(post(url, b"%d" % number, limits=patient)))

    async with raw_server(script) as server, asyncio.timeout(60):
        results = await asyncio.gather(*(one(number, server.url) for number in range(1_000)))

    assert [(b"%d done" % number, None) for number in range(1_000)] == results


async def pause(seconds: float) -> None:
    """Wait by the loop's timer: these tests are about real limits, milliseconds long."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, done.set_result, None)
    await done


async def _ended(response: UpstreamResponse) -> None:
    """Let the connection's end arrive while nobody reads."""
    for _ in range(20):
        await pause(0.002)
