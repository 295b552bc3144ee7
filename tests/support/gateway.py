"""A real gateway for tests: built from a gateway.yaml, served by Granian in processes of its own, stopped at the end."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unittest import mock

from runtime.cli import main
from runtime.telemetry.lines import TOGETHER_S
from tests.support.database import prepared
from tests.support.forked import Process, forked
from tests.support.ports import kept_port

__all__ = ["CLI", "Running", "gateway", "run_cli"]

START_LIMIT_S = 60.0
"""A machine that does ten other things starts slowly; only one that does not start at all is worth waiting so long for."""
CLI = (sys.executable, "-m", "runtime.cli")


class Running:
    """``log`` is what it wrote to standard error so far, ``key`` a key it takes."""

    def __init__(self, root: Path, port: int, process: Process, log: Path) -> None:
        self.root = root
        self.port = port
        self.process = process
        self._log = log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.root / "data" / "dev-key").read_text().strip()

    @property
    def log(self) -> str:
        """With what is on its way there."""
        time.sleep(2 * TOGETHER_S)
        return self._log.read_text()

    def logged(self, mark: str) -> list[str]:
        """The lines that hold ``mark``, at least one: a call's line is written when its answer has been sent."""
        deadline = time.monotonic() + 30
        while not (lines := [line for line in self._log.read_text().splitlines() if mark in line]):
            assert time.monotonic() < deadline, f"nothing of {mark!r} in the log:\n{self.log}"
            time.sleep(0.01)
        return lines

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_LIMIT_S)


def run_cli(
    *arguments: str, root: Path, env: Mapping[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """`gatewright …` to its end, ``typed`` what it reads; in this process but for `serve`, which ends its process."""
    command = [*arguments, "--root", str(root)]
    if "serve" not in arguments:
        return _in_process(command, env, typed)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = forked(command, _environment(env), out, err)
        try:
            code = process.wait(START_LIMIT_S)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


@contextlib.contextmanager
def gateway(
    root: Path,
    config: str,
    env: Mapping[str, str] | None = None,
    files: int | None = None,
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """Write ``config`` as gateway.yaml below ``root``, build it, and serve it until the block ends.

    ``files`` is how many it may open, ``options`` is what else the command is told.
    """
    (root / "gateway.yaml").write_text(config)
    built = run_cli("build", root=root, env=env)
    assert built.returncode == 0, built.stdout + built.stderr
    if "store:" not in config and "data_dir" not in config:
        prepared(root / "data")
    with kept_port() as port:
        log = root / "server.log"
        process = forked(
            ["serve", "--root", str(root), "--port", str(port), *options], _environment(env), log, files=files
        )
        running = Running(root, port, process, log)
        try:
            _wait_until_ready(running)
            yield running
        finally:
            _end(process)


def _end(process: Process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _in_process(command: list[str], env: Mapping[str, str] | None, typed: str) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, _environment(env), clear=True),
        mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(typed.encode()), encoding="utf-8")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(command)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Ours without anything that looks like a provider's key, so that a test never depends on the machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
    return kept | dict(extra or {})


def _wait_until_ready(running: Running) -> None:
    said, deadline = "", time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert running.process.poll() is None, f"the gateway ended:\n{running.log}"
        try:
            with urllib.request.urlopen(f"{running.url}/health/ready", timeout=30) as response:
                if response.status == 200:
                    return
                said = f"{response.status}"
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            said = f"{error}"
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not get ready within {START_LIMIT_S:.0f} s ({said}):\n{running.log}")
