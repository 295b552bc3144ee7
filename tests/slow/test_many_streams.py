"""Many streams at once through one worker: none waits for another, slow readers cost little, and who leaves is let go."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.slow.test_faulty_streams import size_of, worker_of
from tests.support.gateway import Running, gateway

STREAMS: Final = 500
STALL_S: Final = 0.250
CONFIG: Final = """\
version: 1
discovery: {{providers: none}}
providers:
  chat: {{base_url: '{url}', local: true, surfaces: {{openai_chat: {{}}}}, auth: {{scheme: none}}, connections: [{{id: c}}], open_models: true}}
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="processes are looked at in /proc")


@contextmanager
def ticker() -> Generator[str, None, None]:
    with subprocess.Popen([sys.executable, "-m", "tests.slow.ticker"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def listen(url: str, key: str, model: str, streams: int, leave_after_s: float | None = None) -> dict[str, Any]:
    arguments = [url, key, model, str(streams), *([str(leave_after_s)] if leave_after_s is not None else [])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.slow.listener", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def report(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


@pytest.fixture
def vendor() -> Generator[str, None, None]:
    with ticker() as url:
        yield url


@pytest.fixture
def served(vendor: str, tmp_path: Path) -> Generator[Running, None, None]:
    with gateway(tmp_path, CONFIG.format(url=f"{vendor}/v1")) as running:
        yield running


def test_five_hundred_streams_flow_side_by_side(
    vendor: str, served: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the machine itself does to that many streams is measured beside it, without the gateway."""
    bare = listen(vendor, "", "tick-500", STREAMS)
    ours = listen(served.url, served.key, "chat/tick-500", STREAMS)
    again = listen(served.url, served.key, "chat/tick-500", STREAMS)

    report(capsys, f"bare {bare}\nours {ours}\nagain {again}")
    assert [bare["complete"], ours["complete"], again["complete"]] == [STREAMS] * 3
    assert ours["events"] == bare["events"]
    assert min(ours["longest_s"], again["longest_s"]) <= STALL_S + bare["longest_s"]


def test_slow_readers_cost_bounded_memory(vendor: str, served: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is sent 100 MB and reads 1 KB a second; what it does not take is not fetched."""
    readers, worker = 20, worker_of(served)
    listen(served.url, served.key, "chat/tick-10", 50)
    before = size_of(worker)[0]
    body = json.dumps({"model": "chat/flood-100000", "messages": [{"role": "user", "content": "x"}], "stream": True})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )
    sockets = []
    for _ in range(readers):
        one = socket.create_connection(("127.0.0.1", served.port))
        one.sendall(request.encode())
        sockets.append(one)
    largest = before
    for _ in range(12):
        for one in sockets:
            assert one.recv(1024)
        time.sleep(1)
        largest = max(largest, size_of(worker)[0])
    taken = httpx.get(f"{vendor}/stats").json()["taken_bytes"] / readers
    for one in sockets:
        one.close()

    report(
        capsys, f"{(largest - before) / readers:.0f} KiB more per slow reader; {taken / 2**20:.1f} MiB fetched for each"
    )
    assert (largest - before) / readers <= 2048
    assert taken <= 32 * 2**20


def test_whoever_leaves_is_let_go_within_a_second(
    vendor: str, served: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    left_s = listen(served.url, served.key, "chat/tick-10000", 200, leave_after_s=3.0)["left_s"]
    stats: dict[str, Any] = {"open": 1}
    while stats["open"] and time.monotonic() < left_s + 10:
        stats = httpx.get(f"{vendor}/stats").json()

    closed = sorted(at - left_s for at in stats["closed_s"])
    report(capsys, f"{len(closed)} upstream streams closed after {closed[0]:.3f} to {closed[-1]:.3f} s")
    assert len(closed) == 200
    assert closed[-1] <= 1.0
