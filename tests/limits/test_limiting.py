"""What a request says that makes it dearer is kept aside for, in whatever dialect it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generated.config import LimitSettings, RequestSettings
from runtime.call import Call
from runtime.catalog import Endpoint
from runtime.estimate import Estimator
from runtime.limiting import Limiting
from runtime.limits.admission import Admission
from runtime.limits.memory import MemoryCounters
from runtime.limits.reserves import Reserves
from runtime.limits.rules import Rulings
from runtime.protocols import codec
from runtime.routing import RouteTable
from runtime.shaping import Shaping
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord
from runtime.window import Limit
from tests.limits.reserving import Ledger
from tests.support.counters import Clock
from tests.support.dialect import DIALECT
from tests.support.pipeline import compiled

LENGTH = 4000
PRICES = "{input: 1, output: 0, priority_input: 5, flex_input: 0, fast_input: 7, cache_write_5m: 10, cache_write_1h: 100, source: test, date: '2026-11-01'}"
PROVIDERS = f"""
providers:
  asked: {{base_url: 'http://127.0.0.1:9', local: true, auth: {{scheme: none}}, surfaces: {{anthropic_messages: {{}}}},
    models: {{m: {{prices: {PRICES}}}}}}}
  unasked: {{base_url: 'http://127.0.0.1:9', local: true, auth: {{scheme: none}}, surfaces: {{openai_chat: {{}}}},
    quirks: {{cache_marks: prompt_cache_breakpoint}}, models: {{m: {{prices: {PRICES}}}}}}}
"""
KEY = KeyRecord(id="k", scopes=frozenset({"chat"}), limits=(Limit(of="usd", amount=10**12, calendar="month"),))


def part(**more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "word " * LENGTH, **more}]}]


async def kept_usd(client: str, model: str, messages: list[dict[str, Any]], **more: Any) -> int:
    """What is kept aside, in nano-dollars for each token that the text has at least."""
    plan, clock = compiled(PROVIDERS), Clock(1_700_000_000_000)
    reserves = Reserves(MemoryCounters(clock), Ledger(), "w", clock)
    limiting = Limiting(
        Admission(Rulings(plan), LimitSettings(), reserves, clock), Estimator(), Shaping(RequestSettings())
    )
    speak, asked = codec(client), DIALECT[client].asked(model, stream=False)
    body = {"model": model, "max_tokens": 1, "messages": messages, **more}
    record = CallRecord(id="r", operation="chat", protocol=client, started_s=0.0, model=model)
    call = Call(codec=speak, envelope=speak.peek(json.dumps(body).encode(), asked), headers={}, key=KEY, record=record)
    held = await limiting.chat(
        call, RouteTable(plan, dict.fromkeys(plan.connections)).prepared(model, client, Endpoint.CHAT)
    )
    assert held is not None
    return held.wants[0].amount // LENGTH


@pytest.mark.parametrize(
    ("client", "mark"),
    [
        ("anthropic_messages", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ("openai_chat", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        ("openai_chat", {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}),
    ],
)
async def test_a_prompt_that_is_to_be_cached_is_kept_aside_for_at_that_price(client: str, mark: dict[str, Any]) -> None:
    """However its client spells that: it is sent on in the target's own words."""
    assert 100_000 <= await kept_usd(client, "asked/m", part(**mark))
    assert 1000 <= await kept_usd(client, "asked/m", part()) < 10_000, "where nobody asks, nothing is written"


async def test_a_provider_that_caches_unasked_may_always_want_the_price_of_that() -> None:
    assert 10_000 <= await kept_usd("openai_chat", "unasked/m", part())
    assert 10_000 <= await kept_usd("anthropic_messages", "unasked/m", part())


@pytest.mark.parametrize(
    ("tier", "dearer"),
    [("priority", True), ("fast", True), ("auto", True), ("default", False), ("flex", False), (None, False)],
)
async def test_a_tier_that_may_cost_more_is_kept_aside_for(tier: str | None, dearer: bool) -> None:
    more = {} if tier is None else {"service_tier": tier}

    assert (5000 <= await kept_usd("openai_chat", "asked/m", part(), **more)) == dearer


@pytest.mark.parametrize(
    ("more", "dearer"),
    [({"speed": "fast"}, True), ({"fallbacks": [{"model": "n", "speed": "fast"}]}, True)]
    + [(each, False) for each in ({"speed": "standard"}, {"speed": None}, {"service_tier": "auto"})],
)
async def test_a_speed_that_costs_more_is_kept_aside_for(more: dict[str, Any], dearer: bool) -> None:
    assert (7000 <= await kept_usd("anthropic_messages", "asked/m", part(), **more)) == dearer
