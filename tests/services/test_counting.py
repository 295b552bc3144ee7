"""Counting tokens: providers are asked no oftener than needed, and never waited for in vain."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from runtime.errors import PermissionDenied, RateLimited
from runtime.gateway import Call, Count, Gateway
from runtime.protocols import codec
from runtime.protocols.base import Asked
from runtime.services.counting import Counter
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord
from tests.services.desk import CONFIG, KEY, LIMITED_KEY, Desk

SPEAK = codec("anthropic_messages")
WALLED = f"""{CONFIG.replace(", models: [sim/tools]", "")}policies:
  wall: {{keys: [limited], allowed_models: [sim/tools]}}
"""
CHAT = {"messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
UNANSWERED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "anthropic": ("/v1/messages/count_tokens", "/v1/messages", CHAT),
    "gemini": ("/v1beta/models/sim/MODEL:countTokens", "/v1beta/models/sim/MODEL:generateContent", CONTENTS),
    "responses": ("/v1/responses/input_tokens", "/v1/responses", {"input": "hi"}),
    "background": ("/v1/responses", "/v1/responses", {"input": "hi", "background": True}),
}
"""Where a request is counted or put off, where it is answered, and what it says."""


class Provider:
    """Stands for the gateway: answers 7 once ``gate`` is open, and remembers how many asked at the same time."""

    def __init__(self, *, open_: bool = True, estimated: bool = False, error: Exception | None = None) -> None:
        self.gate = asyncio.Event()
        if open_:
            self.gate.set()
        self.estimated = estimated
        self.error = error
        self.asked = 0
        self.inside = 0
        self.most = 0
        self.chosen = 0

    async def count(self, _: Call) -> Count:
        self.asked += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
            return Count(tokens=7, estimated=self.estimated)
        finally:
            self.inside -= 1

    def choose(self, call: Call) -> None:
        self.chosen += 1
        if call.key.models:
            raise PermissionDenied("not this one")

    def estimate(self, _: Call) -> Count:
        return Count(tokens=9, estimated=True)


def request(text: str = "hi", *, model: str = "p/m", beta: str = "", models: tuple[str, ...] = ()) -> Call:
    body = b'{"model":"%s","messages":[{"role":"user","content":"%s"}],"tools":[]}' % (model.encode(), text.encode())
    return Call(
        codec=SPEAK,
        envelope=SPEAK.peek(body, Asked()),
        headers={"anthropic-beta": beta} if beta else {},
        key=KeyRecord(id="k", scopes=frozenset({"chat"}), models=models),
        record=CallRecord(id="r", operation="count_tokens", protocol=SPEAK.protocol, started_s=0.0),
    )


def counter(provider: Provider, **limits: Any) -> Counter:
    return Counter(cast("Gateway", provider), **limits)


async def test_thirty_different_requests_ask_a_bounded_number_at_a_time() -> None:
    provider = Provider()
    counts = counter(provider, at_once=8)

    found = await asyncio.gather(*(counts.count(request(f"number {number}")) for number in range(30)))

    assert [7] * 30 == [count.tokens for count in found]
    assert (30, 8) == (provider.asked, provider.most)


async def test_thirty_equal_requests_ask_once() -> None:
    provider = Provider()
    counts = counter(provider)

    found = await asyncio.gather(*(counts.count(request()) for _ in range(30)))

    assert [7] * 30 == [count.tokens for count in found]
    assert 1 == provider.asked


@pytest.mark.parametrize("other", [request("ho"), request(model="p/n"), request(beta="b-1")])
async def test_whatever_can_change_the_count_makes_another_request(other: Call) -> None:
    provider = Provider()
    counts = counter(provider)

    for call in (request(), other, request(), other):
        await counts.count(call)

    assert 2 == provider.asked


async def test_a_remembered_count_is_not_for_a_key_that_may_not_use_the_model() -> None:
    counts = counter(Provider())
    await counts.count(request())

    with pytest.raises(PermissionDenied):
        await counts.count(request(models=("p/other",)))


async def test_only_so_many_counts_are_remembered_the_oldest_goes_first() -> None:
    provider = Provider()
    counts = counter(provider, kept=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await counts.count(request(text))

    assert 4 == provider.asked


async def test_an_estimate_is_not_remembered() -> None:
    provider = Provider(estimated=True)
    counts = counter(provider)

    assert [True, True] == [(await counts.count(request())).estimated for _ in range(2)]
    assert 2 == provider.asked


async def test_a_provider_that_is_slow_is_not_waited_for() -> None:
    provider = Provider(open_=False)
    counts = counter(provider, at_once=2, limit_s=0.01)

    found = await asyncio.gather(*(counts.count(request(str(number))) for number in range(5)))

    assert [Count(tokens=9, estimated=True)] * 5 == found
    assert 0 == provider.inside


async def test_a_client_that_leaves_does_not_take_the_count_from_the_others() -> None:
    provider = Provider(open_=False)
    counts = counter(provider)
    first, second = (asyncio.create_task(counts.count(request())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    provider.gate.set()

    assert 7 == (await second).tokens
    assert 2 == provider.asked


async def test_a_request_that_cannot_be_counted_says_so_every_time() -> None:
    counts = counter(Provider(error=RateLimited("slow down")))

    for _ in range(2):
        with pytest.raises(RateLimited):
            await counts.count(request())


async def test_nothing_is_kept_of_requests_that_are_over() -> None:
    counts = counter(Provider())
    await asyncio.gather(*(counts.count(request(str(number % 3))) for number in range(9)))

    assert {} == counts._turns


async def test_an_estimate_after_a_wait_is_not_for_a_key_that_may_not_use_the_model() -> None:
    counts = counter(Provider(open_=False), limit_s=0.01)

    with pytest.raises(PermissionDenied):
        await counts.count(request(models=("p/other",)))


@pytest.mark.parametrize("dialect", UNANSWERED)
async def test_what_a_policy_forbids_is_refused_where_it_is_not_answered_at_once(tmp_path: Path, dialect: str) -> None:
    """In the words in which an answer is refused, to nobody but those the policy is for."""
    desk = Desk(tmp_path, WALLED)
    here, answered, said = UNANSWERED[dialect]

    async def told(path: str, model: str, key: str = LIMITED_KEY) -> tuple[int | None, Any]:
        named = said if "MODEL" in path else {"model": f"sim/{model}", "max_tokens": 20, **said}
        answer = await desk.call("POST", path.replace("MODEL", model), named, key=key)
        return answer.status, json.loads(answer.body).get("error")

    refused = await told(here, "echo")
    assert (403, True) == (refused[0], "the policy 'wall' does not allow" in refused[1]["message"])
    assert refused == await told(answered, "echo")
    if dialect != "background":  # what is put off would outlive the test
        assert (200, None) == await told(here, "tools")
        assert (200, None) == await told(here, "echo", KEY)
