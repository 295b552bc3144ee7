"""Several workers are one gateway: what one learns of a provider, the other heeds within a second."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.proxy.machine import descendants
from tests.support.asking import ADMIN
from tests.support.gateway import Running, gateway, run_cli
from tests.support.lines import HELLO, Line, a_worker, lines
from tests.support.patience import within_a_second
from tests.support.redis_server import RedisServer, redis_server
from tests.support.vendor import KEY, vendor

SECRETS = {"VENDOR_KEY": KEY, "ADMIN_KEY": ADMIN}
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
keys:
  root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}
providers:
  failing:
    base_url: {url}/v1
    surfaces: {{openai_chat: {{}}}}
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
    models: {{fault-500: {{}}}}
  sim: {{}}
combos:
  smart: {{targets: [failing/fault-500, sim/echo]}}
retries: {{per_target: 0}}
breakers: {{minimum_calls: 6, window: 5m, open_for: 5m, max_open_for: 5m}}
{shared}
"""


@pytest.fixture(scope="module")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def ask(running: Running, model: str) -> int:
    """Over a connection of its own, so that either worker may get it."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json", "connection": "close"}
    request = urllib.request.Request(f"{running.url}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def checks(running: Running) -> dict[str, bool]:
    request = urllib.request.Request(f"{running.url}/health")
    with urllib.request.urlopen(request, timeout=30) as response:
        return {check["name"]: check["ok"] for check in json.load(response)["checks"]}


def logged_by_both(running: Running, mark: str) -> None:
    deadline = time.monotonic() + 60
    while len([line for line in running.log.splitlines() if mark in line]) < 2:
        assert time.monotonic() < deadline, f"not twice {mark!r} in the log:\n{running.log}"
        time.sleep(0.02)


@pytest.mark.parametrize("where", ["file", "redis"])
def test_a_breaker_that_one_worker_opens_is_open_in_the_other_within_a_second(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shared, env = "", {**SECRETS}
    if where == "redis":
        shared = "shared: {url: '${REDIS_URL}'}"
        env["REDIS_URL"] = request.getfixturevalue("redis_at").url
    with contextlib.ExitStack() as stack:
        fake = stack.enter_context(vendor("openai_chat"))
        running = stack.enter_context(gateway(tmp_path, CONFIG.format(url=fake.url, shared=shared), env))
        one, other = stack.enter_context(lines(running)).values()
        assert one.may_ask("failing/fault-500")
        assert other.may_ask("failing/fault-500")
        for _ in range(6):
            one.talk("POST", "/v1/chat/completions", HELLO | {"model": "failing/fault-500"})
        assert not one.may_ask("failing/fault-500"), "no breaker opened"
        within_a_second(lambda: not other.may_ask("failing/fault-500"))

        assert 6 == len(fake.requests)
        for line in (one, other):
            assert {503} == {
                line.talk("POST", "/v1/chat/completions", HELLO | {"model": "failing/fault-500"})[0] for _ in range(5)
            }
            assert {200} == {line.talk("POST", "/v1/chat/completions", HELLO | {"model": "smart"})[0] for _ in range(5)}
        assert 6 == len(fake.requests)


def test_metrics_tell_what_all_workers_counted_whichever_is_asked(tmp_path: Path) -> None:
    """Counters that were one worker's now and another's then would go back, which is read as a restart each time."""
    with (
        gateway(tmp_path, CONFIG.format(url="http://127.0.0.1:9", shared=""), {**SECRETS}) as running,
        lines(running) as both,
    ):
        for many, line in enumerate(both.values(), 3):
            for _ in range(many):
                line.call("POST", "/v1/chat/completions", HELLO)
        answered = {name: served_by(line) for name, line in both.items()}

        assert both.keys() == answered[next(iter(both))].keys()
        assert 2 + 3 + 4 <= sum(answered[next(iter(both))].values()), "who each of them is was asked by calls, too"
        assert 1 == len({frozenset(each.items()) for each in answered.values()})


def served_by(line: Line) -> dict[str, float]:
    """How many calls each worker has answered, as the worker at this end of the line tells."""
    found = re.findall(r'^gatewright_requests_total\{.*worker="(\w+)"\} (\S+)$', line.text("/metrics"), re.MULTILINE)
    return {worker: float(count) for worker, count in found}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
@pytest.mark.parametrize("where", ["file", "redis"])
def test_a_worker_in_the_place_of_one_that_died_goes_by_what_was_set(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shared, env = "", {**SECRETS}
    if where == "redis":
        shared = "shared: {url: '${REDIS_URL}'}"
        env["REDIS_URL"] = request.getfixturevalue("redis_at").url
    with gateway(tmp_path, CONFIG.format(url="http://127.0.0.1:9", shared=shared), env) as running:
        with lines(running) as before:
            asked = next(iter(before.values())).call("PATCH", "/api/resilience", {"retries": {"per_target": 7}})
            assert ["retries.per_target"] == asked["changed"]
            os.kill(a_worker(running.process.pid), signal.SIGKILL)
        with lines(running) as after:
            assert 1 == len(after.keys() - before.keys())
            assert {7} == {line.call("GET", "/api/resilience")["retries"]["per_target"] for line in after.values()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_workers_that_die_one_after_the_other_do_not_take_the_others_along(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.format(url="http://127.0.0.1:9", shared=""), {**SECRETS}) as running:
        for _ in range(4):
            with lines(running) as before:
                os.kill(a_worker(running.process.pid), signal.SIGKILL)
            with lines(running) as after:  # two answer again
                assert 1 == len(after.keys() - before.keys())
        assert 200 == ask(running, "sim/echo")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_workers_end_when_their_supervisor_was_killed(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.format(url="http://127.0.0.1:9", shared=""), {**SECRETS}) as running:
        with lines(running):  # both answer
            running.process.kill()
            running.process.wait()
        at, deadline_s = urlsplit(running.url), time.monotonic() + 60
        with pytest.raises(ConnectionRefusedError):
            while time.monotonic() < deadline_s:
                socket.create_connection((at.hostname or "", at.port or 0), 1).close()
                time.sleep(0.05)
    assert 2 == running.log.count('"supervisor_lost"')


def test_without_its_redis_the_gateway_serves_on_says_so_and_recovers(redis_at: RedisServer, tmp_path: Path) -> None:
    env = {**SECRETS, "REDIS_URL": redis_at.url}
    shared = "shared: {url: '${REDIS_URL}', timeout: 5s}"  # longer than a busy machine lets Redis wait
    with (
        vendor("openai_chat") as fake,
        gateway(tmp_path, CONFIG.format(url=fake.url, shared=shared), env) as running,
    ):
        assert checks(running)["shared"]
        redis_at.stop()
        try:
            logged_by_both(running, "sharing_lost")
            assert not checks(running)["shared"]
            began_s = time.monotonic()
            assert [200] * 10 == [ask(running, "sim/echo") for _ in range(10)]
            assert time.monotonic() - began_s < 20, "ten that waited for it would take 50 s"
        finally:
            redis_at.start()
        logged_by_both(running, "sharing_resumed")
        assert checks(running)["shared"]
        assert running.log.count("sharing_lost") < 10, "it is said when it happens, not at every call"


def test_a_gateway_starts_without_its_redis_and_refuses_a_url_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("version: 1\nproviders: {sim: {}}\nshared: {url: '${REDIS_URL}'}\n")
    env = {"REDIS_URL": "http://:unguessable@127.0.0.1:1"}
    assert 0 == run_cli("build", root=tmp_path, env=env).returncode
    refused = run_cli("serve", "--port", "0", root=tmp_path, env=env)
    assert 1 == refused.returncode
    assert "`shared.url` (${REDIS_URL}) leads to no Redis: its scheme is 'http'" in refused.stderr
    assert "unguessable" not in refused.stderr + refused.stdout

    doctor = run_cli("doctor", root=tmp_path, env={"REDIS_URL": "redis://:unguessable@127.0.0.1:1"})
    assert "shared" in doctor.stdout
    assert "cannot be reached" in doctor.stdout
    assert "unguessable" not in doctor.stdout


ONE = """version: 1
discovery: {providers: none}
providers: {sim: {}}
keys:
  root: {key: "${ADMIN_KEY}", scopes: [admin], limits: [{requests: 8, per: 1h}]}
"""


def test_as_many_workers_serve_as_the_command_says_and_share_what_they_count(tmp_path: Path) -> None:
    with gateway(tmp_path, ONE, SECRETS, options=["--workers", "2"]) as running:
        assert 2 == len(descendants(running.process.pid)) - 1
        assert [200] * 8 == [ask(running, "sim/echo") for _ in range(8)]
        assert [429] * 6 == [ask(running, "sim/echo") for _ in range(6)]
