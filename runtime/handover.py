"""How one worker takes another's place: what it tells the process that keeps both, and what the other one is told."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["REPLACED", "tell_open"]

REPLACED: Final = signal.SIGUSR1
"""Tells a worker to end because another one serves in its place already."""

FILES: Final = Path("/dev/fd")
"""Names the files that this process has open."""

LOOK_S: Final = 0.02


async def tell_open(port: int, to: int) -> None:
    """Write to the file ``to``, and close it, as soon as this process takes connections on ``port``.

    The server listens after the application has begun, and tells nobody when.
    """
    while not _listens(port):  # noqa: ASYNC110 — nobody says when it does
        await asyncio.sleep(LOOK_S)
    with suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(to, b"\n")
    os.close(to)


def _listens(port: int) -> bool:
    return any(_listens_there(int(file.name), port) for file in FILES.iterdir())


def _listens_there(file: int, port: int) -> bool:
    try:
        found = socket.socket(fileno=file)
    except OSError:  # no socket
        return False
    try:
        ours = found.family in {socket.AF_INET, socket.AF_INET6} and found.getsockname()[1] == port
        return ours and bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    finally:
        found.detach()  # it is not ours to close
