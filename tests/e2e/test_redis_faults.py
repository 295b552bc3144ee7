"""The Redis that two workers share is cut off or silent: what each operation does meanwhile, and that all is well again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.callers import CALLERS, ask, said, send
from tests.support.gateway import Running, gateway
from tests.support.redis_server import RedisServer, redis_server
from tests.support.relay import relay

KEYS = {name: f"gw-{name}-of-the-tests-0123456789" for name in ("root", "limited", "free")}
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers: {{sim: {{models: {{echo: {{prices: {{input: 1000, output: 2000}}}}}}}}}}
keys:
  root: {{key: "${{KEY_ROOT}}", scopes: [admin]}}
  limited: {{key: "${{KEY_LIMITED}}", limits: [{{requests: 20, per: 1h}}]}}
  free: {{key: "${{KEY_FREE}}"}}
shared: {{url: "${{REDIS_URL}}", timeout: 3s, namespace: "{when}"}}
idempotency: {{window: 5m}}
limits: {{when_unreachable: {when}}}
"""


@pytest.fixture(scope="module")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def shared_is(running: Running, ok: bool) -> bool:
    """Whether both workers say so, as far as eight questions tell."""
    answers = [send(running, "GET", "/health", key=KEYS["root"]).body["checks"] for _ in range(8)]
    return all(each["ok"] == ok for checks in answers for each in checks if each["name"] == "shared")


@pytest.mark.parametrize(("how", "when"), [("freeze", "refuse"), ("cut", "local")])
def test_fault_39_without_its_redis_calls_go_on_limits_do_as_declared_and_all_comes_back(
    redis_at: RedisServer, tmp_path: Path, how: str, when: str
) -> None:

    env = {f"KEY_{name.upper()}": key for name, key in KEYS.items()}
    with relay(redis_at.port) as line:
        env["REDIS_URL"] = redis_at.url.replace(f":{redis_at.port}", f":{line.port}")
        with gateway(tmp_path, CONFIG.format(when=when), env) as running:
            for _ in range(4):
                until(lambda: 200 == ask(running, key=KEYS["limited"]).status)
            getattr(line, how)()
            until(lambda: shared_is(running, ok=False))
            began_s = time.monotonic()
            for dialect in CALLERS:
                assert 200 == ask(running, dialect, key=KEYS["free"]).status, dialect
            assert time.monotonic() - began_s < 12, "no call waits for it, which would take 3 s each"
            if when == "refuse":
                until(lambda: {503} == {ask(running, key=KEYS["limited"]).status for _ in range(6)})
                for dialect in CALLERS:
                    refused = ask(running, dialect, key=KEYS["limited"])
                    assert 503 == refused.status
                    assert "limits cannot be counted at the moment" in said(dialect, refused)
            else:
                answers = [ask(running, key=KEYS["limited"]).status for _ in range(6)]
                assert {200} == set(answers), "each worker counts by itself"
            body = {"model": "sim/echo", "messages": [{"role": "user", "content": "once"}], "max_tokens": 9}
            once = [
                send(running, "POST", "/v1/chat/completions", body, key=KEYS["free"], headers={"idempotency-key": "a"})
                for _ in range(4)
            ]
            assert {200} == {each.status for each in once}
            assert 200 == send(running, "GET", "/health/ready", key=KEYS["root"]).status
            told = send(running, "GET", "/metrics", key=KEYS["root"]).raw
            assert re.search(rb"gatewright_shared_up\S* 0\.0", told)
            assert running.logged("sharing_lost")
            assert running.logged("limits_lost") if when == "refuse" else True

            line.mend()
            until(lambda: shared_is(running, ok=True))
            until(lambda: running.log.count('"limits_lost"') == running.log.count('"limits_resumed"'))
            answered = 0
            while (reply := ask(running, key=KEYS["limited"])).status != 429:
                answered += reply.status == 200
                assert reply.status in {200, 503}
            most = 20 - 4 if when == "refuse" else 2 * 20 - 4  # each of two workers counted by itself for a while
            assert answered <= most, "what was counted before is not forgotten"
            until(lambda: {429} == {ask(running, key=KEYS["limited"]).status for _ in range(8)})
            assert running.logged("sharing_resumed")
