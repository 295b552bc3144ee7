"""Servers that need not import what they run: one process has, and forks for every `gatewright serve` that a test wants.

To import takes most of a start, and to register routes most of the rest, which is done here, too. What a server does from its
command line on is the same otherwise, but that passwords are quick to compare; that it starts as a program of its own is seen
by the tests of its life, of `--watch` and of what is told on the command line.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from runtime.cli import main

__all__ = ["Process", "forked"]

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (
    "runtime.cli.serve",
    "runtime.server",
    "runtime.upstream.client",
    "runtime.upstream.simulated.provider",
    "runtime.protocols.gemini_embeddings",
    "runtime.protocols.ollama_embeddings",
    "runtime.protocols.openai_embeddings",
    "runtime.web.framework",
    "runtime.web.typed",
    "litestar._kwargs",
    "litestar.exceptions.responses",
    "litestar.logging.standard",
    "litestar.middleware._internal.exceptions",
    "litestar.middleware.allowed_hosts",
    "litestar.middleware.csrf",
    "litestar.middleware.response_cache",
    "generated.catalog",
    "alembic.command",
    "alembic.script",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "asyncpg",
    "encodings.ascii",
    "greenlet",
    "multiprocessing.popen_fork",
    "redis.asyncio",
)
"""What a server imports late, too, each time anew."""
MAX_ORDER = 1 << 18
GONE = "the process that forks servers is gone"


class Order(msgspec.Struct, frozen=True):
    """``files``: how many it may open, where that is to be few."""

    arguments: list[str]
    env: dict[str, str]
    folder: str
    files: int | None


class Process(Protocol):
    """As much of `subprocess.Popen` as tests ask of a server."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def kill(self) -> None: ...


class Forked:
    """A `Process` whose parent is another, which tells how it ended."""

    def __init__(self, arguments: Sequence[str], pid: int, told: socket.socket) -> None:
        self._arguments = arguments
        self._told = told
        self._code: int | None = None
        self.pid = pid

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._told.settimeout(timeout)
            try:
                code = self._told.recv(16)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(list(self._arguments), timeout or 0.0) from None
            self._told.close()
            assert code, GONE
            self._code = int(code)
        return self._code

    def poll(self) -> int | None:
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked(
    arguments: Sequence[str], env: Mapping[str, str], log: Path, errors: Path | None = None, files: int | None = None
) -> Process:
    """`gatewright <arguments>` with ``env`` for its environment; what it says goes to ``log``, or the errors elsewhere.

    Where processes cannot be watched as Linux lets us, or ``env`` says how Python is to start, it is a program of its own.
    """
    log.write_bytes(b"")
    with log.open("ab") as out, (errors or log).open("ab") as err:
        started = {name: value for name, value in env.items() if name.startswith(("PYTHON", "LD_"))}
        if not hasattr(os, "pidfd_open") or not started.items() <= os.environ.items():
            command = [sys.executable, "-m", "runtime.cli", *arguments]
            if files is not None:
                command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
            return subprocess.Popen(command, stdout=out, stderr=err, env=env)
        order = msgspec.json.encode(Order([*arguments], dict(env), str(Path.cwd()), files))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(_orders(), [order], [theirs.fileno(), out.fileno(), err.fileno()])
    pid = ours.recv(16)
    assert pid, GONE
    return Forked(arguments, int(pid), ours)


@functools.cache
def _orders() -> socket.socket:
    """Where orders are taken, by a process that ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def take_orders(orders: socket.socket) -> Order | None:
    """Fork for every order. Returns in each fork with what it is to do, and at the very end with None."""
    with selectors.DefaultSelector() as watched:
        watched.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in watched.select():
                if key.data is not None:
                    _tell(watched, key)
                    continue
                order, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER, 3)
                if not order:
                    return None
                told, sinks = socket.socket(fileno=descriptors[0]), descriptors[1:]
                pid = os.fork()
                if pid == 0:
                    _leave(watched, orders, told)
                    _write_to(*sinks)
                    return msgspec.json.decode(order, type=Order)
                for sink in sinks:
                    os.close(sink)
                told.send(b"%d" % pid)
                watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, told))


def _tell(watched: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, told = key.data
    _, status = os.waitpid(pid, 0)
    watched.unregister(key.fd)
    os.close(key.fd)
    with told:
        told.send(b"%d" % os.waitstatus_to_exitcode(status))


def _leave(watched: selectors.BaseSelector, *parents: socket.socket) -> None:
    """What belongs to the parent."""
    for each in parents:
        each.close()
    for key in watched.get_map().values():
        if key.data is not None:
            os.close(key.fd)
            key.data[1].close()


def _write_to(out: int, err: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)


def _run(order: Order) -> int:
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()
    if order.files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (order.files, order.files))
    return main(order.arguments)


def _end(code: int) -> None:
    """As the interpreter does it, but for taking all modules apart, which belong to the parent, too."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _import_all() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    from runtime.server import load_codecs

    load_codecs()
    from tests.support.passwords import compare_quickly
    from tests.support.registered import register_before_forks

    register_before_forks()
    compare_quickly()
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    taken = take_orders(socket.socket(fileno=int(sys.argv[1])))
    if taken is not None:
        _end(_run(taken))
