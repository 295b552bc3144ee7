"""Prices in gateway.yaml win over the catalogue's, one by one, and are what calls are settled at."""

from __future__ import annotations

import pytest

from generated import catalog
from runtime.accounting.price import price, price_version
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source


def planned(prices: str) -> Prices:
    text = f"""version: 1
discovery: {{providers: none}}
providers:
  anthropic:
    connections: [{{id: main, key: "${{KEY}}"}}]
    models:
      claude-opus-5-5: {{{prices}}}
"""
    found = compile_plan([Source(MAIN, text.encode())], Catalog.of([catalog.load("anthropic")]))
    assert found.plan is not None, found.diagnostics
    known = found.plan.models["anthropic/claude-opus-5-5"].facts.prices
    assert known is not None
    return known


USED = Usage(input=1_000_000, output=1_000_000, cache_read=1_000_000, cache_write_5m=1_000_000)


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("", {}),
        ("prices: {input: 3.20}", {"input": 3_200_000_000}),
        ("prices: {cache_read: 0.05, reasoning: 30}", {"cache_read": 50_000_000, "reasoning": 30_000_000_000}),
        ("prices: {input: 0, output: 0, cache_read: 0, cache_write_5m: 0}", dict.fromkeys(("input", "output", "cache_read", "cache_write_5m"), 0)),
    ],
)  # fmt: skip
def test_what_is_written_replaces_what_the_catalogue_says_and_nothing_else(
    written: str, changed: dict[str, int]
) -> None:
    before, now = planned(""), planned(written)

    assert {name: getattr(now, name) for name in NUMBERS} == {
        **{name: getattr(before, name) for name in NUMBERS},
        **changed,
    }
    assert (price_version(before) == price_version(now)) == (not changed)
    expected = sum(
        changed.get(name, getattr(before, name)) for name in ("input", "output", "cache_read", "cache_write_5m")
    )
    assert expected == price(USED, now).nano_usd


NUMBERS = tuple(name for name in Prices.__struct_fields__ if name not in {"source", "date"})


def test_the_catalogue_s_prices_are_in_nano_dollars_per_million() -> None:
    """Opus 5.5: 4 dollars for a million tokens sent, 20 for a million answered, 0.20 from the cache, 5 into it."""
    known = planned("")

    assert (4_000_000_000, 20_000_000_000, 200_000_000, 5_000_000_000) == (
        known.input,
        known.output,
        known.cache_read,
        known.cache_write_5m,
    )
    assert 29_200_000_000 == price(USED, known).nano_usd
