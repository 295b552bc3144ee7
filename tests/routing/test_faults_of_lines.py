"""Faults of the line to a provider, and of how its bytes are cut: what the client sees, the rows, and the next call."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.protocols import codec
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.relay import Translating
from runtime.rescue import Telling
from tests.routing.test_faults import FORMS, answered, healthy, next_call_works, two
from tests.support.dialect import DIALECT
from tests.support.examples import few
from tests.support.pipeline import Pipeline, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, raw_server
from tests.support.vendor import WIRE

PROTOCOLS = tuple(DIALECT)
OUTGOING = Outgoing(path="", headers=(), body=b"", stream=True)
LIMITS = "timeouts: {first_byte: 400ms, first_byte_unstreamed: 400ms, first_token: 400ms, idle: 400ms, total: 30s}\n"


# -- 9: cuts


def told(client: str, upstream: str, pieces: list[bytes]) -> bytes:
    """What a client is told when an answer comes in ``pieces``."""
    telling = Telling(codec(client).stream_encoder(Answer(model="m", id="i", created=1, headers={})))
    relay = Translating(codec(upstream).stream_decoder(OUTGOING), telling)
    return b"".join(relay.feed(piece) for piece in pieces) + relay.close()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = [0, *sorted({place % len(data) for place in places}), len(data)]
    return [data[begin:end] for begin, end in pairwise(at) if begin < end]


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("name", ["plain", "two-tools", "unicode"])
@few()
@given(st.lists(st.integers(0, 1 << 20), max_size=12))
def test_fault_09_any_split_gives_the_same(upstream: str, name: str, places: list[int]) -> None:
    data = (WIRE / upstream / f"{name}{DIALECT[upstream].suffix}").read_bytes()
    for client in PROTOCOLS:
        whole = told(client, upstream, [data])

        assert whole == told(client, upstream, cut(data, places))


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_fault_09_a_rescue_at_any_byte_gives_a_whole_answer(client: str, upstream: str) -> None:
    data = (WIRE / upstream / f"plain{DIALECT[upstream].suffix}").read_bytes()
    speech = DIALECT[client]
    for end in Random(1).sample(range(1, len(data)), 60):
        broken = Telling(codec(client).stream_encoder(Answer(model="m", id="i", created=1, headers={})))
        decoder = codec(upstream).stream_decoder(OUTGOING)
        begun = Translating(decoder, broken).feed(data[:end])
        if not broken.may_go_on:
            continue
        broken.again(None)
        again = Translating(codec(upstream).stream_decoder(OUTGOING), broken)
        body = begun + again.feed(data) + again.close()

        assert speech.terminator in body
        assert speech.error not in body
        assert _text(client, told(client, upstream, [data])) == _text(client, body)


def _text(client: str, body: bytes) -> str:
    decoder = codec(client).stream_decoder(OUTGOING)
    events = [*decoder.feed(body), *decoder.close()]
    return "".join(getattr(event, "text", "") for event in events)


# -- 23, 24: lines that are dead and do not say so

FROZEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
body = sys.stdin.buffer.read()
while True:
    line, _ = listener.accept()
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        data += line.recv(65536)
    line.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\nconnection: close\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body)
    line.close()
"""


@asynccontextmanager
async def freezable() -> AsyncGenerator[tuple[subprocess.Popen[bytes], Pipeline], None]:
    """A provider in a process of its own behind `a/m`, and a healthy one behind `b/m`."""
    process = subprocess.Popen([sys.executable, "-c", FROZEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        process.stdin.write((WIRE / "openai_chat" / "plain.json").read_bytes())
        process.stdin.close()
        async with raw_server(acts(then=healthy)) as other:
            line = provider("b", other).replace("  b:", "  a:", 1).replace(other.url, f"http://127.0.0.1:{port}")
            combos = "combos: {smart: {targets: [a/m, b/m]}}\n"
            async with pipeline(f"providers:\n{line}{provider('b', other)}{combos}{LIMITS}") as made:
                yield process, made
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_fault_23_a_provider_that_is_frozen_is_passed_over_in_time() -> None:
    async with freezable() as (process, made):
        assert [("a/m", "ok")] == (await made.call()).attempts
        os.kill(process.pid, signal.SIGSTOP)
        async with asyncio.timeout(20):
            said = await made.call()

        answered(said, "openai_chat", stream=False)
        assert [("a/m", "timeout"), ("b/m", "ok")] == said.attempts
        os.kill(process.pid, signal.SIGCONT)
        await next_call_works(made, "openai_chat", False)


@pytest.mark.parametrize("stream", [False, True])
async def test_fault_24_a_kept_connection_that_had_died_is_replaced_unnoticed(stream: bool) -> None:
    async def once(connection: RawConnection, request: RawRequest) -> None:
        await healthy(connection, request)
        connection.close()

    async with two(then=once) as (made, one, other):
        for _ in range(3):
            said = await made.call(stream=stream)
            await asyncio.sleep(0.02)

            answered(said, "openai_chat", stream=stream)
            assert [("a/m", "ok")] == said.attempts
        assert (3, 0) == (len(one.requests), len(other.requests))


# -- 27: names


class Names:
    """Knows one name by address after address, no other, and `slow.test` never."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        if host == "slow.test":
            await asyncio.Event().wait()
        if host != "moving.test":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return (self.addresses.pop(0),)


@asynccontextmanager
async def named(host: str, resolver: Names) -> AsyncGenerator[Pipeline, None]:
    """``host`` behind `a/m`, where our provider is if it resolves to this machine; a healthy one behind `b/m`."""
    limits = LIMITS.replace("{", "{connect: 200ms, ")
    async with raw_server(acts(then=healthy)) as one, raw_server(acts(then=healthy)) as other:
        line = provider("a", one).replace("127.0.0.1", host)
        combos = "combos: {smart: {targets: [a/m, b/m]}}\n"
        async with pipeline(f"providers:\n{line}{provider('b', other)}{combos}{limits}", resolver=resolver) as made:
            yield made


@pytest.mark.parametrize(("client", "stream"), FORMS)
@pytest.mark.parametrize(
    ("host", "outcomes", "words"),
    [
        ("slow.test", ["timeout"], b"within the connect limit"),
        ("nothing.invalid", ["unavailable"] * 3, b"its host name does not resolve"),
    ],
)
async def test_fault_27_a_name_without_an_address_ends_in_time(
    client: str, stream: bool, host: str, outcomes: list[str], words: bytes
) -> None:
    async with named(host, Names()) as made:
        async with asyncio.timeout(20):
            said = await made.call(client=client, stream=stream)
            alone = await made.call("a/m", client=client, stream=stream)

        answered(said, client, stream=stream)
        assert [*(("a/m", outcome) for outcome in outcomes), ("b/m", "ok")] == said.attempts
        assert alone.error is not None
        assert alone.error.http_status in {503, 504}
        assert words in alone.body
        assert host.encode() not in alone.body
        await next_call_works(made, client, stream)


async def test_fault_27_a_name_that_is_bound_anew_moves_no_line_that_is_kept() -> None:
    names = Names("127.0.0.1", "127.0.0.99")
    async with named("moving.test", names) as made:
        for _ in range(3):
            assert [("a/m", "ok")] == (await made.call()).attempts
        assert 1 == names.asked
