"""What must hold in every dialect alike: a body too large, a stop in mid-stream, and what the metrics say afterwards."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.gateway import Running, gateway

CONFIG = "version: 1\ndiscovery: {providers: none}\nproviders:\n  sim:\n    connections: [{id: sim}]\n"
STOPPING = CONFIG + "server: {shutdown_grace: 0s}\n"
SAID = "one two three four five six " * 10 + "every 200ms"
"""Twelve seconds of words: the last stream begins while the first runs, however busy the machine is."""
HI = [{"role": "user", "content": SAID}]


class Dialect(NamedTuple):
    """``path`` is formatted with the model and the action; ``broken`` is what a cut stream ends with."""

    path: str
    body: dict[str, Any]
    too_large: str
    broken: str


DIALECTS = {
    "chat": Dialect("/v1/chat/completions", {"messages": HI}, '"type":"invalid_request_error"', r'^data: \{"error":'),
    "completions": Dialect("/v1/completions", {"prompt": SAID}, '"type":"invalid_request_error"', r'^data: \{"error":'),
    "responses": Dialect(
        "/v1/responses", {"input": SAID}, '"type":"invalid_request_error"', r"^event: response.failed$"
    ),
    "messages": Dialect(
        "/v1/messages", {"messages": HI, "max_tokens": 50}, '"type":"request_too_large"', r"^event: error$"
    ),
    "gemini": Dialect(
        "/v1beta/models/{model}:{action}",
        {"contents": [{"role": "user", "parts": [{"text": SAID}]}]},
        '"status":"INVALID_ARGUMENT"',
        r'^data: \{"error":',
    ),
    "ollama": Dialect("/api/chat", {"messages": HI}, '{"error":"', r'^\{"error":"'),
}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("gateway"), CONFIG) as served:
        yield served


LONG = "A" * 100_000
NAMES = {  # where a client's own words may come back, by dialect; `{}` is a name too long for anything
    "chat": [{"model": LONG}, {"messages": [{"role": LONG, "content": "x"}]}, {"tool_choice": LONG}, {"stream": LONG}],
    "completions": [{"model": LONG}, {"prompt": {LONG: 1}}, {"stream": LONG}],
    "responses": [{"model": LONG}, {"input": [{"type": LONG}]}, {"input": [{"role": LONG, "content": "x"}]}],
    "messages": [{"model": LONG}, {"messages": [{"role": LONG, "content": "x"}]}, {"tool_choice": {"type": LONG}}],
    "gemini": [{"contents": [{"role": LONG, "parts": [{"text": "x"}]}]}],
    "ollama": [{"model": LONG}, {"messages": [{"role": LONG, "content": "x"}]}, {"think": LONG}],
}


@pytest.mark.parametrize(("name", "change"), [(name, change) for name in NAMES for change in NAMES[name]])
def test_what_a_client_says_is_not_repeated_at_length(running: Running, name: str, change: dict[str, Any]) -> None:
    dialect = DIALECTS[name]
    body = dialect.body if "{model}" in dialect.path else {**dialect.body, "model": "sim/echo"}
    url = running.url + dialect.path.format(model="sim/echo", action="generateContent")

    reply = httpx.post(url, json={**body, **change}, headers=auth(running), timeout=60)

    assert 400 <= reply.status_code < 500
    assert len(reply.text) < 1000
    assert "A" * 100 + "…" in reply.text.replace("\\u2026", "…") or "A" not in reply.text


@pytest.mark.parametrize(
    "path", ["/v1/{}", "/v1beta/models/{}:generateContent", "/v1beta/models/sim/echo:{}", "/{}", "/v1/models/{}"]
)
def test_what_a_client_says_in_a_path_is_not_repeated_at_length(running: Running, path: str) -> None:
    reply = httpx.post(running.url + path.format("A" * 7000), json={}, headers=auth(running), timeout=60)

    assert 400 <= reply.status_code < 500
    assert len(reply.text) < 1000, reply.text


def stream(served: Running, dialect: Dialect, model: str) -> Any:
    path = dialect.path.format(model=model, action="streamGenerateContent?alt=sse")
    body = dialect.body if "{model}" in dialect.path else {**dialect.body, "model": model, "stream": True}
    return httpx.stream("POST", served.url + path, json=body, headers=auth(served), timeout=30)


def auth(served: Running) -> dict[str, str]:
    return {"authorization": f"Bearer {served.key}"}


def test_a_body_over_the_limit_is_413_in_the_clients_own_shape(running: Running, dialect: Dialect) -> None:
    url = running.url + dialect.path.format(model="sim/echo", action="generateContent")

    reply = httpx.post(url, content=b'{"x":"' + b"a" * (33 << 20) + b'"}', headers=auth(running), timeout=60)

    assert reply.status_code == 413
    assert dialect.too_large in reply.text.replace('": ', '":')
    assert "larger than" in reply.text


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What clients of all dialects at once read, line by line, when the gateway is told to stop after the first line."""
    with gateway(tmp_path_factory.mktemp("stopped"), STOPPING) as served, contextlib.ExitStack() as stack:
        replies = {
            name: stack.enter_context(stream(served, dialect, "sim/slow")).iter_lines()
            for name, dialect in DIALECTS.items()
        }
        for lines in replies.values():
            next(lines)
        served.process.send_signal(signal.SIGTERM)
        rest = {name: list(lines) for name, lines in replies.items()}
        assert served.process.wait(60) == 0
    return rest


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stop_in_mid_stream_is_told_in_the_clients_own_shape(stopped: dict[str, list[str]], name: str) -> None:
    rest = stopped[name]

    assert any(re.search(DIALECTS[name].broken, line) for line in rest), rest
    assert any("shut down" in line or "shutting down" in line for line in rest), rest


def test_metrics_count_each_end_of_a_stream_once(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG) as served:
        with stream(served, DIALECTS["messages"], "sim/echo") as reply:
            reply.read()
        with stream(served, DIALECTS["messages"], "sim/nobody") as reply:
            reply.read()
        with stream(served, DIALECTS["messages"], "sim/slow") as reply:
            next(reply.iter_lines())
        served.logged('"outcome":"client_closed"')

        told = httpx.get(f"{served.url}/metrics", headers=auth(served), timeout=60).text
        counts = [line for line in told.splitlines() if line.startswith("gatewright_requests_total{")]
        ends = sorted((label(line, "outcome"), label(line, "error_type"), line.split()[-1]) for line in counts)

    assert ends == [("client_closed", "", "1.0"), ("ok", "", "1.0")], counts
    refused = [line for line in told.splitlines() if line.startswith("gatewright_refused_total{")]
    assert [line.split()[-1] for line in refused] == ["1.0"], refused
    assert "gatewright_requests_in_flight 0.0" in told


def label(line: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', line)
    assert found is not None, line
    return found[1]
