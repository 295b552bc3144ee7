"""A worker says that it takes another's place when it takes connections, and not before."""

from __future__ import annotations

import asyncio
import os
import select
import socket

from runtime.handover import tell_open


async def test_it_is_told_once_connections_are_taken() -> None:
    reads, writes = os.pipe()
    with socket.socket() as server, socket.socket() as elsewhere:
        for each in (server, elsewhere):
            each.bind(("127.0.0.1", 0))
        elsewhere.listen()
        telling = asyncio.ensure_future(tell_open(server.getsockname()[1], writes))
        await asyncio.sleep(0)
        assert [] == select.select([reads], [], [], 0)[0], "it is bound, and takes none"

        server.listen()
        await asyncio.wait_for(telling, 20)
        assert b"\n" == os.read(reads, 8)
        assert b"" == os.read(reads, 8), "the file is closed"
        server.getsockname()  # what was looked at is still open
    os.close(reads)


async def test_that_nobody_waits_any_more_is_no_fault() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with socket.create_server(("127.0.0.1", 0)) as server:
        await asyncio.wait_for(tell_open(server.getsockname()[1], writes), 20)
