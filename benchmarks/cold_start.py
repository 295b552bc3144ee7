"""How long a cold `gatewright serve` takes to its first answer, and what a worker holds after it.

Repeat with: python -m benchmarks.cold_start [--rounds 7] [--write]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import environment, publish
from benchmarks.proxy.machine import free_port, worker_bytes
from benchmarks.proxy.scenarios import MOST_START_S, MOST_WORKER_MB
from benchmarks.proxy.series import spread

__all__ = ["first_answer", "main"]

CONFIG = "version: 1\ndiscovery: {providers: none}\nproviders:\n  sim:\n    connections: [{id: sim}]\n"
GIVE_UP_S = 20.0


def first_answer(root: Path) -> tuple[float, int]:
    """Start a server, ask until it answers a chat call, stop it. Seconds from the start, and resident bytes of a worker.

    These with all routes registered, which is done beside the first calls.
    """
    port = free_port()
    gatewright = str(Path(sys.executable).with_name("gatewright"))
    start = time.perf_counter()
    server = subprocess.Popen(
        [gatewright, "serve", "--root", str(root), "--port", str(port)],
        cwd=root, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not _answers(root, port):
            if time.perf_counter() - start > GIVE_UP_S or server.poll() is not None:
                raise RuntimeError("the server gave no answer")
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        _wait_for_routes(port)
        return seconds, worker_bytes(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(GIVE_UP_S)


def _environment() -> dict[str, str]:
    """Ours, with compiled modules kept, as an installation has them."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _answers(root: Path, port: int) -> bool:
    key_file = root / "data" / "dev-key"
    if not key_file.exists():
        return False
    body = json.dumps({"model": "sim/echo", "messages": [{"role": "user", "content": "hello"}]})
    headers = {"authorization": f"Bearer {key_file.read_text().strip()}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _wait_for_routes(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
    try:
        connection.request("GET", "/health/ready")
        connection.getresponse().read()
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    times: list[float] = []
    worker_mb: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.joinpath("gateway.yaml").write_text(CONFIG, encoding="utf-8")
        gatewright = str(Path(sys.executable).with_name("gatewright"))
        build = [gatewright, "build", "--root", folder]
        subprocess.run(build, cwd=root, env=_environment(), check=True, stdout=subprocess.DEVNULL)
        first_answer(root)  # an installed package has its modules compiled, and its database is there
        for _ in range(options.rounds):
            seconds, resident_bytes = first_answer(root)
            times.append(seconds)
            worker_mb.append(resident_bytes / 1e6)
    page = (
        f"# Cold start\n\n{environment()}; {options.rounds} rounds; "
        f"`python -m benchmarks.cold_start --rounds {options.rounds}`\n\n"
        "| what | median [min–max] | target |\n|---|---|---|\n"
        f"| start of the process to the first answer, s | {spread(times).text(2)} | ≤ {MOST_START_S} |\n"
        f"| resident per worker, with all routes, MB | {spread(worker_mb).text(0)} | ≤ {MOST_WORKER_MB} |\n"
    )
    publish(page, "cold_start", write=options.write)


if __name__ == "__main__":
    main()
