"""From the first start to the last answer: cancel, shutdown, health, metrics, and what a newcomer sees."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import time
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from tests.support.asking import ADMIN, KEYS
from tests.support.database import prepared
from tests.support.gateway import CLI, Running, gateway, run_cli
from tests.support.ports import kept_port
from tests.support.vendor import KEY, Vendor

SIM = "version: 1\ndiscovery: {providers: none}\nproviders:\n  sim:\n    connections: [{id: sim}]\n"
SLOW = {
    "model": "sim/slow",
    "messages": [{"role": "user", "content": "one two three four five six every 200ms"}],
    "stream": True,
}


def built(root: Path, config: str = SIM) -> None:
    """A build below ``root``, and the store that a first start would make."""
    (root / "gateway.yaml").write_text(config)
    assert run_cli("build", root=root).returncode == 0
    prepared(root / "data")


def headers(served: Running) -> dict[str, str]:
    return {"authorization": f"Bearer {served.key}"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_client_that_leaves_has_its_upstream_closed(served: Running, upstream: str, behind: Vendor, path: str) -> None:
    behind.hold.set()
    ask = {
        "model": f"{upstream}/plain",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
    }

    with httpx.stream("POST", served.url + path, json=ask, headers=headers(served), timeout=60) as reply:
        next(reply.iter_raw())

    assert behind.closed_early.wait(60)


def test_health_and_metrics(served: Running) -> None:
    live = httpx.get(f"{served.url}/health/live", timeout=60)
    ready = httpx.get(f"{served.url}/health/ready", timeout=60)
    closed = httpx.get(f"{served.url}/metrics", timeout=60)
    metrics = httpx.get(f"{served.url}/metrics", headers=headers(served), timeout=60)

    assert [200, 200, 401, 200] == [live.status_code, ready.status_code, closed.status_code, metrics.status_code]
    build = ready.json()["build"]
    assert f'gatewright_build_info{{build="{build}"' in metrics.text


def test_root_openapi_and_head(served: Running) -> None:
    root = httpx.get(served.url, timeout=60)
    document = httpx.get(f"{served.url}/openapi.json", timeout=60).json()

    assert root.json()["name"] == "Gatewright"
    assert httpx.head(served.url, timeout=60).status_code == 200
    assert document["openapi"].startswith("3.1")
    assert "/v1/chat/completions" in document["paths"]


def test_stop_lets_running_answers_finish(tmp_path: Path) -> None:
    with gateway(tmp_path, SIM) as running:
        with httpx.stream(
            "POST", f"{running.url}/v1/chat/completions", json=SLOW, headers=headers(running), timeout=60
        ) as reply:
            lines = reply.iter_lines()
            first = next(lines)
            running.process.send_signal(signal.SIGTERM)
            rest = list(lines)

        assert first.startswith("data: ")
        assert "data: [DONE]" in rest
        assert running.process.wait(60) == 0


def test_stop_tells_clients_whose_answers_outlast_the_grace(tmp_path: Path) -> None:
    with gateway(tmp_path, SIM + "server: {shutdown_grace: 0s}\n") as running:
        with httpx.stream(
            "POST", f"{running.url}/v1/chat/completions", json=SLOW, headers=headers(running), timeout=60
        ) as reply:
            lines = reply.iter_lines()
            next(lines)
            running.process.send_signal(signal.SIGTERM)
            rest = list(lines)

        assert "data: [DONE]" not in rest
        assert any('"error"' in line and "shut down" in line for line in rest)
        assert running.process.wait(60) == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_a_stop_while_a_worker_starts_does_not_wait_for_it(tmp_path: Path) -> None:
    """Granian would wait out the whole grace for a worker that missed the order."""
    built(
        tmp_path, SIM + "server: {shutdown_grace: 10m}\n"
    )  # a first start has children that are no workers: they make the store
    process = subprocess.Popen([*CLI, "serve", "--root", str(tmp_path), "--port", "0"], stdout=subprocess.DEVNULL)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)

        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_says_that_it_serves_can_be_called(tmp_path: Path, workers: str) -> None:
    """Workers listen by themselves, and not before they have begun."""
    built(tmp_path)
    with kept_port() as port:
        command = [*CLI, "serve", "--root", str(tmp_path), "--port", str(port), "--workers", workers]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            try:
                said = next(line for line in process.stdout if "Gatewright serves" in line)
                assert f"http://127.0.0.1:{port}/v1" in said
                assert httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=60).status_code == 200
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_first_start_prints_a_curl_line_that_works(tmp_path: Path) -> None:
    with gateway(tmp_path, SIM) as running:
        key_file = tmp_path / "data" / "dev-key"
        (line,) = running.logged("curl")
        command = shlex.split(line[line.index("curl") :])

        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

        assert key_file.stat().st_mode & 0o777 == 0o600
        assert answer.startswith("data: ")
        assert answer.endswith("data: [DONE]\n\n")


def test_secrets_stay_out_of_the_log(served: Running) -> None:
    httpx.post(
        f"{served.url}/v1/chat/completions?key={served.key}", json={"model": "nobody/knows", "messages": []}, timeout=60
    )

    assert KEY not in served.log
    assert served.log.count(served.key) == sum(line.startswith(("Key", "Try")) for line in served.log.splitlines())


def test_management_bodies_that_stall_are_told_of_a_stop(tmp_path: Path) -> None:
    """Half of one, or none of it."""
    config = SIM + 'server: {shutdown_grace: 1s}\nkeys: {root: {key: "${ADMIN_KEY}", scopes: [admin]}}\n'
    with gateway(tmp_path, config, KEYS) as running, contextlib.ExitStack() as stack:
        stalled = []
        for path in ("/api/auth/login", "/api/keys"):
            head = (
                f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n"
                "content-type: application/json\r\ncontent-length: 100\r\n\r\n"
            )
            for sent in (b'{"name": ', b""):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=60))
                connection.sendall(head.encode() + sent)
                stalled.append((path, sent, connection))
        assert 200 == httpx.get(f"{running.url}/health/live", timeout=60).status_code, (
            "meanwhile it has read those heads"
        )
        running.process.send_signal(signal.SIGTERM)
        for path, sent, connection in stalled:
            response = HTTPResponse(connection, method="POST")
            response.begin()
            body = json.loads(response.read())
            assert (503, 503, "unavailable") == (response.status, body["status"], body["kind"]), (path, sent)
            assert "application/problem+json" == response.headers.get("content-type"), (path, sent)
        assert running.process.wait(60) == 0
