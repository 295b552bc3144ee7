"""`gatewright serve --watch`, whole: an edit is served, a broken edit is explained and the last good build goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT_S = 300.0
CONFIG = "version: 1\ndiscovery: {providers: none}\nproviders:\n  sim: {}\naliases:\n  hello: sim/echo\n"


class Watched:
    """The process, and what it says, line by line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        command = [sys.executable, "-m", "runtime.cli", "serve", "--watch", "--root", str(root), "--port", "0"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        # A line that never comes ends the test, not the day; the server that it started could go on saying nothing.
        self._guard = threading.Timer(LIMIT_S, os.killpg, (self.process.pid, signal.SIGKILL))
        self._guard.start()

    def write(self, text: str) -> None:
        draft = self.root / "draft"
        draft.write_text(text)
        draft.replace(self.root / "gateway.yaml")

    def until(self, pattern: str) -> re.Match[str]:
        """The next line that holds ``pattern``."""
        assert self.process.stdout is not None
        said: list[str] = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended without {pattern!r}: {''.join(said)}")

    def stop(self) -> int:
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.read()
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        self._guard.cancel()
        self.process.terminate()  # it stops the server that it started; killed, it could not
        self.process.wait(LIMIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


SERVES = r"serves build (\w+) at (http\S+)/v1"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    running = Watched(tmp_path)
    yield running
    running.close()


def test_an_edit_is_served_a_broken_one_is_explained_and_a_stop_stops_all(watched: Watched) -> None:
    """One test: every start of a server costs a second."""
    first = watched.until(SERVES)
    watched.write(CONFIG + "  hi: sim/echo\n")
    second = watched.until(SERVES)
    watched.write(CONFIG + "servr: {}\n")
    complaint = watched.until("unknown-field")
    watched.until("the last good build goes on")

    assert first[1] != second[1]
    assert "gateway.yaml:7:1" in complaint.string
    assert health(second[2], tries=400)["build"] == second[1]

    assert watched.stop() == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        health(second[2])


def health(url: str, tries: int = 1) -> dict[str, object]:
    """What the server says of itself. It names its address just before it listens there: ``tries`` are 50 ms apart."""
    for left in reversed(range(tries)):
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
                return dict(json.load(answer))
        except urllib.error.URLError:
            if not left:
                raise
            threading.Event().wait(0.05)
    raise AssertionError("no tries")
