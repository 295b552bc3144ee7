"""What clients see of limits, in every dialect: headers, refusals, streams that are stopped."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.limited import DIALECTS, KEYS, ask, chat, chat_with, limited, made
from tests.support.gateway import Running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with limited(tmp_path_factory.mktemp("limits")) as running:
        yield running


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_how_limits_stand_and_refuses_in_its_own_words(served: Running, dialect: str) -> None:
    path, body = DIALECTS[dialect]
    _, key = made(served, maxRequestsPerDay=1, limits=[{"requests": 1, "per": "1h"}])
    first = ask(served, "POST", path, body, key)
    assert first.status == 200, first.text
    second = ask(served, "POST", path, body, key)
    assert second.status == 429, second.text
    assert "1 request per" in second.text
    assert "for this key is reached" in second.text
    assert 1 <= int(second.headers["retry-after"])
    for answer, left in ((first, "0"), (second, "0")):
        if dialect == "messages":
            assert ("1", left) == (
                answer.headers["anthropic-ratelimit-requests-limit"],
                answer.headers["anthropic-ratelimit-requests-remaining"],
            )
            assert answer.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
        else:
            assert ("1", left) == (
                answer.headers["x-ratelimit-limit-requests"],
                answer.headers["x-ratelimit-remaining-requests"],
            )
            assert answer.headers["x-ratelimit-reset-requests"]
    shapes = {
        "chat": lambda: second.body["error"]["code"] == "rate_limit_exceeded",
        "messages": lambda: second.body["error"]["type"] == "rate_limit_error",
        "responses": lambda: second.body["error"]["code"] == "rate_limit_exceeded",
        "completions": lambda: second.body["error"]["code"] == "rate_limit_exceeded",
        "gemini": lambda: second.body["error"]["status"] == "RESOURCE_EXHAUSTED",
        "ollama": lambda: isinstance(second.body["error"], str),
    }
    assert shapes[dialect](), second.text


def test_what_is_left_goes_down_and_the_error_says_which_limit_of_whom(served: Running) -> None:
    found = [chat(served, "minute") for _ in range(3)]
    assert [200, 200, 429] == [each.status for each in found]
    assert ["1", "0", "0"] == [each.headers["x-ratelimit-remaining-requests"] for each in found]
    assert "100000" == found[0].headers["x-ratelimit-limit-tokens"]
    left = [int(each.headers["x-ratelimit-remaining-tokens"]) for each in found[:2]]
    assert 100_000 > left[0] > 99_800
    assert "the limit of 2 requests per hour for this key is reached" in found[2].body["error"]["message"]
    assert 3500 < int(found[2].headers["retry-after"]) <= 3660


def test_a_tenants_limit_is_for_all_of_its_keys_and_nobody_elses(served: Running) -> None:
    found = [chat(served, key).status for key in ("acme", "anna", "acme", "anna")]
    assert [200, 200, 200, 429] == found
    refused = chat(served, "acme")
    assert "3 requests per hour for all keys of Acme Ltd" in refused.body["error"]["message"]
    assert 200 == chat(served, "free").status


def test_a_combos_limit_is_for_everybody_who_asks_for_it(served: Running) -> None:
    assert 200 == chat(served, "free", "smart").status
    refused = chat(served, "root", "smart")
    assert (429, True) == (refused.status, "all calls for 'smart'" in refused.body["error"]["message"])
    assert 200 == chat(served, "free", "sim/echo").status


def test_policies_bar_models_and_limit_those_that_fit(served: Running) -> None:
    barred = chat(served, "walled")
    assert (403, True) == (barred.status, "the policy 'wall' does not allow" in barred.body["error"]["message"])
    assert 200 == chat(served, "walled", "sim/tools").status

    assert [200, 429] == [chat(served, "parallel").status for _ in range(2)]
    assert 200 == chat(served, "parallel", "sim/tools").status


def test_a_call_that_could_take_more_than_is_left_is_refused_and_a_smaller_one_fits(served: Running) -> None:
    refused = chat(served, "tokens", max_tokens=400)
    assert 429 == refused.status
    assert "400 tokens of it is left; fewer output tokens may fit" in refused.body["error"]["message"]
    answer = chat(served, "tokens", max_tokens=100)
    assert 200 == answer.status
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 400

    used = answer.body["usage"]["total_tokens"]
    after = chat(served, "tokens", max_tokens=10)
    assert 400 - used - 100 < int(after.headers["x-ratelimit-remaining-tokens"]) <= 400 - used - 10, (
        "what was kept aside and not used is there again"
    )


def test_money_that_is_spent_is_refused_as_such(served: Running) -> None:
    answers = [chat(served, "poor", max_tokens=2) for _ in range(3)]
    refused = next(each for each in answers if each.status == 429)
    assert "insufficient_quota" == refused.body["error"]["code"]
    assert "$0.01 per month" in refused.body["error"]["message"]


def test_a_model_without_a_price_is_refused_under_a_limit_in_dollars(served: Running) -> None:
    refused = chat(served, "poor", "blank/free")
    assert (403, True) == (refused.status, "no price of 'blank/free' is known" in refused.body["error"]["message"])


def test_calls_at_the_same_time_are_limited_while_they_run(served: Running) -> None:
    at = urlsplit(served.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    body = {"model": "sim/slow", "stream": True, "messages": [{"role": "user", "content": "w " * 200}]}
    headers = {"authorization": f"Bearer {KEYS['one']}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    reply = connection.getresponse()
    reply.read(10)
    refused = chat(served, "one")
    assert (429, True) == (refused.status, "1 call at the same time" in refused.body["error"]["message"])

    connection.close()
    deadline = time.monotonic() + 60
    while chat(served, "one").status != 200:
        assert time.monotonic() < deadline, "a client that leaves gives its place back"
        time.sleep(0.05)


LONG = "word " * 900
STREAMS = {
    "chat": (
        "/v1/chat/completions",
        {"model": "sim/thinking", "stream": True, "messages": [{"role": "user", "content": LONG}]},
        "[DONE]",
    ),
    "responses": (
        "/v1/responses",
        {"model": "sim/thinking", "stream": True, "store": False, "input": LONG},
        "response.completed",
    ),
    "ollama": (
        "/api/chat",
        {"model": "sim/thinking", "stream": True, "messages": [{"role": "user", "content": LONG}]},
        '"done":true',
    ),
}


@pytest.mark.parametrize("dialect", STREAMS)
def test_fault_36_a_stream_that_takes_more_than_its_limits_allow_is_stopped_with_an_error(
    served: Running, dialect: str
) -> None:
    """The model says more than it is known to say at most; more is kept aside again and again, until nothing is left."""
    _, key = made(served, limits=[{"tokens": 2000, "per": "1h"}])
    path, body, terminator = STREAMS[dialect]
    answer = ask(served, "POST", path, body, key)
    assert answer.status == 200, answer.text
    assert "the answer was stopped: the limit of 2000 tokens per hour for this key is reached" in answer.text
    assert answer.text.count("word") > 100
    assert terminator not in answer.text

    again = ask(served, "POST", path, body, key)
    assert 429 == again.status, "what came was counted"


def test_each_prompt_of_a_completion_is_a_call_and_they_are_settled_as_one(served: Running) -> None:
    _, key = made(served, limits=[{"requests": 4, "per": "1h"}, {"tokens": 1000, "per": "1h"}, {"concurrency": 4}])
    body = {"model": "sim/echo", "prompt": ["one", "two", "three"], "max_tokens": 10}
    first = ask(served, "POST", "/v1/completions", body, key)
    assert (200, 3) == (first.status, len(first.body["choices"]))
    refused = ask(served, "POST", "/v1/completions", body, key)
    assert (429, True) == (refused.status, "4 requests per hour" in refused.text)

    id_, key = made(served, limits=[{"tokens": 1000, "per": "1h"}, {"concurrency": 4}])
    used = 0
    for stream in (False, True, False):
        answer = ask(served, "POST", "/v1/completions", body | {"stream": stream}, key)
        assert 200 == answer.status, answer.text
        used += 0 if stream else answer.body["usage"]["total_tokens"]
    left = int(chat_with(served, key, max_tokens=1).headers["x-ratelimit-remaining-tokens"])
    assert 1000 - 2 * used < left < 1000 - used
    assert id_


def test_a_response_in_the_background_fails_by_its_limit_and_gives_its_place_back(served: Running) -> None:
    _, key = made(served, limits=[{"requests": 2, "per": "1h"}, {"concurrency": 1}])
    body = {"model": "sim/echo", "input": "hi", "background": True}

    def ended() -> Any:
        id_ = ask(served, "POST", "/v1/responses", body, key).body["id"]
        deadline = time.monotonic() + 60
        while (found := ask(served, "GET", f"/v1/responses/{id_}", key=key).body)["status"] in {
            "queued",
            "in_progress",
        }:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found

    assert ["completed", "completed"] == [ended()["status"] for _ in range(2)]
    refused = ended()
    assert ("failed", "rate_limit_exceeded") == (refused["status"], refused["error"]["code"])
    assert "2 requests per hour" in refused["error"]["message"]


def test_what_an_idempotency_key_answers_is_not_counted_again(served: Running) -> None:
    _, key = made(served, limits=[{"requests": 1, "per": "1h"}])
    path, body = DIALECTS["chat"]
    answers = [ask(served, "POST", path, body, key, {"idempotency-key": "once"}) for _ in range(3)]
    assert [200, 200, 200] == [each.status for each in answers]
    assert 429 == ask(served, "POST", path, body, key).status


def test_vectors_are_limited_like_everything_else(served: Running) -> None:
    _, key = made(served, limits=[{"requests": 1, "per": "1h"}])
    body = {"model": "blank/vectors", "input": "hi"}
    first, second = (ask(served, "POST", "/v1/embeddings", body, key) for _ in range(2))
    assert 500 <= first.status, "nobody is there"
    assert (429, "0") == (second.status, second.headers["x-ratelimit-remaining-requests"])


def test_vectors_need_room_for_their_texts_and_not_for_what_is_written_around_them(served: Running) -> None:
    _, key = made(served, limits=[{"tokens": 400, "per": "1h"}])
    each = {"model": "models/blank/vectors", "content": {"parts": [{"text": "hi"}]}, "taskType": "RETRIEVAL_DOCUMENT"}
    path = "/v1beta/models/blank/vectors:batchEmbedContents"
    short = ask(served, "POST", path, {"requests": [each] * 100}, key)
    long = ask(served, "POST", "/v1/embeddings", {"model": "blank/vectors", "input": "hi" * 500}, key)
    escaped = ask(served, "POST", "/v1/embeddings", {"model": "blank/vectors", "input": "\u4f60" * 200}, key)
    tokens = ask(served, "POST", "/v1/embeddings", {"model": "blank/vectors", "input": [1] * 500}, key)

    assert [True, False, True, False] == [each.status >= 500 for each in (short, long, escaped, tokens)], (
        "nobody is there"
    )
    assert [429, 429] == [long.status, tokens.status]


def test_counting_tokens_is_not_counted(served: Running) -> None:
    _, key = made(served, limits=[{"requests": 1, "per": "1h"}])
    body = {"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}]}
    assert {200} == {ask(served, "POST", "/v1/messages/count_tokens", body, key).status for _ in range(3)}
    assert 200 == ask(served, "POST", "/v1/messages", body | {"max_tokens": 5}, key).status


def test_metrics_and_explanations_tell_of_limits(served: Running) -> None:
    _, key = made(served, maxRequestsPerMinute=1)
    body = DIALECTS["chat"][1]
    first = ask(served, "POST", "/v1/chat/completions", body, key)
    second = ask(served, "POST", "/v1/chat/completions", body, key)
    metrics = ask(served, "GET", "/metrics").text
    assert 'gatewright_limits_reached_total{limit="requests",of="key"}' in metrics
    for answer, said in ((first, "kept aside: 1 of 1 request per minute"), (second, "not enough is left")):
        told = ask(served, "GET", f"/api/explain/{answer.headers['x-gatewright-decision']}")
        assert said in told.text, told.text


def test_what_was_let_in_is_a_request_though_it_failed_and_what_was_refused_is_none(served: Running) -> None:
    for _ in range(3):
        assert 429 == chat(served, "unlucky", max_tokens=4000).status, "more than all of the tokens"
    for _ in range(2):
        failed = chat(served, "unlucky", "sim/error", messages=[{"role": "user", "content": "error 502"}])
        assert 500 <= failed.status < 600
    refused = chat(served, "unlucky")
    assert (429, True) == (refused.status, "2 requests" in refused.text)
