"""llama.cpp's server over a model of random weights: started for the tests, asked how it is, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import kept_port

__all__ = ["CONTEXT_TOKENS", "MODEL", "SLOTS", "InferenceServer", "inference_server", "missing"]

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("SLOW_VENV", ROOT / ".venv-slow")).resolve()
PYTHON = VENV / "bin" / "python"
START_LIMIT_S = 60.0

MODEL = "tiny"
SLOTS = 8
CONTEXT_TOKENS = 65536

BEGUN = re.compile(r"task (\d+) \| processing task")
ENDED = re.compile(r"task (\d+) \| stop processing")


class InferenceServer:
    """``url`` is its root.

    What it is doing is read from its log: any request to ask for it would wake those that wait, and a request without a
    stream looks only after a second of rest whether its client is still there.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    def busy(self) -> int:
        """How many requests it is working on."""
        log = self.log
        return len(set(BEGUN.findall(log)) - set(ENDED.findall(log)))

    def cancelled(self) -> int:
        """How many requests it gave up before they were done, because nobody was there to read the answer."""
        return self.log.count("cancel task, id_task = ")

    def wait_until(self, busy: int, limit_s: float = 10.0) -> None:
        """Return as soon as it works on exactly ``busy`` requests."""
        deadline = time.monotonic() + limit_s
        while (now := self.busy()) != busy:
            assert time.monotonic() < deadline, f"works on {now} requests instead of {busy}:\n{self.log[-4000:]}"
            time.sleep(0.02)


def missing() -> str | None:
    """What is not installed, as a sentence; None when everything is."""
    if not PYTHON.is_file():
        return f"there is no {PYTHON}: `make test-slow` installs requirements-slow.lock there"
    if not _binary().is_file():
        return f"there is no {_binary()}: remove {VENV} and let `make test-slow` install it anew"
    return None


@contextlib.contextmanager
def inference_server(directory: Path) -> Iterator[InferenceServer]:
    """Make the model below ``directory`` and serve it until the block ends."""
    model = directory / "random.gguf"
    subprocess.run([PYTHON, ROOT / "tests" / "slow" / "random_model.py", model], check=True, timeout=60)
    log = directory / "llama-server.log"
    with kept_port() as port:
        with log.open("wb") as sink:
            process = subprocess.Popen(_command(model, port), stdout=sink, stderr=sink, env=_environment())
        try:
            server = InferenceServer(port, process, log)
            _wait_until_ready(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _binary() -> Path:
    packages = next(VENV.glob("lib/python*/site-packages"), VENV)
    return packages / "bin" / "llama-server"


def _command(model: Path, port: int) -> list[str]:
    numbers = {"--port": port, "--parallel": SLOTS, "--ctx-size": CONTEXT_TOKENS, "--threads": 1, "--cache-ram": 0}
    return [
        str(_binary()), "--model", str(model), "--alias", MODEL, "--host", "127.0.0.1",
        *(str(part) for pair in numbers.items() for part in pair),
        "--kv-unified", "--jinja", "--no-slots", "--offline", "--no-ui", "--fit", "off",
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    """The machine's, with nothing of it that would configure the server, and the libraries it was built with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLAMA_", "HF_"))}
    libraries = _binary().parents[1] / "lib"
    return kept | {"HF_HUB_OFFLINE": "1", "LD_LIBRARY_PATH": str(libraries), "DYLD_LIBRARY_PATH": str(libraries)}


def _wait_until_ready(server: InferenceServer) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert server.process.poll() is None, f"the inference server ended:\n{server.log}"
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError(f"the inference server did not get ready:\n{server.log}")
