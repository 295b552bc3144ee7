"""Faults of clients, of the line to them and of the process itself: what happens is bounded, said, and over afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.routing.test_faults import SSE, healthy
from tests.support.gateway import Running, gateway
from tests.support.lines import workers
from tests.support.pipeline import Act, acts
from tests.support.raw_server import RawConnection, RawRequest, RawServer, chunk, head, raw_server

CONFIG = """version: 1
discovery: {{providers: none}}
server: {{{server}}}
providers:
  a: {{base_url: '{a}', local: true, surfaces: {{openai_chat: {{}}}}, auth: {{scheme: none}}, models: {{m: {{}}}}}}
timeouts: {{body_read: {body_read}}}
"""
CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
PIECE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"'
    + b"x" * 16_000
    + b'"},"finish_reason":null}]}\n\n'
)


@asynccontextmanager
async def served(
    path: Path, then: Act = healthy, server: str = "shutdown_grace: 1s", body_read: str = "30s"
) -> AsyncGenerator[tuple[Running, RawServer], None]:
    async with raw_server(acts(then=then)) as fake:
        with gateway(path, CONFIG.format(a=fake.url, server=server, body_read=body_read)) as running:
            yield running, fake


def asking(running: Running, body: bytes, *lines: str) -> bytes:
    """A request down to its bytes."""
    said = [
        f"POST {CHAT} HTTP/1.1", "host: x", f"authorization: Bearer {running.key}", "content-type: application/json",
        *(lines or (f"content-length: {len(body)}",)),
    ]  # fmt: skip
    return "\r\n".join(said).encode() + b"\r\n\r\n" + body


async def line_to(running: Running, limit: int = 1 << 16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", running.port, limit=limit)


async def works(running: Running, *, stream: bool = False) -> None:
    """The next healthy call."""
    headers = {"authorization": f"Bearer {running.key}"}
    body = {"model": "a/m", "messages": HI, "stream": stream}
    async with aiohttp.ClientSession() as session, session.post(running.url + CHAT, json=body, headers=headers) as got:
        assert (200, True) == (got.status, b"Paris is" in await got.read())


async def said_by(running: Running, data: bytes, limit_s: float = 10) -> bytes:
    """What comes back on a line on which ``data`` was sent, until it is closed or nothing comes."""
    reader, writer = await line_to(running)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(-1), limit_s)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


async def test_fault_21_a_slow_client_slows_the_provider_and_costs_nothing(tmp_path: Path) -> None:
    sent = 0
    gone = asyncio.Event()

    async def endless(connection: RawConnection, request: RawRequest) -> None:
        nonlocal sent
        if not json.loads(request.body).get("stream"):
            await healthy(connection, request)
            return
        await connection.send(head(200, "transfer-encoding: chunked", SSE))
        try:
            for _ in range(20_000):
                await connection.send(chunk(PIECE))
                sent += len(PIECE)
        except ConnectionError:
            gone.set()

    async with served(tmp_path, endless) as (running, _):
        _, writer = await line_to(running)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(asking(running, json.dumps({"model": "a/m", "messages": HI, "stream": True}).encode()))
        async with asyncio.timeout(60):  # the provider is held back
            before = 0
            while not sent or before != sent:
                before = sent
                await asyncio.sleep(1)
        assert sent < 64 << 20
        await works(running)
        writer.transport.abort()
        await asyncio.wait_for(gone.wait(), 60)
        await works(running)


async def test_fault_22_a_client_that_sends_byte_by_byte_meets_a_limit_and_hinders_nobody(tmp_path: Path) -> None:
    async with served(tmp_path, body_read="1s") as (running, fake):
        reader, writer = await line_to(running)
        writer.write(asking(running, b'{"model":', "content-length: 1000"))

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.1)
                writer.write(b" ")

        dripping = asyncio.create_task(drip())
        await works(running)
        status = await asyncio.wait_for(reader.readline(), 60)
        dripping.cancel()
        writer.close()

        assert status.split()[1] in {b"400", b"408"}
        assert 1 == len(fake.requests)
        await works(running)


DEEP = b'{"model":"a/m","messages":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
LONG = json.dumps({"model": "a/m", "max_tokens": 9, "messages": HI * 100_000}).encode()


async def test_fault_25_a_body_that_is_deep_or_long_is_refused_or_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, _):
        headers = {"authorization": f"Bearer {running.key}", "content-type": "application/json"}
        async with aiohttp.ClientSession() as session:
            for body, status in ((DEEP, 400), (b'{"a":' * 10_000, 400), (LONG, 200)):
                for path in (CHAT, "/v1/messages"):
                    async with session.post(running.url + path, data=io.BytesIO(body), headers=headers) as got:
                        assert status == got.status, (path, await got.text())
                await works(running)


SMUGGLED = [
    ("content-length: 5", "transfer-encoding: chunked"),
    ("content-length: 5", "content-length: 6"),
    ("transfer-encoding: chunked", "x-chunks: bad"),
    ("content-length: 5", "x\0y: 1"),
    ("content-length: -5",),
]


async def test_fault_26_a_request_that_two_servers_read_differently_is_not_served(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, fake):
        inner = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
        for lines in SMUGGLED:
            said = await said_by(running, asking(running, b"zz\r\nhello\r\n0\r\n\r\n" + inner, *lines), 2)

            assert b"HTTP/1.1 200" not in said, lines
            assert [] == fake.requests
        await works(running)


async def test_fault_32_an_order_to_stop_under_load_is_told_to_every_client(tmp_path: Path) -> None:
    """100 open streams: each gets an error of its dialect, and each is settled in the log."""
    opened = asyncio.Semaphore(0)

    async def begun(connection: RawConnection, request: RawRequest) -> None:
        await connection.send(head(200, "transfer-encoding: chunked", SSE) + chunk(PIECE))
        await connection.gone()

    async def read(session: aiohttp.ClientSession, running: Running) -> bytes:
        headers = {"authorization": f"Bearer {running.key}"}
        body = {"model": "a/m", "messages": HI, "stream": True}
        async with session.post(running.url + CHAT, json=body, headers=headers) as got:
            first = await got.content.readexactly(len(PIECE))
            opened.release()
            return first + await got.read()

    async with served(tmp_path, begun) as (running, _):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            reading = [asyncio.create_task(read(session, running)) for _ in range(100)]
            for _ in range(100):
                await opened.acquire()
            running.process.send_signal(signal.SIGTERM)
            bodies = await asyncio.gather(*reading)

        assert 100 == sum(b'data: {"error":' in body and b"[DONE]" not in body for body in bodies)
        assert 0 == await asyncio.to_thread(running.process.wait, 30)
        lines = [json.loads(line) for line in running.log.splitlines() if '"call_ended"' in line]
        assert 100 == len({line["request_id"] for line in lines})
        assert {"error"} == {line["outcome"] for line in lines}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
async def test_fault_33_a_worker_that_dies_is_replaced_and_the_others_serve(tmp_path: Path) -> None:
    async with served(tmp_path, server="workers: 2") as (running, _):
        await works(running)
        parent = running.process.pid
        before = workers(parent)
        os.kill(before[0], signal.SIGKILL)

        worked, until_s = 0, time.monotonic() + 60
        while time.monotonic() < until_s:
            try:
                await works(running)
                worked += 1
            except aiohttp.ClientError:
                pass
            if worked > 10 and len(set(workers(parent)) - {before[0]}) >= len(before):
                break
            await asyncio.sleep(0.1)

        assert len(set(workers(parent)) - {before[0]}) >= len(before)
        assert worked > 10
        for _ in range(20):
            await works(running)
