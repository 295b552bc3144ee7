"""Answers that are given again, over real sockets, two workers and the vendors' own SDKs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest

from tests.support.asking import being_answered
from tests.support.gateway import Running, gateway
from tests.support.vendor import KEY, Vendor, vendor

CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: 2}}
providers:
  chatty:
    base_url: {chatty}/v1
    surfaces: {{openai_chat: {{}}}}
    open_models: true
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
  messy:
    base_url: {messy}
    surfaces: {{anthropic_messages: {{}}}}
    auth: {{header: x-api-key, prefix: ""}}
    open_models: true
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
  sim: {{}}
cache:
  exact: {{models: ["chatty/*", "messy/*"], temperature: any}}
idempotency: {{window: 30s}}
retries: {{per_target: 0}}
cooldowns: {{max: 0s}}
breakers: {{mode: ignore}}
logging: {{format: json}}
"""


class Place:
    def __init__(self, running: Running, vendors: dict[str, Vendor]) -> None:
        self.running = running
        self.vendors = vendors

    def ask(
        self, body: dict[str, Any], headers: dict[str, str] | None = None, path: str = "/v1/chat/completions"
    ) -> tuple[int, dict[str, str], bytes]:
        """Over a connection of its own, so that either worker may get it."""
        connection = http.client.HTTPConnection(urlsplit(self.running.url).netloc, timeout=60)
        with contextlib.closing(connection):
            own = {"authorization": f"Bearer {self.running.key}", "content-type": "application/json"}
            connection.request("POST", path, json.dumps(body), own | (headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()

    def usage(self, path: str) -> dict[str, Any]:
        """What the ledger says."""
        connection = http.client.HTTPConnection(urlsplit(self.running.url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/usage/{path}", headers={"authorization": f"Bearer {self.running.key}"})
            found: dict[str, Any] = json.load(connection.getresponse())
            return found

    def sessions(self) -> list[dict[str, Any]]:
        """Those that are going on."""
        connection = http.client.HTTPConnection(urlsplit(self.running.url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", "/api/sessions", headers={"authorization": f"Bearer {self.running.key}"})
            found: list[dict[str, Any]] = json.load(connection.getresponse())["sessions"]
            return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with vendor("openai_chat") as chatty, vendor("anthropic_messages") as messy:
        config = CONFIG.format(chatty=chatty.url, messy=messy.url)
        with gateway(tmp_path_factory.mktemp("replay"), config, {"VENDOR_KEY": KEY}) as running:
            yield Place(running, {"chatty": chatty, "messy": messy})


@pytest.fixture
def place(served: Place) -> Place:
    for each in served.vendors.values():
        each.clear()
    return served


def said(text: str, model: str = "chatty/plain", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("upstream", ["chatty", "messy"])
def test_a_hit_is_a_whole_answer_to_openais_sdk(place: Place, upstream: str) -> None:
    with openai.OpenAI(base_url=f"{place.running.url}/v1", api_key=place.running.key, max_retries=0) as client:
        texts, states, ids = [], [], set()
        for _ in range(3):
            with client.chat.completions.with_streaming_response.create(
                **said(f"sdk {upstream}", f"{upstream}/plain"), stream=True
            ) as raw:  # type: ignore[call-overload]
                states.append(raw.headers["x-omniroute-cache"])
                chunks = list(raw.parse())
            texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
            ids |= {chunk.id for chunk in chunks}
            assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        whole = [client.chat.completions.create(**said("sdk", f"{upstream}/plain")) for _ in range(2)]

    assert ["MISS", "HIT", "HIT"] == states
    assert 1 == len(set(texts)) == len(ids)
    assert "Paris" in texts[0]
    assert whole[0] == whole[1]
    assert 2 == len(place.vendors[upstream].requests)


@pytest.mark.parametrize("upstream", ["chatty", "messy"])
def test_a_hit_is_a_whole_answer_to_anthropics_sdk(place: Place, upstream: str) -> None:
    with anthropic.Anthropic(base_url=place.running.url, api_key=place.running.key, max_retries=0) as client:
        finals = []
        for _ in range(2):
            with client.messages.stream(
                model=f"{upstream}/plain",
                max_tokens=50,
                messages=[{"role": "user", "content": "an sdk"}],
            ) as stream:
                assert "Paris" in "".join(stream.text_stream)
                finals.append((stream.response.headers["x-omniroute-cache"], stream.get_final_message()))

    assert ["MISS", "HIT"] == [state for state, _ in finals]
    assert finals[0][1] == finals[1][1]
    assert 1 == len(place.vendors[upstream].requests)


def test_every_dialect_gets_its_own_answers_again(place: Place) -> None:
    asked = {
        "/v1/responses": {"model": "chatty/plain", "input": "every", "store": False},
        "/v1/completions": {"model": "chatty/plain", "prompt": "every"},
        "/v1/messages": said("every", max_tokens=50),
        "/v1beta/models/chatty/plain:generateContent": {
            "contents": [{"role": "user", "parts": [{"text": "every"}]}],
        },
        "/v1beta/models/chatty/plain:streamGenerateContent": {
            "contents": [{"role": "user", "parts": [{"text": "every"}]}],
        },
        "/api/chat": said("every"),
        "/api/generate": {"model": "chatty/plain", "prompt": "every"},
    }
    for path, body in asked.items():
        first, second = (place.ask(body, path=path) for _ in range(2))
        assert (200, "MISS") == (first[0], first[1].get("x-omniroute-cache")), (path, first)
        assert (200, "HIT") == (second[0], second[1].get("x-omniroute-cache")), path
        assert first[2] == second[2], path
        assert first[1]["content-type"] == second[1]["content-type"]
    assert len(asked) == len(place.vendors["chatty"].requests)


def test_a_hit_names_the_session_of_who_asks_and_binds_it_to_nobody(place: Place) -> None:
    body = said("whose", "chatty/plain")
    found = [place.ask(body, {"x-session-id": name}) for name in ("first", "first", "other")]
    silent = place.ask(body)
    long = place.ask(body, {"x-session-id": "s" * 300})
    listed = place.sessions()

    assert ["MISS", "HIT", "HIT", "HIT"] == [each[1]["x-omniroute-cache"] for each in (*found, silent)]
    assert ["first", "first", "other"] == [each[1]["x-omniroute-session-id"] for each in found]
    assert "x-omniroute-session-id" not in silent[1]
    assert 400 == long[0]
    assert 1 == len(place.vendors["chatty"].requests)
    assert 1 == len(listed), "an answer from the cache opens no session"
    assert 1 == listed[0]["request_count"]


def test_a_stream_that_was_cut_is_asked_for_again(place: Place) -> None:
    for _ in range(2):
        _, headers, _ = place.ask(said("cut", "chatty/cut", stream=True))
        assert "HIT" != headers.get("x-omniroute-cache")
    assert 2 == len(place.vendors["chatty"].requests)


@pytest.mark.parametrize("stream", [False, True])
def test_duplicates_at_once_and_later_are_one_request_in_both_workers(place: Place, stream: bool) -> None:
    body = said("together", "sim/slow", stream=stream)
    key = {"idempotency-key": f"together-{stream}"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: place.ask(body, key), range(8)))
    found += [place.ask(body, key) for _ in range(8)]

    assert {200} == {status for status, _, _ in found}
    assert 1 == len({data for _, _, data in found})
    assert 1 == sum("x-omniroute-idempotent" not in headers for _, headers, _ in found)


def test_a_first_client_that_leaves_takes_nothing_from_the_second(place: Place) -> None:
    text = "leaving every 200ms " + "w " * 40
    body, key = said(text, "sim/slow", stream=True), {"idempotency-key": "leaving"}
    first = http.client.HTTPConnection(urlsplit(place.running.url).netloc, timeout=60)
    own = {"authorization": f"Bearer {place.running.key}", "content-type": "application/json"}
    first.request("POST", "/v1/chat/completions", json.dumps(body), own | key)
    first.getresponse().read(10)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        second = pool.submit(place.ask, body, key)
        being_answered(place.running, 2, place.running.key)
        time.sleep(0.5)  # whichever worker has it, it has seen that the key is taken
        first.close()
        status, headers, data = second.result()
    assert (200, "true") == (status, headers["x-omniroute-idempotent"])
    assert data.endswith(b"data: [DONE]\n\n")
    assert b'"error"' not in data


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/chat/completions", {"error": {"code": "conflict"}}),
        ("/v1/messages", {"type": "error", "error": {"type": "conflict_error"}}),
    ],
)
def test_a_key_that_asked_otherwise_is_refused_in_the_clients_dialect(
    place: Place, path: str, told: dict[str, Any]
) -> None:
    key = {"idempotency-key": f"reused-{path}"}
    assert 200 == place.ask(said("one", max_tokens=9), key, path)[0]
    status, headers, data = place.ask(said("other", max_tokens=9), key, path)
    answer = json.loads(data)
    assert 409 == status
    assert "false" == headers.get("x-should-retry", "false")
    for name, value in told.items():
        assert value.items() <= answer[name].items() if isinstance(value, dict) else value == answer[name]


@pytest.mark.parametrize("background", [False, True])
def test_a_response_is_made_and_kept_once_in_the_background_too(place: Place, background: bool) -> None:
    body = {"model": "sim/echo", "input": "hi", "background": background}
    key = {"idempotency-key": f"once-{background}"}
    made = [place.ask(body, key, "/v1/responses") for _ in range(6)]
    assert [200] * 6 == [status for status, _, _ in made]
    assert 1 == len({data for _, _, data in made})
    assert [None, *["true"] * 5] == [headers.get("x-omniroute-idempotent") for _, headers, _ in made]


def test_progress_is_an_event_that_anthropics_sdk_passes_over(place: Place) -> None:
    with anthropic.Anthropic(
        base_url=place.running.url, api_key=place.running.key, default_headers={"x-omniroute-progress": "true"}
    ) as client, client.messages.stream(
        model="sim/echo", max_tokens=50, messages=[{"role": "user", "content": "Paris"}]
    ) as stream:  # fmt: skip
        assert "enabled" == stream.response.headers["x-omniroute-progress"]
        assert "Paris" in stream.get_final_text()


def test_progress_is_a_comment_that_openais_sdk_passes_over(place: Place) -> None:
    with openai.OpenAI(
        base_url=f"{place.running.url}/v1",
        api_key=place.running.key,
        default_headers={"x-omniroute-progress": "comment"},
    ) as client:
        chunks = list(client.chat.completions.create(**said("Paris", "sim/echo"), stream=True))
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_progress_stands_before_the_end_and_lines_of_json_have_none(place: Place) -> None:
    asks = {"x-omniroute-progress": "true"}
    _, headers, data = place.ask(said("hi", "sim/echo", stream=True), asks)
    assert "enabled" == headers["x-omniroute-progress"]
    assert data.startswith(b"event: progress\n")
    assert data.endswith(b"data: [DONE]\n\n")
    last = data.split(b"\n\n")[-3]
    assert json.loads(last.partition(b"data: ")[2])["done"] is True
    for path, body in (("/api/chat", said("hi", "sim/echo")), ("/v1/chat/completions", said("hi", "sim/echo"))):
        _, headers, data = place.ask(body, asks, path)
        assert "x-omniroute-progress" not in headers
        assert b"progress" not in data


def test_the_log_says_where_an_answer_came_from(place: Place) -> None:
    body = said("logged")
    for headers in ({}, {}, {"idempotency-key": "logged"}, {"idempotency-key": "logged"}):
        place.ask(body, headers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        kinds = {json.loads(line).get("replay") for line in place.running.log.splitlines() if '"replay"' in line}
        if {"miss", "exact", "idempotent"} <= kinds:
            break
        time.sleep(0.05)
    assert {"miss", "exact", "idempotent"} <= kinds


def test_what_is_given_again_says_who_made_it_and_costs_nothing(place: Place) -> None:
    """In the log of calls and in the sums of the ledger: from the cache, by a key that repeats and by one that joins a stream."""
    keyed = {"idempotency-key": "made", "cache-control": "no-cache"}
    asked: list[tuple[dict[str, Any], dict[str, str]]] = [
        (said("who made it"), {}),
        (said("who made it, keyed"), keyed),
        (said("who made it, streamed", stream=True), {**keyed, "idempotency-key": "made as a stream"}),
    ]
    ids = {place.ask(*each)[1]["x-request-id"] for each in asked for _ in range(2)}
    assert 6 == len(ids)

    deadline_s, logs = time.monotonic() + 30, list[dict[str, Any]]()
    while len(logs) < 6:
        assert time.monotonic() < deadline_s, logs
        time.sleep(0.1)
        logs = [each for each in place.usage("call-logs?limit=50")["logs"] if each["requestId"] in ids]
    assert {"chatty/plain"} == {each["model"] for each in logs}
    assert {("chatty", "chatty/main")} == {(each["provider"], each["account"]) for each in logs}
    again = [each for each in logs if each["cacheSource"] != "upstream"]
    assert ["exact", "idempotent", "idempotent"] == sorted(each["cacheSource"] for each in again)
    assert [(0, 0, 0)] * 3 == [(each["cost"], each["tokens"]["in"], each["tokens"]["out"]) for each in again]
    assert 0 < min(each["tokens"]["in"] for each in logs if each not in again)
    assert "attempts" not in place.usage(f"call-logs/{again[0]['id']}")
