"""Rebuild and restart on change, for development: the loop behind ``gatewright serve --watch``.

Builds and serves in processes of their own, because a change of `schemas/` changes code that this one has imported.
Looks at modification times twice a second; that needs no library and works on every file system.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

from runtime.cli.terminal import SAME, note

__all__ = ["Server", "follow", "snapshot", "watch_project"]

POLL_S = 0.5
STOP_S = 40  # a little longer than the server's own grace for answers under way


class Server(Protocol):
    """A server that runs somewhere else."""

    def running(self) -> bool: ...

    def stop(self) -> None:
        """End it and wait until its port is free."""
        ...


def snapshot(root: Path) -> Mapping[Path, tuple[int, int]]:
    """The time and size of every file a build reads."""
    found = {root / "gateway.yaml", *_below(root / "gateway.d", "*.yaml"), *_below(root / "schemas", "**/*.yaml")}
    return {path: seen for path in sorted(found) if (seen := _seen(path)) is not None}


def _below(directory: Path, pattern: str) -> list[Path]:
    try:
        return list(directory.glob(pattern))
    except OSError:  # a directory in it went while it was looked at; it is looked at again
        return []


def _seen(path: Path) -> tuple[int, int] | None:
    """None where there is nothing: an editor may take a file away for a moment."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def follow(
    look: Callable[[], object],
    build: Callable[[], bool],
    start: Callable[[], Server],
    pause: Callable[[], bool],
) -> int:
    """Build and serve, again after every change ``look`` shows, until ``pause`` answers False.

    Exactly one server runs at a time. It is stopped only when a newer build stands; one that ends by itself is started
    again after the next change.
    """
    server: Server | None = None
    built: object = None
    try:
        while True:
            seen = look()
            if seen != built:
                built = seen
                if build():
                    if server is not None:
                        server.stop()
                    server = start()
                else:
                    note("the last good build goes on" if server else "waiting for a change")
            elif server is not None and not server.running():
                note("the server has ended; waiting for a change")
                server = None
            if not pause():
                return SAME
    finally:
        if server is not None:
            server.stop()


def watch_project(root: Path, *, host: str | None, port: int | None, workers: int | None) -> int:
    """Follow the project below ``root`` until interrupted or terminated."""
    options = ["--root", str(root)]
    given = {"--host": host, "--port": port, "--workers": workers}
    instead = [word for name, value in given.items() if value is not None for word in (name, str(value))]

    def build() -> bool:
        return subprocess.run([*_OURSELVES, "build", *options], check=False).returncode == SAME

    def start() -> Server:
        return _Process([*_OURSELVES, "serve", *options, *instead])

    def pause() -> bool:
        time.sleep(POLL_S)
        return True

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return follow(lambda: snapshot(root), build, start, pause)
    except KeyboardInterrupt:
        return SAME


_OURSELVES = (sys.executable, "-m", "runtime.cli")


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Process:
    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command)

    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
