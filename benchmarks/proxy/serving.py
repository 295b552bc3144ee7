"""What a gateway that is measured is, and how it runs: started before one provider, awaited, asked, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.proxy.machine import free_port, urgent
from benchmarks.proxy.scenarios import Scenario, request_body
from benchmarks.proxy.tools import http_request

__all__ = ["KEY", "Contender", "Missing", "Serving", "running", "whole_request"]

KEY: Final = "sk-benchmark-0123456789abcdef0123456789abcdef"
"""The one that is good."""
START_S: Final = 120.0


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway.

    Attributes:
        start: from a folder of its own, its port and the provider's, to the command and its environment.
        speaks: the pairs (client, upstream) of dialects that it serves.
        share: how many of a scenario's requests it is given, by how fast it is.
        names: whether models are told apart by the provider's name before theirs.
        keys, checks: whether it refuses keys, and bodies that are malformed.
        refusal: the status of its answer to a key that is not good.
        headers: what else its requests carry, from the provider's port and the upstream dialect.
    """

    name: str
    version: str
    start: Callable[[Path, int, int], tuple[list[str], Mapping[str, str]]]
    speaks: frozenset[tuple[str, str]]
    share: float = 1.0
    names: bool = False
    keys: bool = True
    checks: bool = False
    refusal: int = 401
    headers: Callable[[int, str], Mapping[str, str]] = lambda _port, _upstream: {}

    def takes(self, scenario: Scenario) -> bool:
        if scenario.crowd and self.share < 1:
            return False
        if (scenario.key == "refused" and not self.keys) or (scenario.malformed and not self.checks):
            return False
        return (scenario.client, scenario.upstream) in self.speaks


class Missing(msgspec.Struct, frozen=True):
    """A gateway that cannot be measured here, and why."""

    name: str
    why: str


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    contender: Contender
    port: int
    pid: int
    provider_port: int
    start_s: float


def whole_request(serving: Serving, scenario: Scenario) -> bytes:
    contender = serving.contender
    prefix = {"chat": "chat/", "messages": "msgs/", "embeddings": "vecs/"}[scenario.upstream] if contender.names else ""
    path = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "embeddings": "/v1/embeddings"}[scenario.client]
    key = KEY if scenario.key == "good" else "gw-a-key-that-nobody-knows-0123456789abcdef"
    headers = {"authorization": f"Bearer {key}", **contender.headers(serving.provider_port, scenario.upstream)}
    if scenario.client == "messages":
        headers["anthropic-version"] = "2023-06-01"
    return http_request(serving.port, path, headers, request_body(scenario, prefix + scenario.model))


@contextmanager
def running(contender: Contender, folder: Path, provider_port: int) -> Generator[Serving, None, None]:
    """Start it, wait for its first answer to a chat call, stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command, env = contender.start(folder, port, provider_port)
    begun = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log, preexec_fn=urgent,  # noqa: PLW1509
            start_new_session=True,
        )  # fmt: skip
    try:
        serving = Serving(contender=contender, port=port, pid=process.pid, provider_port=provider_port, start_s=0.0)
        _await_answer(serving, process, folder / "log")
        yield msgspec.structs.replace(serving, start_s=time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_answer(serving: Serving, process: subprocess.Popen[bytes], log: Path) -> None:
    request = whole_request(serving, Scenario(name="first"))
    deadline, answer = time.monotonic() + START_S, b""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
                connection.sendall(request)
                answer = connection.recv(4096)
                if answer.startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError(
        f"{serving.contender.name} gave no answer: {answer[:2000]!r}\n{log.read_text(errors='replace')[-2000:]}"
    )
