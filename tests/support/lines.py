"""Connections to each of the two workers of a gateway: one connection is answered by one worker from its first call to its last."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.asking import ADMIN
from tests.support.gateway import Running

__all__ = ["HELLO", "Line", "a_worker", "lines", "workers"]

HELLO = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
PAUSE_S = 0.02
"""Until one that is not there yet is looked for again: it needs the processor, too."""


def workers(parent: int) -> list[int]:
    """The processes that serve, the oldest first."""
    found: list[int] = []
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def a_worker(parent: int) -> int:
    """One of the processes that serve."""
    return workers(parent)[0]


class Line:
    """One connection, which one worker answers from its first call to its last."""

    def __init__(self, running: Running) -> None:
        self._line = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=60)
        self._headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"}

    def name(self) -> str:
        """What the worker calls itself."""
        return self.talk("POST", "/v1/chat/completions", HELLO)[1]["x-gatewright-decision"].partition("-")[0]

    def call(self, method: str, path: str, body: object = None) -> Any:
        status, _, answer = self.talk(method, path, body)
        assert status == 200, answer
        return answer

    def may_ask(self, model: str) -> bool:
        """Whether this worker would ask the only target of ``model`` now."""
        return bool(self.call("POST", "/api/models/availability", {"model": model})["available"])

    def text(self, path: str) -> str:
        self._line.request("GET", path, headers=self._headers)
        response = self._line.getresponse()
        assert response.status == 200
        return response.read().decode()

    def close(self) -> None:
        self._line.close()

    def talk(self, method: str, path: str, body: object) -> tuple[int, dict[str, str], Any]:
        self._line.request(method, path, json.dumps(body), self._headers)
        response = self._line.getresponse()
        return response.status, {name.lower(): value for name, value in response.headers.items()}, json.load(response)


@contextlib.contextmanager
def lines(running: Running) -> Iterator[dict[str, Line]]:
    """A connection to each of the two workers that serve, by the names they give themselves."""
    deadline = time.monotonic() + 60
    with contextlib.ExitStack() as stack:
        found: dict[str, Line] = {}
        while len(found) < 2:
            assert time.monotonic() < deadline, f"only {sorted(found)} answer:\n{running.log}"
            line = Line(running)
            stack.callback(line.close)
            with contextlib.suppress(OSError):  # of a worker that was killed
                if found.setdefault(line.name(), line) is not line:
                    time.sleep(PAUSE_S)
        yield found
