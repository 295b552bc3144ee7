"""Connecting, sending, and the way to the status line, over real sockets."""

import asyncio
import gc
import os
import resource
import socket
import ssl
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.errors import GatewayError, OutOfFiles, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from runtime.upstream.client import HttpUpstream, default_tls
from runtime.upstream.types import Destination, UpstreamRequest
from tests.support.raw_server import RawConnection, RawRequest, answer, chunked, each_request, head, raw_server
from tests.upstream.conftest import limits, post


@each_request
async def hello(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(answer(b"hello", "Content-Type: text/plain"))


async def finish(upstream: HttpUpstream, request: UpstreamRequest) -> bytes:
    response = await upstream.send(request)
    body = await response.read(1_000_000)
    await response.aclose()
    return body


async def test_a_request_arrives_byte_for_byte_with_nothing_added_but_what_http_needs(upstream: HttpUpstream) -> None:
    async with raw_server(hello) as server:
        await finish(upstream, post(server.url, b'{"model": "m"}'))

    (request,) = server.requests
    assert request.body == b'{"model": "m"}'
    assert (request.method, request.target, request.version) == ("POST", "/v1/chat?key=hidden-in-url", "HTTP/1.1")
    assert {
        "host": f"127.0.0.1:{server.port}",
        "authorization": "Bearer hidden-in-header",
        "content-type": "application/json",
        "content-length": "14",
        "user-agent": "gatewright",
        "accept-encoding": "identity",
    } == request.headers


async def test_own_headers_of_a_request_win_over_the_defaults(upstream: HttpUpstream) -> None:
    async with raw_server(hello) as server:
        to = Destination("GET", server.url, (("User-Agent", "mine"), ("accept-encoding", "gzip")))
        await finish(upstream, UpstreamRequest(to, b"", limits()))

    assert (server.requests[0].headers["user-agent"], server.requests[0].headers["accept-encoding"]) == ("mine", "gzip")
    assert "content-length" not in server.requests[0].headers


async def test_status_and_lower_case_headers_are_given_whatever_the_status(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(answer(b"slow down", "Retry-After: 3", "X-Many: a", "x-many: b", status=429))

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        body = await response.read(100)
        await response.aclose()

    assert (response.status, body) == (429, b"slow down")
    assert response.headers == {"content-length": "9", "retry-after": "3", "x-many": "a, b"}


async def test_redirects_are_answers_not_orders(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(answer(b"", "Location: http://127.0.0.1:1/elsewhere", status=307))

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        await response.aclose()

    assert response.status == 307
    assert len(server.requests) == 1


async def test_cookies_are_not_kept(upstream: HttpUpstream) -> None:
    @each_request
    async def script(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(answer(b"", "Set-Cookie: session=1; Path=/"))

    async with raw_server(script) as server:
        await finish(upstream, post(server.url))
        await finish(upstream, post(server.url))

    assert ["cookie" in request.headers for request in server.requests] == [False, False]


async def test_proxies_in_the_environment_are_ignored(upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with raw_server(hello) as server:
        assert await finish(upstream, post(server.url)) == b"hello"


async def test_large_bodies_are_sent_whole(upstream: HttpUpstream) -> None:
    body = bytes(range(256)) * 16_000
    async with raw_server(hello) as server:
        await finish(upstream, post(server.url, body))

    assert body == server.requests[0].body


async def test_interim_answers_are_skipped(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(103, "link: </x>") + head(100) + answer(b"real"))

    async with raw_server(script) as server:
        assert await finish(upstream, post(server.url)) == b"real"


# -- limits and failures before the answer


async def test_nobody_listens(upstream: HttpUpstream) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(UpstreamUnavailable, match="connection refused"):
            await upstream.send(post(f"http://127.0.0.1:{free.getsockname()[1]}"))


async def test_a_name_that_does_not_resolve(upstream: HttpUpstream) -> None:
    with pytest.raises(UpstreamUnavailable, match="does not resolve"):
        await upstream.send(post("http://nothing.invalid"))


class NeverResolves:
    async def resolve(self, host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()


async def test_slow_name_resolution_counts_as_connecting() -> None:
    upstream = HttpUpstream(resolver=NeverResolves())
    with pytest.raises(UpstreamTimeout) as caught:
        await upstream.send(post("http://slow.test", limits=limits(connect_ms=30)))
    await upstream.aclose()

    assert caught.value.limit == "connect"


@contextmanager
def no_more_files() -> Iterator[None]:
    """Every file that is open stays so, and no other can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "http://nothing.invalid"])
async def test_fault_43_without_a_free_file_it_is_our_own_lack(upstream: HttpUpstream, host: str) -> None:
    with no_more_files(), pytest.raises(OutOfFiles) as caught:
        await upstream.send(post(host))

    assert caught.value.retry_after_s == 1
    with pytest.raises(UpstreamUnavailable):
        await upstream.send(post(host))


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "http://", "nonsense"])
async def test_an_address_that_is_none(upstream: HttpUpstream, address: str) -> None:
    with pytest.raises(UpstreamUnavailable):
        await upstream.send(post(address))


async def test_a_header_with_a_line_break_is_not_sent(upstream: HttpUpstream) -> None:
    async with raw_server(hello) as server:
        to = Destination("POST", server.url, (("x-name", "a\r\nx-smuggled: 1"),))
        with pytest.raises(UpstreamUnavailable):
            await upstream.send(UpstreamRequest(to, b"{}", limits()))

    assert server.requests == []


@pytest.mark.parametrize(
    ("bytes_", "end", "kind"),
    [
        pytest.param(b"", "reset", UpstreamUnavailable, id="reset"),
        pytest.param(b"", "close", UpstreamUnavailable, id="close"),
        pytest.param(b"HTTP/1.1 20", "close", UpstreamUnavailable, id="cut status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: y", "close", UpstreamUnavailable, id="cut header"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", "gone", UpstreamProtocolError, id="another protocol"),
        pytest.param(b"<html>oops</html>", "close", UpstreamProtocolError, id="no status line"),
        pytest.param(b"HTTP/1.1 two OK\r\n\r\n", "gone", UpstreamProtocolError, id="status in words"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "gone", UpstreamProtocolError, id="giant header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300, "gone", UpstreamProtocolError, id="too many headers"),
        pytest.param(
            head(200, "content-length: 3", "transfer-encoding: chunked"),
            "gone",
            UpstreamProtocolError,
            id="two lengths",
        ),
        pytest.param(b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n", "gone", UpstreamProtocolError, id="status zero"),
        pytest.param(b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n", "gone", UpstreamProtocolError, id="status 99"),
        pytest.param(head(200, "content-length: x"), "gone", UpstreamProtocolError, id="length in words"),
    ],
)
async def test_what_is_no_answer_is_an_error(
    upstream: HttpUpstream, bytes_: bytes, end: str, kind: type[GatewayError]
) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(bytes_)
        if end == "reset":
            connection.reset()
        elif end == "gone":
            await connection.gone()

    async with raw_server(script) as server:
        with pytest.raises(kind):
            await upstream.send(post(server.url))


async def test_a_header_of_twenty_kilobytes_is_taken(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(answer(b"", f"x-long: {'y' * 20_000}"))

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        await response.aclose()

    assert len(response.headers["x-long"]) == 20_000


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_silence_before_the_status_line_is_complete_ends_at_the_first_byte_limit(
    upstream: HttpUpstream, said: bytes
) -> None:
    closed = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(said)
        await connection.gone()
        closed.set()

    async with raw_server(script) as server:
        with pytest.raises(UpstreamTimeout) as caught:
            await upstream.send(post(server.url, limits=limits(first_byte_ms=40)))
        async with asyncio.timeout(20):
            await closed.wait()

    assert caught.value.limit == "first_byte"


async def test_the_total_limit_holds_before_the_status_line_too(upstream: HttpUpstream) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.gone()

    async with raw_server(script) as server:
        with pytest.raises(UpstreamTimeout) as caught:
            await upstream.send(post(server.url, limits=limits(total_ms=40)))

    assert caught.value.limit == "total"


async def test_a_provider_that_does_not_read_the_request_ends_at_the_first_byte_limit(upstream: HttpUpstream) -> None:
    """The upload is inside the limit: a frozen provider holds nobody up."""
    frozen = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await frozen.wait()

    async with raw_server(script) as server:
        with pytest.raises(UpstreamTimeout) as caught:
            await upstream.send(post(server.url, bytes(30_000_000), limits=limits(first_byte_ms=80)))

    assert caught.value.limit == "first_byte"


async def test_an_early_answer_to_a_large_body_is_read(upstream: HttpUpstream) -> None:
    """A provider may refuse a body before it has come to its end."""

    async def script(connection: RawConnection) -> None:
        await connection.send(answer(b"too large", status=413))
        await connection.gone()

    async with raw_server(script) as server:
        response = await upstream.send(post(server.url, bytes(20_000_000)))
        body = await response.read(100)
        await response.aclose()

    assert (response.status, body) == (413, b"too large")


async def test_cancelling_before_the_answer_closes_the_connection(upstream: HttpUpstream) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        asked.set()
        await connection.gone()
        closed.set()

    async with raw_server(script) as server:
        task = asyncio.create_task(upstream.send(post(server.url)))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            await closed.wait()


async def test_no_message_holds_the_address_or_a_credential(upstream: HttpUpstream) -> None:
    """Neither the text nor a printed traceback: both end in logs."""

    async def nonsense(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(b"hidden-in-answer\r\n\r\n")

    shown: list[str] = []
    async with raw_server(nonsense) as server:
        for url in (server.url, "http://127.0.0.1:1", "http://hidden.invalid", "ftp://hidden"):
            with pytest.raises(GatewayError) as caught:
                await upstream.send(post(url))
            shown += traceback.format_exception(caught.value)

    assert "hidden" not in "".join(line for line in shown if not line.lstrip().startswith("File "))
    assert "127.0.0.1" not in "".join(shown)


async def test_after_closing_nothing_is_sent(upstream: HttpUpstream) -> None:
    async with raw_server(hello) as server:
        await upstream.aclose()
        with pytest.raises(UpstreamUnavailable):
            await upstream.send(post(server.url))

    assert server.connections == 0


async def test_closing_ends_what_is_open() -> None:
    closed = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(200) + b"begun")
        await connection.gone()
        closed.set()

    upstream = HttpUpstream()
    async with raw_server(script) as server:
        response = await upstream.send(post(server.url))
        await upstream.aclose()
        with pytest.raises(UpstreamUnavailable):
            await response.read(100)
        async with asyncio.timeout(20):
            await closed.wait()
        await response.aclose()


# -- TLS


def server_tls(authority: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{name}.pem", authority / f"{name}.key")
    return context


def client_tls(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority / "ca.pem")


async def test_a_certificate_of_a_trusted_authority_is_accepted(authority: Path) -> None:
    upstream = HttpUpstream(tls=client_tls(authority))
    async with raw_server(hello, tls=server_tls(authority, "good")) as server:
        bodies = [await finish(upstream, post(server.url)) for _ in range(2)]
        await upstream.aclose()

    assert (bodies, server.connections) == ([b"hello", b"hello"], 1)


@pytest.mark.parametrize(
    ("name", "reason"), [("expired", "certificate has expired"), ("wrong", "mismatch"), ("good", "unable to get")]
)
async def test_other_certificates_are_refused_and_nothing_is_sent(authority: Path, name: str, reason: str) -> None:
    """Past its date, for another name, or (the good one) without its authority being trusted."""
    upstream = HttpUpstream(tls=client_tls(authority) if name != "good" else default_tls())
    async with raw_server(hello, tls=server_tls(authority, name)) as server:
        with pytest.raises(UpstreamUnavailable, match=f"TLS certificate was refused.*{reason}"):
            await upstream.send(post(server.url))
        await upstream.aclose()

    assert server.requests == []


async def test_a_stalled_handshake_ends_at_the_connect_limit(authority: Path) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.gone()

    upstream = HttpUpstream(tls=client_tls(authority))
    async with raw_server(script) as server:
        with pytest.raises(UpstreamTimeout) as caught:
            await upstream.send(post(server.url.replace("http:", "https:"), limits=limits(connect_ms=80)))
        await upstream.aclose()

    assert caught.value.limit == "connect"


async def test_a_server_without_tls_is_not_spoken_to_in_the_clear(authority: Path) -> None:
    async def script(connection: RawConnection) -> None:
        await connection.send(answer(b"plain"))
        await connection.gone()

    upstream = HttpUpstream(tls=client_tls(authority))
    async with raw_server(script) as server:
        with pytest.raises(UpstreamUnavailable, match="TLS handshake failed"):
            await upstream.send(post(server.url.replace("http:", "https:")))
        await upstream.aclose()

    assert server.requests == []


async def test_letting_go_of_a_tls_stream_closes_it_at_once(authority: Path) -> None:
    """No farewell is waited for: a provider that goes on sending is cut off."""
    closed = asyncio.Event()

    async def script(connection: RawConnection) -> None:
        await connection.request()
        await connection.send(head(200, "transfer-encoding: chunked"))
        await connection.gone()
        closed.set()

    upstream = HttpUpstream(tls=client_tls(authority))
    async with raw_server(script, tls=server_tls(authority, "good")) as server:
        response = await upstream.send(post(server.url))
        await response.aclose()
        async with asyncio.timeout(20):
            await closed.wait()
        await upstream.aclose()


async def test_chunked_and_sized_answers_follow_each_other_on_one_connection(upstream: HttpUpstream) -> None:
    @each_request
    async def script(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(chunked([b"a", b"b"]) if request.body == b"{}" else answer(b"c"))

    async with raw_server(script) as server:
        bodies = [await finish(upstream, post(server.url, body)) for body in (b"{}", b"[]", b"{}")]

    assert (bodies, server.connections) == ([b"ab", b"c", b"ab"], 1)


async def test_places_with_long_heads_are_not_kept(upstream: HttpUpstream) -> None:
    def places() -> int:
        gc.collect()
        return sum(type(each).__name__ == "_Place" for each in gc.get_objects())

    before = places()
    async with raw_server(hello) as server:
        for number in range(20):
            headers = (("beta", f"{'x' * (8000 if number else 8)}{number}"),)
            request = UpstreamRequest(Destination("POST", f"{server.url}/v1", headers), b"{}", limits())
            await finish(upstream, request)
        assert 20 == len({each.headers["beta"] for each in server.requests})

    assert places() == before + 1
