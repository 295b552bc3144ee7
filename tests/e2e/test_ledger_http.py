"""Every way that a call can go is in the ledger: once, at what its provider said or what was seen of it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runtime.stores.database import DATABASE_FILE
from tests.support.gateway import Running, gateway, run_cli
from tests.support.postgres import Postgres
from tests.support.vendor import KEY, Vendor, vendor

CONFIG = """version: 1
discovery: {{providers: none}}
providers:
  sim: {{}}
  chatty:
    base_url: {chatty}/v1
    surfaces: {{openai_chat: {{}}}}
    models: &priced
      plain: &one {{prices: {{input: 3, output: 15, cache_read: 0.30}}}}
      thinking-text: *one
      cut: *one
      fault-500: *one
      unpriced: {{}}
    connections: &main [{{id: main, key: "${{VENDOR_KEY}}"}}]
  messy:
    base_url: {messy}
    surfaces: {{anthropic_messages: {{}}}}
    auth: {{header: x-api-key, prefix: ""}}
    models: *priced
    connections: *main
combos:
  second: {{targets: [chatty/fault-500, messy/plain]}}
  paid: {{targets: [chatty/plain], limits: [{{usd: "5.00", per: day}}]}}
aliases: {{quick: chatty/plain}}
retries: {{per_target: 0}}
cooldowns: {{max: 0s}}
breakers: {{mode: ignore}}
cache: {{exact: {{models: [quick], temperature: any}}}}
"""

PLAIN_NANO_USD = 23 * 3_000 + 8 * 300 + 14 * 15_000
"""What the transcript `plain` costs: 23 tokens, 8 from the cache, 14 answered, in nano-dollars for each."""


class Site(NamedTuple):
    running: Running
    vendors: Mapping[str, Vendor]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with vendor("openai_chat") as chatty, vendor("anthropic_messages") as messy:
        config = CONFIG.format(chatty=chatty.url, messy=messy.url)
        with gateway(tmp_path_factory.mktemp("gateway"), config, {"VENDOR_KEY": KEY}) as running:
            yield Site(running, {"chatty": chatty, "messy": messy})


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


BODIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Where?"}]}),
    "anthropic_messages": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "Where?"}], "max_tokens": 50},
    ),
}


def call(
    site: Site, dialect: str, model: str, *, headers: Mapping[str, str] | None = None, path: str = "", **fields: Any
) -> Answer:
    usual, body = BODIES[dialect]
    sent = {"authorization": f"Bearer {site.running.key}", "content-type": "application/json", **(headers or {})}
    said = {**body, "model": model, **fields}
    data = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
    request = urllib.request.Request(site.running.url + (path or usual), data, sent)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return Answer(response.status, _lower(response.headers), response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, _lower(error.headers), error.read())


def _lower(headers: Any) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


Rows = tuple[dict[str, Any], list[dict[str, Any]]]


def ledger(site: Site, request_id: str, where: str = "1") -> Rows:
    """The settlement of a request and its attempts, as soon as they are there."""
    database = sqlite3.connect(site.running.root / "data" / DATABASE_FILE)
    database.row_factory = sqlite3.Row
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            query = f"SELECT * FROM settlements WHERE request_id = ? AND {where}"
            found = [dict(row) for row in database.execute(query, (request_id,))]
            if found:
                (only,) = found
                rows = database.execute("SELECT * FROM attempts WHERE settlement = ? ORDER BY number", (only["id"],))
                return only, [dict(row) for row in rows]
            time.sleep(0.05)
    finally:
        database.close()
    raise AssertionError(f"{request_id} is not in the ledger:\n{site.running.log}")


def id_of(answer: Answer) -> str:
    return answer.headers.get("x-request-id") or answer.headers["request-id"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", BODIES)
@pytest.mark.parametrize("provider", ["chatty", "messy"])
def test_passed_through_and_translated_whole_and_streamed_cost_the_same(
    site: Site, provider: str, dialect: str, stream: bool
) -> None:
    usage = {"stream_options": {"include_usage": True}} if stream and dialect == "openai_chat" else {}
    answer = call(site, dialect, f"{provider}/plain", stream=stream, **usage)
    row, attempts = ledger(site, id_of(answer))

    assert 200 == answer.status
    assert (PLAIN_NANO_USD, 23, 14, 8, 0, "ok", 200) == tuple(
        row[name]
        for name in (
            "cost_nano_usd",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "estimated",
            "outcome",
            "status",
        )
    )
    assert [(PLAIN_NANO_USD, provider)] == [(each["cost_nano_usd"], each["provider"]) for each in attempts]
    assert (None if stream else "0.0002814") == answer.headers.get("x-gatewright-cost")
    assert (row["tenant"], row["key"], row["model"]) == ("default", "dev", f"{provider}/plain")


def test_a_stream_whose_provider_was_not_asked_for_its_usage_is_estimated(site: Site) -> None:
    """What passes through is not changed, not even for the bill: the transcript's chunks have no usage asked for."""
    site.vendors["chatty"].transcripts = Path(__file__).parent / "none"
    body = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Paris is the capital of France."},"finish_reason":null}]}\n\ndata: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    folder = site.running.root / "transcripts"
    folder.mkdir(exist_ok=True)
    (folder / "plain.sse").write_bytes(body)
    usual, site.vendors["chatty"].transcripts = site.vendors["messy"].transcripts.parent / "openai_chat", folder
    try:
        answer = call(site, "openai_chat", "chatty/plain", stream=True)
    finally:
        site.vendors["chatty"].transcripts = usual
    row, _ = ledger(site, id_of(answer))

    assert (1, 7) == (row["estimated"], row["output_tokens"])
    assert 0 < row["input_tokens"] < 20


def test_of_a_stream_with_a_budget_the_provider_is_asked_and_the_client_is_not_told(site: Site) -> None:
    counted = call(site, "openai_chat", "paid", stream=True)
    asked = site.vendors["chatty"].requests[-1].body
    row, _ = ledger(site, id_of(counted))
    assert ({"include_usage": True}, PLAIN_NANO_USD, 0) == (
        asked["stream_options"], row["cost_nano_usd"], row["estimated"],
    )  # fmt: skip
    assert b'"usage":{' not in counted.body.replace(b" ", b"")
    assert counted.body.endswith(b"data: [DONE]\n\n")

    call(site, "openai_chat", "chatty/plain", stream=True)
    assert "stream_options" not in site.vendors["chatty"].requests[-1].body, "without a budget it passes as it came"


def test_a_provider_that_failed_and_the_one_that_answered_are_two_attempts(site: Site) -> None:
    answer = call(site, "openai_chat", "second")
    row, attempts = ledger(site, id_of(answer))

    assert [("chatty/fault-500", "server_error", 500, 0), ("messy/plain", "ok", 200, PLAIN_NANO_USD)] == [
        (each["target"], each["outcome"], each["status"], each["cost_nano_usd"]) for each in attempts
    ]
    assert ("second", "second", "messy/plain", PLAIN_NANO_USD) == (
        row["model"],
        row["combo"],
        row["target"],
        row["cost_nano_usd"],
    )


def test_a_call_that_failed_costs_nothing_and_is_there(site: Site) -> None:
    answer = call(site, "anthropic_messages", "messy/fault-500")
    row, attempts = ledger(site, id_of(answer))

    assert (answer.status, "error", "server_error", 0) == (
        row["status"],
        row["outcome"],
        row["error"],
        row["cost_nano_usd"],
    )
    assert [(500, 0)] == [(each["status"], each["cost_nano_usd"]) for each in attempts]


@pytest.mark.parametrize("provider", ["chatty", "messy"])
def test_a_stream_that_was_cut_is_settled_by_what_came(site: Site, provider: str) -> None:
    answer = call(site, "openai_chat", f"{provider}/cut", stream=True)
    row, attempts = ledger(site, id_of(answer))

    assert ("error", 1, 1) == (row["outcome"], row["estimated"], len(attempts))
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["cost_nano_usd"] == attempts[0]["cost_nano_usd"] > 0


@pytest.mark.parametrize("provider", ["chatty", "messy"])
def test_a_client_that_leaves_is_settled_by_what_came(site: Site, provider: str) -> None:
    fake = site.vendors[provider]
    fake.hold.set()
    try:
        connection = HTTPConnection("127.0.0.1", site.running.port, timeout=20)
        body = json.dumps(
            {"model": f"{provider}/thinking-text", "messages": [{"role": "user", "content": "?"}], "stream": True}
        )
        connection.request(
            "POST",
            "/v1/chat/completions",
            body,
            {"authorization": f"Bearer {site.running.key}", "x-request-id": f"left-{provider}"},
        )
        response = connection.getresponse()
        response.read(40)
        connection.close()
        response.close()
        assert fake.closed_early.wait(60)
    finally:
        fake.clear()
    row, attempts = ledger(site, f"left-{provider}")

    assert ("client_closed", 499, 1) == (row["outcome"], row["status"], row["estimated"])
    assert [("cancelled", 200)] == [(each["outcome"], each["status"]) for each in attempts]
    assert row["output_tokens"] > 0


def test_a_count_of_tokens_costs_nothing(site: Site) -> None:
    answer = call(site, "anthropic_messages", "messy/plain", path="/v1/messages/count_tokens")
    row, attempts = ledger(site, id_of(answer))

    assert ("count_tokens", 0, 0, [0]) == (
        row["operation"],
        row["cost_nano_usd"],
        row["input_tokens"],
        [each["cost_nano_usd"] for each in attempts],
    )


def test_a_repeated_request_costs_once(site: Site) -> None:
    headers = {"idempotency-key": "once"}
    first, again = (call(site, "openai_chat", "chatty/plain", headers=headers) for _ in range(2))
    paid, _ = ledger(site, id_of(first))
    repeated, attempts = ledger(site, id_of(again))

    assert (PLAIN_NANO_USD, "") == (paid["cost_nano_usd"], paid["replay"])
    assert (0, "idempotent", []) == (repeated["cost_nano_usd"], repeated["replay"], attempts)
    assert "0" == again.headers["x-gatewright-cost"]


def test_an_answer_from_the_cache_costs_nothing(site: Site) -> None:
    first, again = (call(site, "openai_chat", "quick", temperature=0) for _ in range(2))
    paid, _ = ledger(site, id_of(first))
    found, attempts = ledger(site, id_of(again))

    assert (PLAIN_NANO_USD, "") == (paid["cost_nano_usd"], paid["replay"])
    assert (0, "exact", []) == (found["cost_nano_usd"], found["replay"], attempts)


@pytest.mark.parametrize("stream", [False, True])
def test_several_prompts_of_one_request_are_one_settlement(site: Site, stream: bool) -> None:
    path, prompts = "/v1/completions", ["one", "two", "three"]
    answer = call(site, "openai_chat", "messy/plain", path=path, messages=None, prompt=prompts, stream=stream)
    row, attempts = ledger(site, id_of(answer))

    assert 200 == answer.status, answer.body
    assert (3 * PLAIN_NANO_USD, 3) == (row["cost_nano_usd"], len(attempts))


def test_a_response_made_in_the_background_is_settled_when_it_is_made(site: Site) -> None:
    path = "/v1/responses"
    answer = call(site, "openai_chat", "chatty/plain", path=path, messages=None, input="Where?", background=True)
    assert 200 == answer.status, answer.body
    queued, _ = ledger(site, id_of(answer), "operation = 'queue'")
    made, attempts = ledger(site, id_of(answer), "operation = 'chat'")

    assert (0, PLAIN_NANO_USD, 1) == (queued["cost_nano_usd"], made["cost_nano_usd"], len(attempts))
    assert made["id"] == answer.headers["x-gatewright-decision"], "what the client was told leads to what was made"
    asked = urllib.request.Request(f"{site.running.url}/api/explain/{made['id']}")
    asked.add_header("authorization", f"Bearer {site.running.key}")
    with urllib.request.urlopen(asked, timeout=30) as told:
        explained = json.load(told)
    assert ("chat", "chatty/plain") == (explained["operation"], explained["served"])


def test_what_has_no_price_says_so(site: Site) -> None:
    answer = call(site, "openai_chat", "chatty/unpriced")
    ledger(site, id_of(answer))
    answer = call(site, "openai_chat", "sim/echo")
    row, _ = ledger(site, id_of(answer))

    assert (0, "0") == (row["unpriced"], answer.headers["x-gatewright-cost"])


def test_a_call_without_a_key_is_nobody_s(site: Site) -> None:
    answer = call(site, "openai_chat", "chatty/plain", headers={"authorization": "Bearer no", "x-request-id": "nobody"})
    ledger(site, id_of(call(site, "openai_chat", "chatty/plain")))
    database = sqlite3.connect(site.running.root / "data" / DATABASE_FILE)

    assert 401 == answer.status
    assert (0,) == database.execute("SELECT count(*) FROM settlements WHERE request_id = 'nobody'").fetchone()
    database.close()


def test_metrics_tell_what_was_spent(site: Site) -> None:
    call(site, "openai_chat", "chatty/plain")
    request = urllib.request.Request(
        site.running.url + "/metrics", headers={"authorization": f"Bearer {site.running.key}"}
    )
    with urllib.request.urlopen(request) as response:
        text = response.read().decode()

    (line,) = (line for line in text.splitlines() if line.startswith('gatewright_cost_usd_total{model="chatty/plain"'))
    assert float(line.rsplit(" ", 1)[1]) >= PLAIN_NANO_USD / 1e9
    assert "gatewright_journal_up 1.0" in text


def test_fault_30_a_store_that_is_locked_stops_no_call_and_misses_none(site: Site) -> None:
    locked = sqlite3.connect(site.running.root / "data" / DATABASE_FILE, isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    answers = [call(site, "openai_chat", "chatty/plain") for _ in range(5)]
    assert {200} == {each.status for each in answers}
    assert time.monotonic() - began < 20, "five that waited their 5 s would take longer"
    locked.execute("ROLLBACK")
    locked.close()

    assert {PLAIN_NANO_USD} == {ledger(site, id_of(each))[0]["cost_nano_usd"] for each in answers}


def test_the_books_of_all_this_are_right(site: Site) -> None:
    told = run_cli("audit", root=site.running.root)

    assert 0 == told.returncode, told.stdout + told.stderr


# -- a journal that cannot be


@pytest.mark.parametrize("when_full", ["refuse", "continue"])
def test_fault_29_without_a_journal_calls_are_refused_or_go_on_as_declared(tmp_path: Path, when_full: str) -> None:
    """No room for what calls cost. Nothing is sent that cannot be noted, and afterwards all is as before."""
    with vendor("openai_chat") as chatty, vendor("anthropic_messages") as messy:
        config = CONFIG.format(chatty=chatty.url, messy=messy.url) + f"ledger: {{when_full: {when_full}}}\n"
        with gateway(tmp_path, config, {"VENDOR_KEY": KEY}) as running:
            site = Site(running, {"chatty": chatty})
            (tmp_path / "data" / "journal").write_text("a file where the directory should be")
            answer = call(site, "openai_chat", "chatty/plain")
            other = call(site, "anthropic_messages", "chatty/plain", stream=True)
            if when_full == "refuse":
                assert (503, 503, 0) == (answer.status, other.status, len(chatty.requests))
                assert "cannot note" in json.loads(answer.body)["error"]["message"]
                assert "error" == json.loads(other.body)["type"]
                assert answer.headers["retry-after"] == "1"
                assert 503 == _ready(running)
            else:
                assert (200, 200, 200) == (answer.status, other.status, _ready(running))
            assert running.logged("journal_failing")
            (tmp_path / "data" / "journal").unlink()
            again = call(site, "openai_chat", "chatty/plain")

            assert 200 == again.status
            assert PLAIN_NANO_USD == ledger(site, id_of(again))[0]["cost_nano_usd"]
            expected = 0 if when_full == "refuse" else PLAIN_NANO_USD
            assert expected == ledger(site, id_of(answer))[0]["cost_nano_usd"]
            assert running.logged("journal_resumed")
            assert 200 == _ready(running)


def _ready(running: Running) -> int:
    try:
        with urllib.request.urlopen(f"{running.url}/health/ready") as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_fault_31_what_a_killed_gateway_owed_the_ledger_is_there_after_the_next_start(tmp_path: Path) -> None:
    with vendor("openai_chat") as chatty, vendor("anthropic_messages") as messy:
        config = CONFIG.format(chatty=chatty.url, messy=messy.url)
        with gateway(tmp_path, config, {"VENDOR_KEY": KEY}) as running:
            site = Site(running, {"chatty": chatty})
            locked = sqlite3.connect(tmp_path / "data" / DATABASE_FILE, isolation_level=None)
            locked.execute("BEGIN EXCLUSIVE")  # so that nothing is drained before the end
            ids = [id_of(call(site, "openai_chat", "chatty/plain")) for _ in range(3)]
            chatty.hold.set()
            connection = HTTPConnection("127.0.0.1", running.port, timeout=20)
            body = json.dumps({**BODIES["openai_chat"][1], "model": "chatty/plain", "stream": True})
            connection.request(
                "POST", "/v1/chat/completions", body, {"authorization": f"Bearer {running.key}", "x-request-id": "open"}
            )
            response = connection.getresponse()
            response.read(10)
            subprocess.run([sys.executable, "-c", _KILL, str(running.process.pid)], check=True)
            running.process.wait(10)
            locked.close()
            response.close()
            connection.close()
            chatty.clear()
        with gateway(tmp_path, config, {"VENDOR_KEY": KEY}) as running:
            site = Site(running, {"chatty": chatty})
            assert {PLAIN_NANO_USD} == {ledger(site, id_)[0]["cost_nano_usd"] for id_ in ids}
            row, attempts = ledger(site, "open")
            assert ("lost", 1, "lost") == (row["outcome"], row["estimated"], attempts[0]["outcome"])
            assert row["cost_nano_usd"] > 0
            assert 0 == run_cli("audit", root=tmp_path).returncode


_KILL = """
import os, signal, sys
parent = int(sys.argv[1])
children = [int(each) for task in os.listdir(f"/proc/{parent}/task")
            for each in open(f"/proc/{parent}/task/{task}/children").read().split()]
for process in (parent, *children):
    os.kill(process, signal.SIGKILL)
"""


def test_with_a_server_for_a_store_the_books_are_the_same(tmp_path: Path, postgres_server: Postgres) -> None:
    with vendor("openai_chat") as chatty, vendor("anthropic_messages") as messy:
        config = CONFIG.format(chatty=chatty.url, messy=messy.url) + 'store: {url: "${DATABASE_URL}"}\n'
        env = {"VENDOR_KEY": KEY, "DATABASE_URL": postgres_server.url()}
        with gateway(tmp_path, config, env) as running:
            site = Site(running, {"chatty": chatty})
            for stream in (False, True, False):
                assert 200 == call(site, "anthropic_messages", "messy/plain", stream=stream).status
            assert 200 == call(site, "openai_chat", "second").status
        told = run_cli("audit", "--json", root=tmp_path, env=env)

        assert 0 == told.returncode, told.stdout + told.stderr
        found = json.loads(told.stdout)
        assert (4, 5, 4 * PLAIN_NANO_USD) == (found["requests"], found["attempts"], found["cost_nano_usd"])
