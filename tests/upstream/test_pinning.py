"""What was looked up is what is connected to: a name cannot lead elsewhere between the look and the line."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.errors import UpstreamUnavailable
from runtime.upstream.address import address_of
from runtime.upstream.client import HttpUpstream
from runtime.upstream.line import Line
from runtime.upstream.pool import Dialler
from runtime.upstream.types import Destination, UpstreamRequest
from tests.support.raw_server import RawConnection, RawRequest, answer, each_request, raw_server
from tests.upstream.conftest import LIMITS, post

LOOPBACK = "127.0.0.1"
METADATA = "169.254.169.254"


class Answers:
    """A resolver whose answers are given in turn, the last again and again. ``asked`` counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked = 0
        self._answers = list(answers)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@each_request
async def hello(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(answer(b"hello"))


def named(port: int, *, public: bool = False) -> UpstreamRequest:
    to = Destination("POST", f"http://provider.test:{port}/v1", (), public=public)
    return UpstreamRequest(to, b"{}", LIMITS)


async def test_a_name_is_looked_up_once_for_a_line_and_the_line_goes_where_the_answer_said() -> None:
    """The second answer, which would lead to a cloud's metadata, is never asked for."""
    resolver = Answers([LOOPBACK], [METADATA])
    upstream = HttpUpstream(resolver=resolver)
    async with raw_server(hello) as server:
        for _ in range(3):
            response = await upstream.send(named(server.port))
            assert b"hello" == await response.read(100)
            await response.aclose()
        await upstream.aclose()

    assert (1, 1) == (resolver.asked, server.connections)
    assert {f"provider.test:{server.port}"} == {each.headers["host"] for each in server.requests}


async def test_of_several_addresses_only_those_that_are_let_are_connected_to() -> None:
    upstream = HttpUpstream(resolver=Answers([METADATA, LOOPBACK]))
    async with raw_server(hello) as server:
        response = await upstream.send(named(server.port))
        await response.aclose()
        await upstream.aclose()

    assert 1 == server.connections


@pytest.mark.parametrize(
    ("found", "public"), [([METADATA], False), ([LOOPBACK], True)], ids=["metadata", "own network"]
)
async def test_a_name_that_leads_where_it_may_not_is_not_connected_to(found: Sequence[str], public: bool) -> None:
    upstream = HttpUpstream(resolver=Answers(found))
    async with raw_server(hello) as server:
        with pytest.raises(UpstreamUnavailable):
            await upstream.send(named(server.port, public=public))
        await upstream.aclose()

    assert 0 == server.connections


async def test_with_tls_the_certificate_is_checked_against_the_name_not_the_address(authority: Path) -> None:
    """The certificate is good for the address that the name led to, and for no name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "good.pem", authority / "good.key")
    trusted = ssl.create_default_context(cafile=authority / "ca.pem")
    upstream = HttpUpstream(tls=trusted, resolver=Answers([LOOPBACK]))
    async with raw_server(hello, tls=context) as server:
        with pytest.raises(UpstreamUnavailable, match=r"TLS certificate was refused.*mismatch"):
            await upstream.send(post(f"https://provider.test:{server.port}"))
        await upstream.aclose()

    assert [] == server.requests


async def test_of_two_lines_that_open_at_once_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    both, opened, cut = asyncio.Event(), list[Line](), list[Line]()

    def line() -> Line:
        return Line(lambda _: None, lambda _: None, {})

    async def connect(*_: object) -> Line:
        mine = line()
        opened.append(mine)
        if len(opened) == 2:
            both.set()
        await both.wait()
        return mine

    monkeypatch.setattr("runtime.upstream.pool.STAGGER_S", 0.0)
    monkeypatch.setattr(Dialler, "_connect", connect)
    monkeypatch.setattr(Line, "cut", lambda mine: cut.append(mine))  # noqa: PLW0108 — a method, which a method of a list would not be
    dialler = Dialler(ssl.create_default_context(), Answers(["192.0.2.1", "192.0.2.2"]))
    taken = await dialler.dial(address_of("http://provider.test"), line)
    await asyncio.sleep(0)

    assert 2 == len(opened)
    assert [each for each in opened if each is not taken] == cut
