"""Faults of the lines to clients: more than there are sockets for, and such as bring nothing and take nothing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.test_faults_http import CHAT, CONFIG, HI, PIECE, asking, line_to, works
from tests.routing.test_faults import SSE, healthy
from tests.support.gateway import Running, gateway
from tests.support.lines import a_worker
from tests.support.pipeline import acts
from tests.support.raw_server import RawConnection, RawRequest, chunk, head, raw_server

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the worker is looked at in /proc")

ASKED = json.dumps({"model": "a/m", "messages": HI}).encode()
STREAMED = json.dumps({"model": "a/m", "messages": HI, "stream": True}).encode()
DIALECTS = (
    (CHAT, {"model": "a/m", "messages": HI}, ("error", "message")),
    ("/v1/messages", {"model": "a/m", "max_tokens": 9, "messages": HI}, ("error", "message")),
    ("/api/chat", {"model": "a/m", "messages": HI, "stream": False}, ("error",)),
)


def files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def used_s(pid: int) -> float:
    """Its processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_files(pid: int, most: int) -> None:
    async with asyncio.timeout(60):
        while files(pid) > most:
            await asyncio.sleep(0.02)


async def until_calm(pid: int) -> None:
    """It waits, it does not spin: when all have been begun it needs hardly any of a second."""
    async with asyncio.timeout(60):
        spent_s = -1.0
        while used_s(pid) - spent_s >= 0.2:
            spent_s = used_s(pid)
            await asyncio.sleep(1)


async def soon_works(running: Running) -> None:
    """Those in the queue who have left already are noticed one after the other; until then we are told to come again."""
    headers = {"authorization": f"Bearer {running.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.post(running.url + CHAT, json={"model": "a/m", "messages": HI}) as got:
                said = await got.text()
                if got.status == 200:
                    return
                assert (503, "1") == (got.status, got.headers.get("retry-after")), said
                assert "no free sockets" in said
            await asyncio.sleep(0.1)


async def test_fault_43_more_clients_than_files_wait_and_cost_nothing(tmp_path: Path) -> None:
    calm = asyncio.Event()

    async def begun(connection: RawConnection, request: RawRequest) -> None:
        if calm.is_set():
            await healthy(connection, request)
            connection.close()  # clients that waited in the queue may come now, and lines that are kept are no leak
            return
        await connection.send(head(200, "transfer-encoding: chunked", SSE) + chunk(PIECE))
        await connection.gone()

    async with raw_server(acts(then=begun)) as fake:
        with gateway(
            tmp_path, CONFIG.format(a=fake.url, server="shutdown_grace: 1s", body_read="30s"), files=192
        ) as running:
            pid = a_worker(running.process.pid)
            before = files(pid)
            writers: list[asyncio.StreamWriter] = []
            for _ in range(200):
                _, writer = await line_to(running)
                writer.write(asking(running, STREAMED))
                writers.append(writer)
            await until_calm(pid)
            assert files(pid) < 192
            assert len(fake.requests) >= 20, "as many as there is room for are served"
            calm.set()
            for writer in writers:
                writer.transport.abort()
            async with asyncio.timeout(60):
                await soon_works(running)
            await until_files(pid, before + 40)  # the journal and the store are opened meanwhile
            assert pid == a_worker(running.process.pid), "the worker lives"


async def test_fault_43_a_call_without_a_socket_is_told_to_come_again_and_nobody_is_blamed(tmp_path: Path) -> None:
    async with raw_server(acts(then=healthy)) as fake:
        with gateway(tmp_path, CONFIG.format(a=fake.url, server="shutdown_grace: 1s", body_read="30s")) as running:
            pid = a_worker(running.process.pid)
            headers = {"authorization": f"Bearer {running.key}"}
            async with aiohttp.ClientSession(headers=headers) as session:
                async with session.get(f"{running.url}/v1/models") as got:  # the line that the calls below go over
                    assert got.status == 200
                limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
                try:
                    for path, body, way in DIALECTS * 5:
                        async with session.post(running.url + path, json=body) as got:
                            said = await got.json()
                            assert (503, "1") == (got.status, got.headers.get("retry-after")), said
                            for step in way:
                                said = said[step]
                            assert "no free sockets" in said or "cannot note what calls cost" in said
                finally:
                    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                assert [] == fake.requests
                for path, body, _ in DIALECTS:
                    async with session.post(running.url + path, json=body) as got:
                        assert 200 == got.status, "no breaker opened"
            calls = [json.loads(line) for line in running.log.splitlines() if '"call_ended"' in line]
            refused = [call for call in calls if call["operation"] == "chat" and call["outcome"] == "error"]
            assert [("unavailable", 503)] * 15 == [(call["error"], call["status"]) for call in refused]
            assert {1} == {len(call["attempts"]) for call in refused}, "once is enough"


async def test_fault_22_two_hundred_heads_that_come_byte_by_byte_meet_a_limit_and_hinder_nobody(tmp_path: Path) -> None:
    async with raw_server(acts(then=healthy)) as fake:
        with gateway(tmp_path, CONFIG.format(a=fake.url, server="shutdown_grace: 1s", body_read="1s")) as running:
            pid = a_worker(running.process.pid)
            before = files(pid)
            lines = [await line_to(running) for _ in range(200)]

            async def drip(writer: asyncio.StreamWriter) -> None:
                for byte in b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(1)

            dripping = [asyncio.create_task(drip(writer)) for _, writer in lines]
            began_s = time.monotonic()
            await works(running)
            assert time.monotonic() - began_s < 20, "they would drip for twice as long"
            async with asyncio.timeout(40):  # the limit is a second
                said = await asyncio.gather(*(reader.read() for reader, _ in lines), return_exceptions=True)
            for task in dripping:
                task.cancel()
            for _, writer in lines:
                writer.transport.abort()

            assert not any(isinstance(each, bytes) and b" 200 " in each for each in said)
            await until_files(pid, before + 40)  # the journal and the store are opened meanwhile
            await works(running)
            assert 2 == len(fake.requests)


RELAY = """
import socket, sys
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
server.sendall(sys.stdin.buffer.read())
print(server.recv(1), flush=True)
while server.recv(1 << 16):
    pass
"""


async def test_fault_23_a_client_behind_a_frozen_relay_is_given_up_and_its_provider_let_go(tmp_path: Path) -> None:
    """Its line stays open and takes nothing: no news of its leaving will come."""
    sent, gone = 0, asyncio.Event()

    async def endless(connection: RawConnection, request: RawRequest) -> None:
        nonlocal sent
        if not json.loads(request.body).get("stream"):
            await healthy(connection, request)
            return
        await connection.send(head(200, "transfer-encoding: chunked", SSE))
        try:
            while True:
                await connection.send(chunk(PIECE))
                sent += len(PIECE)
        except ConnectionError:
            gone.set()

    async with raw_server(acts(then=endless)) as fake:
        config = CONFIG.replace("body_read: {body_read}", "client_write: 1s").format(
            a=fake.url, server="shutdown_grace: 1s"
        )
        with gateway(tmp_path, config) as running:
            pid = a_worker(running.process.pid)
            await works(running)
            before = files(pid)
            relay = await asyncio.create_subprocess_exec(
                sys.executable, "-c", RELAY, str(running.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            try:
                assert relay.stdin is not None
                assert relay.stdout is not None
                relay.stdin.write(asking(running, STREAMED))
                relay.stdin.close()
                await relay.stdout.readline()
                relay.send_signal(signal.SIGSTOP)
                async with asyncio.timeout(60):
                    await gone.wait()
                (line,) = [json.loads(each) for each in running.logged('"stream":true')]
                assert ("client_closed", "cancelled") == (line["outcome"], line["attempts"][0]["outcome"])
                await works(running)
            finally:
                relay.kill()
                await relay.wait()
            await until_files(pid, before + 2)
            await works(running)
