"""A port for a server that is yet to start, kept from everybody else meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_port"]


@contextmanager
def kept_port() -> Iterator[int]:
    """A free port of the loopback that a server with SO_REUSEADDR may listen on until the block ends.

    A port that was asked for and let go can be given to another before its server listens, and what waits for the
    server then speaks with a stranger's. Linux gives a port that is bound to nobody who asks for any.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]
