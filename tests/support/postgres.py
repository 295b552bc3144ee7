"""A real PostgreSQL server for tests, from the system's packages: in a directory of its own, on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.support.ports import kept_port

PACKAGES = Path("/usr/lib/postgresql")
USER = "postgres"
SETTINGS = (
    "fsync=off",
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "max_connections=50",
    "shared_buffers=16MB",
    "autovacuum=off",  # which looks after hundreds of databases, each of one test
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "jit=off",
)


class Postgres:
    """One server. ``url`` names a database that is made anew at each call, empty or as ``template`` is: another's name."""

    def __init__(self, binaries: Path, port: int) -> None:
        self._createdb = (binaries / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER)
        self._port = port
        self._numbers = count()

    def url(self, template: str | None = None) -> str:
        name = f"t{next(self._numbers)}"
        like = () if template is None else ("-T", template)
        subprocess.run([*self._createdb, *like, name], check=True)
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{name}"


@contextmanager
def postgres() -> Generator[Postgres, None, None]:
    """Start a server, and stop it. Skips the test where PostgreSQL is not installed; on CI that is a failure."""
    binaries = max(PACKAGES.glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
    if binaries is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("PostgreSQL is not installed")
    directory = Path(tempfile.mkdtemp(prefix="gatewright-postgres-"))
    user = None
    if os.geteuid() == 0:  # it refuses to run as root
        user = pwd.getpwnam(USER).pw_uid
        os.chown(directory, user, -1)
    data = str(directory / "data")
    make = [str(binaries / "initdb"), "-D", data, "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8"]
    try:
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=directory, user=user)
        with kept_port() as port:
            options = [word for setting in (*SETTINGS, f"port={port}") for word in ("-c", setting)]
            serve = [str(binaries / "postgres"), "-D", data, *options]
            with (directory / "log").open("w") as log:
                server = subprocess.Popen(serve, stderr=log, cwd=directory, user=user)
            try:
                _wait_until_ready(binaries, port, server, directory / "log")
                yield Postgres(binaries, port)
            finally:
                server.send_signal(signal.SIGINT)  # without waiting for clients
                server.wait(30)
    finally:
        shutil.rmtree(directory)


def _wait_until_ready(binaries: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    while subprocess.run(ready, check=False).returncode != 0:
        assert server.poll() is None, log.read_text()
