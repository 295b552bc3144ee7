"""The configuration is changed while two workers serve: what callers notice, and what they do not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.asking import ADMIN, call
from tests.support.gateway import Running, gateway, run_cli
from tests.support.lines import HELLO, Line, lines
from tests.support.patience import seconds_until
from tests.support.redis_server import RedisServer, redis_server

CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers: {{sim: {{}}}}
aliases: {{quick: sim/echo, steady: sim/slow}}
keys:
  root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}
{more}
"""
STREAMS = 60
MANY = 16


@pytest.fixture(scope="module")
def cache() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite and a file", "postgresql and redis"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    more, env = "", {"ADMIN_KEY": ADMIN}
    if request.param != "sqlite and a file":
        more = "store: {url: '${DATABASE_URL}'}\nshared: {url: '${REDIS_URL}'}"
        env["DATABASE_URL"] = request.getfixturevalue("postgres_server").url()
        env["REDIS_URL"] = request.getfixturevalue("cache").url
    with gateway(tmp_path_factory.mktemp("overrides"), CONFIG.format(more=more), env) as running:
        yield running


def ask(served: Running, method: str, path: str, body: object = None) -> tuple[int, Any, str]:
    """Status, body and build. Each call is a connection of its own, so that any worker may get it."""
    reply = call(served, method, path, body, key=ADMIN)
    return reply.status, reply.body, reply.headers["x-gatewright-build"]


def chat(served: Running, model: str) -> tuple[int, str]:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    status, _, build = ask(served, "POST", "/v1/chat/completions", body)
    return status, build


def everywhere(both: Mapping[str, Line], model: str) -> set[tuple[int, str]]:
    """Status and build, as each worker answers."""
    answers = (line.talk("POST", "/v1/chat/completions", HELLO | {"model": model}) for line in both.values())
    return {(status, headers["x-gatewright-build"]) for status, headers, _ in answers}


def settled(both: Mapping[str, Line], model: str, status: int = 200) -> float:
    """How many seconds it took until every worker answered so."""
    return seconds_until(lambda: {status} == {status for status, _ in everywhere(both, model)})


def test_a_change_is_in_force_in_every_worker_within_a_second_and_so_is_its_end(served: Running) -> None:
    """Within a second where the machine has nothing else to do: of four times at least once."""
    with lines(served) as both:
        before, took = everywhere(both, "quick"), []
        assert 1 == len(before)
        for _ in range(2):
            assert 201 == ask(served, "POST", "/api/combos", {"name": "best", "models": ["sim/echo"]})[0]
            took.append(settled(both, "best"))
            assert before.isdisjoint(everywhere(both, "quick"))
            assert 200 == ask(served, "DELETE", "/api/combos/best")[0]
            took.append(settled(both, "best", 404))
            assert before == everywhere(both, "quick")
        assert min(took) < 1.0


def test_all_of_many_changes_at_once_are_made(served: Running) -> None:
    def change(number: int) -> int:
        body = {"name": f"many-{number}", "models": ["sim/echo"]}
        return ask(served, "POST", "/api/combos", body)[0]

    with ThreadPoolExecutor(16) as pool, lines(served) as both:
        made = list(pool.map(change, range(MANY)))
        assert {201: MANY} == Counter(made)
        settled(both, f"many-{MANY - 1}")
        paths = [f"/api/combos/many-{number}" for number in range(MANY)]
        assert {200: MANY} == Counter(pool.map(lambda path: ask(served, "GET", path)[0], paths))
        gone = list(pool.map(lambda path: ask(served, "DELETE", path)[0], paths))
        assert {200: MANY} == Counter(gone)
        seconds_until(lambda: 1 == len(everywhere(both, "quick")))  # the other worker follows


def test_a_change_that_does_not_compile_is_refused_with_its_place_and_changes_nothing(served: Running) -> None:
    with lines(served) as both:
        before = everywhere(both, "quick")
        status, told, _ = ask(served, "POST", "/api/combos", {"name": "bad", "models": ["sim/echo", "sim/nix"]})
        after = everywhere(both, "quick")

    assert 422 == status
    assert "combos.bad.targets[1]" == told["param"] == told["diagnostics"][0]["path"]
    assert ["error", "unknown-model"] == [told["diagnostics"][0][name] for name in ("severity", "code")]
    assert told["diagnostics"][0]["hint"]
    assert before == after


async def _stream(client: aiohttp.ClientSession, served: Running) -> tuple[str, bytes]:
    body = {"model": "steady", "stream": True, "messages": [{"role": "user", "content": "w " * 60}]}
    async with client.post(f"{served.url}/v1/chat/completions", json=body) as response:
        assert 200 == response.status
        return response.headers["x-gatewright-build"], await response.read()


def test_fault_37_a_new_configuration_breaks_no_stream(served: Running) -> None:
    """60 streams run on with the plan they began with while it is replaced three times; none ends without its end."""

    async def run() -> list[tuple[str, bytes]]:
        headers = {"authorization": f"Bearer {ADMIN}"}
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(120)
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as client:
            streams = [asyncio.create_task(_stream(client, served)) for _ in range(STREAMS)]
            for number in range(3):
                await asyncio.sleep(0.3)
                body = {"name": f"swap-{number}", "models": ["sim/echo"]}
                status = await asyncio.to_thread(ask, served, "POST", "/api/combos", body)
                assert 201 == status[0]
            return await asyncio.gather(*streams)

    ended = asyncio.run(run())
    assert STREAMS == sum(answer.endswith(b"data: [DONE]\n\n") for _, answer in ended)
    assert 0 == sum(b'"error"' in answer for _, answer in ended)
    with lines(served) as both:
        settled(both, "swap-2")
        assert 1 == len(everywhere(both, "swap-2"))
    for number in range(3):
        assert 200 == ask(served, "DELETE", f"/api/combos/swap-{number}")[0]


def workers(served: Running) -> list[str]:
    found = subprocess.run(["pgrep", "-P", str(served.process.pid)], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_a_worker_that_died_is_replaced_by_one_that_serves_what_is_in_force(served: Running) -> None:
    assert 201 == ask(served, "POST", "/api/combos", {"name": "lasting", "models": ["sim/echo"]})[0]
    with lines(served) as both:
        settled(both, "lasting")
        build = everywhere(both, "lasting")
        before = workers(served)
        os.kill(int(before[0]), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while before[0] in (now := workers(served)) or len(now) < len(before):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    seen: set[tuple[int, str]] = set()
    answered = Counter[str]()
    while sum(many for name, many in answered.items() if name not in both) < 5:  # by the new one, from its first on
        assert time.monotonic() < deadline
        time.sleep(0.01)
        try:
            reply = call(served, "POST", "/v1/chat/completions", HELLO | {"model": "lasting"}, key=ADMIN)
        except (ConnectionError, urllib.error.URLError):
            continue
        seen.add((reply.status, reply.headers["x-gatewright-build"]))
        answered[str(reply.headers["x-gatewright-decision"]).partition("-")[0]] += 1
    assert build == seen
    assert 200 == ask(served, "DELETE", "/api/combos/lasting")[0]


def test_overrides_last_and_the_start_says_that_they_are_in_force(tmp_path: Path) -> None:
    config = CONFIG.format(more="").replace("workers: 2", "workers: 1")
    env = {"ADMIN_KEY": ADMIN}
    with gateway(tmp_path, config, env) as running:
        assert 201 == ask(running, "POST", "/api/combos", {"name": "best", "models": ["quick"]})[0]
        build = chat(running, "best")
    with gateway(tmp_path, config, env) as running:
        assert build == chat(running, "best")
        assert "1 override" in running.log
    # a new gateway.yaml with which it does not compile
    (tmp_path / "gateway.yaml").write_text(config.replace("quick: sim/echo, ", ""))
    assert 0 == run_cli("build", root=tmp_path, env=env).returncode
    started = run_cli("serve", "--port", "0", root=tmp_path, env=env)
    assert 1 == started.returncode
    assert "overrides/combos/best" in started.stderr
    assert "gatewright overrides" in started.stderr
