"""Two hundred calls at once against one budget on two workers: it is never exceeded, whatever the workers count in."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import Running, gateway
from tests.support.postgres import Postgres
from tests.support.redis_server import RedisServer, redis_server

KEY = "gw-a-key-of-the-tests-0123456789"
ADMIN = "gw-an-admin-of-the-tests-0123456789"
SECRETS = {"LIMITED_KEY": KEY, "ADMIN_KEY": ADMIN}

INPUT_NANO_USD = 1_000_000
OUTPUT_NANO_USD = 2_000_000
"""Of a token: a thousandth and two of a dollar."""

LIMIT_NANO_USD = 2_000_000_000
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers:
  sim:
    models:
      echo: {{prices: {{input: "1000", output: "2000", source: test, date: "2026-11-01"}}}}
keys:
  limited: {{key: "${{LIMITED_KEY}}", limits: [{{usd: "2.00", per: month}}]}}
  root: {{key: "${{ADMIN_KEY}}", scopes: [admin]}}
{more}
"""
CALLS = 200
AT_ONCE = 50


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


@pytest.fixture(scope="module")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def ask(running: Running, key: str = KEY, max_tokens: int = 20, stream: bool = False) -> Answer:
    """Over a connection of its own, so that either worker may get it."""
    body = {
        "model": "sim/echo",
        "max_tokens": max_tokens,
        "stream": stream,
        "messages": [{"role": "user", "content": "one two three four"}],
    }
    at = urlsplit(running.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    try:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        reply = connection.getresponse()
        return Answer(reply.status, dict(reply.getheaders()), json.loads(reply.read()))
    finally:
        connection.close()


def cost(answer: Answer) -> int:
    usage = answer.body["usage"]
    return int(usage["prompt_tokens"]) * INPUT_NANO_USD + int(usage["completion_tokens"]) * OUTPUT_NANO_USD


def counted(running: Running, key: str = KEY) -> Answer:
    """On a busy machine counting takes longer than a call waits for it; whoever is told so has spent nothing, and asks again."""
    deadline = time.monotonic() + 120
    while (answer := ask(running, key)).status == 503 and "cannot be counted" in json.dumps(answer.body):
        assert time.monotonic() < deadline, answer.body
        time.sleep(0.2)
    return answer


def check_the_budget(running: Running) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: counted(running), range(CALLS)))
    assert {200, 429} == {answer.status for answer in answers}
    spent = sum(cost(answer) for answer in answers if answer.status == 200)
    assert spent <= LIMIT_NANO_USD

    deadline = time.monotonic() + 60
    almost_all = LIMIT_NANO_USD - 30 * OUTPUT_NANO_USD - 100 * INPUT_NANO_USD
    while (answer := counted(running)).status == 200 or spent <= almost_all:
        assert time.monotonic() < deadline, (
            f"of what was kept aside and not used, {LIMIT_NANO_USD - spent} never came back"
        )
        spent += cost(answer) if answer.status == 200 else 0
        time.sleep(0.05)
    assert spent <= LIMIT_NANO_USD
    assert "the limit of $2.00 per month for this key is reached" in answer.body["error"]["message"]
    assert answer.body["error"]["code"] == "insufficient_quota"
    assert 200 == ask(running, ADMIN).status


def test_a_budget_is_never_exceeded_in_a_file(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.format(more=""), SECRETS) as running:
        check_the_budget(running)


def test_a_budget_is_never_exceeded_in_redis(tmp_path: Path, redis_at: RedisServer) -> None:
    more = 'shared: {url: "${REDIS_URL}"}'
    with gateway(tmp_path, CONFIG.format(more=more), {**SECRETS, "REDIS_URL": redis_at.url}) as running:
        check_the_budget(running)


def test_a_budget_is_never_exceeded_in_postgresql(tmp_path: Path, postgres_server: Postgres) -> None:
    more = 'store: {url: "${DATABASE_URL}"}'
    with gateway(tmp_path, CONFIG.format(more=more), {**SECRETS, "DATABASE_URL": postgres_server.url()}) as running:
        check_the_budget(running)


SMALL = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers:
  sim:
    models:
      echo: {{prices: {{input: "1000", output: "2000", source: test, date: "2026-11-01"}}}}
keys:
  abreast: {{key: "${{ABREAST_KEY}}", limits: [{{concurrency: 2}}]}}
  few: {{key: "${{FEW_KEY}}", limits: [{{requests: 3, per: 1m}}]}}
  more: {{key: "${{MORE_KEY}}", limits: [{{requests: 40, per: 1h}}]}}
  poor: {{key: "${{POOR_KEY}}", limits: [{{usd: "1.00", per: month}}]}}
{more}
"""
SMALL_KEYS = {
    f"{name}_KEY": f"gw-{name.lower()}-of-the-tests-0123456789" for name in ("ABREAST", "FEW", "MORE", "POOR")
}


@pytest.fixture(scope="module", params=["file", "redis"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    more, env = "", dict(SMALL_KEYS)
    if request.param == "redis":
        more, env["REDIS_URL"] = 'shared: {url: "${REDIS_URL}"}', request.getfixturevalue("redis_at").url
    with gateway(tmp_path_factory.mktemp("small"), SMALL.format(more=more), env) as running:
        yield running


def test_as_many_calls_at_once_as_the_limit_allows_are_never_refused(small: Running) -> None:
    def one_after_the_other(_: int) -> list[int]:
        return [counted(small, SMALL_KEYS["ABREAST_KEY"]).status for _ in range(30)]

    with ThreadPoolExecutor(2) as pool:
        assert [[200] * 30] * 2 == list(pool.map(one_after_the_other, range(2)))


@pytest.mark.parametrize(("key", "calls"), [("FEW_KEY", 3), ("MORE_KEY", 40)])
def test_all_requests_of_a_limit_can_be_made_whichever_worker_gets_them(small: Running, key: str, calls: int) -> None:
    assert [200] * calls == [counted(small, SMALL_KEYS[key]).status for _ in range(calls)]
    assert [429] * 4 == [counted(small, SMALL_KEYS[key]).status for _ in range(4)]


def test_a_small_budget_is_spent_before_anybody_is_refused(small: Running) -> None:
    spent = 0
    while (answer := counted(small, SMALL_KEYS["POOR_KEY"])).status == 200:
        spent += cost(answer)
    assert answer.status == 429
    assert 1_000_000_000 - 30 * OUTPUT_NANO_USD - 50 * INPUT_NANO_USD < spent <= 1_000_000_000
