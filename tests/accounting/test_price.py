"""What usage costs, against exact rational arithmetic."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.accounting.price import Cost, price, price_version, usd
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.source.unit import read

PLAIN = Prices(source="s", date="2026-01-01", input=3_000_000_000, output=15_000_000_000)
"""3 and 15 dollars per million."""

NANO = st.integers(0, 10**13)
OWN = st.none() | NANO
TOKENS = st.integers(0, 10**9)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    input_, output = draw(TOKENS), draw(TOKENS)
    audio_out = draw(st.integers(0, output))
    return Usage(
        input=input_,
        output=output,
        cache_read=draw(TOKENS),
        cache_write_5m=draw(TOKENS),
        cache_write_1h=draw(TOKENS),
        reasoning=draw(st.integers(0, output - audio_out)),
        audio_input=draw(st.integers(0, input_)),
        audio_output=audio_out,
        search_requests=draw(st.integers(0, 1000)),
    )


PRICES = st.builds(
    Prices,
    source=st.just("s"),
    date=st.just("2026-01-01"),
    input=NANO,
    output=NANO,
    **dict.fromkeys(
        ("cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_input", "audio_output", "image",
         "request", "search"), OWN),
)  # fmt: skip


@given(usage=usages(), prices=PRICES, requests=st.integers(0, 3), images=st.integers(0, 9))
def test_a_cost_is_the_exact_sum_rounded_once(usage: Usage, prices: Prices, requests: int, images: int) -> None:
    def own(name: str, other: int) -> int:
        value: int | None = getattr(prices, name)
        return other if value is None else value

    parts = [
        (usage.input - usage.audio_input, prices.input),
        (usage.audio_input, own("audio_input", prices.input)),
        (usage.cache_read, own("cache_read", prices.input)),
        (usage.cache_write_5m, own("cache_write_5m", prices.input)),
        (usage.cache_write_1h, own("cache_write_1h", prices.input)),
        (usage.output - usage.audio_output - usage.reasoning, prices.output),
        (usage.audio_output, own("audio_output", prices.output)),
        (usage.reasoning, own("reasoning", prices.output)),
    ]
    calls = [(requests, own("request", 0)), (usage.search_requests, own("search", 0)), (images, own("image", 0))]
    exact = sum((Fraction(count * each, 10**6) for count, each in parts), Fraction())
    exact += sum((Fraction(count * each, 10**3) for count, each in calls), Fraction())
    lacking = (usage.search_requests > 0 and prices.search is None) or (images > 0 and prices.image is None)

    assert Cost(round(exact), lacking) == price(usage, prices, requests=requests, images=images)


LONG = msgspec.structs.replace(
    PLAIN,
    cache_read=300_000_000,
    reasoning=30_000_000_000,
    long_above=1000,
    long_input=6_000_000_000,
    long_output=22_500_000_000,
)
"""Twice the input, one and a half times the output."""


@pytest.mark.parametrize(
    ("usage", "requests", "usd_each"),
    [
        (Usage(input=1000, output=10), 1, {"input": 3, "output": 15}),
        (Usage(input=1001, output=10), 1, {"input": 6, "output": Fraction(45, 2)}),
        (
            Usage(input=1, cache_read=1000, output=10),
            1,
            {"input": 6, "cache_read": Fraction(6, 10), "output": Fraction(45, 2)},
        ),
        (Usage(input=1, cache_write_5m=1000), 1, {"input": 6, "cache_write_5m": 6}),
        (Usage(input=2000, output=10, reasoning=10), 1, {"input": 6, "reasoning": 45}),
        (Usage(input=2000, output=10), 2, {"input": 3, "output": 15}),
        (Usage(input=2001, output=10), 2, {"input": 6, "output": Fraction(45, 2)}),
        (Usage(input=2000), 0, {"input": 6}),
    ],
)
def test_all_of_a_request_with_a_long_prompt_is_dearer(
    usage: Usage, requests: int, usd_each: dict[str, Fraction]
) -> None:
    exact = sum(getattr(usage, name) * 1000 * each for name, each in usd_each.items())

    assert Cost(round(exact)) == price(usage, LONG, requests=requests)


@given(prices=PRICES, tokens=st.integers(0, 10**6), above=st.integers(0, 10**6), long=st.tuples(NANO, NANO))
def test_prices_of_a_prompt_have_none_for_longer_ones(
    prices: Prices, tokens: int, above: int, long: tuple[int, int]
) -> None:
    both = msgspec.structs.replace(prices, long_above=above, long_input=long[0], long_output=long[1])
    found = both.of_prompt(tokens)

    if tokens <= above:
        assert found == both
    else:
        assert (found.input, found.output, found.long_above) == (*long, None)
        assert (found.cache_read is None) == (prices.cache_read is None), "it falls back to input as before"
    assert price(Usage(input=tokens, output=1), both) == price(Usage(input=tokens, output=1), found)


TIERED = msgspec.structs.replace(
    LONG,
    flex_input=1_500_000_000,
    flex_output=7_500_000_000,
    priority_input=7_500_000_000,
    priority_output=37_500_000_000,
)
"""A half, and two and a half times as much."""


@pytest.mark.parametrize(("tier", "times"), [("flex", Fraction(1, 2)), ("priority", Fraction(5, 2))])
@given(
    usage=st.builds(
        Usage,
        input=st.integers(0, 1500),
        output=st.integers(0, 10**4),
        cache_read=st.integers(0, 1500),
        reasoning=st.integers(0, 10**4),
    )
)
def test_a_tier_s_prices_are_in_proportion_for_long_prompts_too(
    tier: Literal["flex", "priority"], times: Fraction, usage: Usage
) -> None:
    usual, found = price(usage, LONG), price(usage, TIERED.of_tier(tier))

    assert usual == price(usage, TIERED), "without a tier it costs as usual"
    assert abs(usual.nano_usd * times - found.nano_usd) <= 2


def test_a_tier_without_prices_costs_as_usual_and_one_of_two_may_be_given() -> None:
    half = msgspec.structs.replace(PLAIN, flex_input=1)

    assert PLAIN is PLAIN.of_tier("flex")
    assert half is half.of_tier("priority")
    assert msgspec.structs.replace(PLAIN, input=1) == half.of_tier("flex")


def test_prices_without_any_for_long_prompts_or_tiers_keep_their_version() -> None:
    """So that the ledger of a release before says the same."""
    assert not re.search(rb"long|flex|priority", msgspec.json.encode(PLAIN))
    assert price_version(PLAIN) != price_version(LONG)


def test_nothing_is_free_because_its_price_is_unknown() -> None:
    assert Cost(0, unpriced=True) == price(Usage(output=1), None)
    assert Cost(0, unpriced=True) == price(Usage(search_requests=1), None)
    assert Cost(0) == price(Usage(), None)
    assert Cost(3_000_000, unpriced=True) == price(Usage(input=1000, search_requests=1), PLAIN)


def test_dollars_in_yaml_are_dollars_per_million_tokens_and_per_thousand_calls() -> None:
    """The unit that a person writes, the compiler's conversion and the arithmetic agree."""
    prices = msgspec.structs.replace(
        PLAIN, input=read("usd", "2.50"), search=read("usd", "10"), request=read("usd", "5")
    )

    assert "2.5" == usd(price(Usage(input=1_000_000), prices, requests=0).nano_usd)
    assert "10" == usd(price(Usage(search_requests=1000), prices, requests=0).nano_usd)
    assert "5" == usd(price(Usage(), prices, requests=1000).nano_usd)


@pytest.mark.parametrize(("tokens", "nano_usd"), [(1, 0), (3, 2), (5, 2), (7, 4), (2, 1), (0, 0)])
def test_halves_go_to_the_even_neighbour(tokens: int, nano_usd: int) -> None:
    half = msgspec.structs.replace(PLAIN, input=500_000)

    assert Cost(nano_usd) == price(Usage(input=tokens), half)


def test_parts_that_a_vendor_counts_twice_are_never_negative() -> None:
    odd = Usage(input=1, audio_input=5, output=2, audio_output=1, reasoning=9)

    assert price(Usage(input=1, output=2), PLAIN) == price(odd, PLAIN)


def test_a_version_is_of_the_numbers() -> None:
    again = msgspec.json.decode(msgspec.json.encode(PLAIN), type=Prices)

    assert price_version(PLAIN) == price_version(again)
    assert price_version(PLAIN) != price_version(msgspec.structs.replace(PLAIN, cache_read=0))
    assert price_version(PLAIN) != price_version(msgspec.structs.replace(PLAIN, date="2026-01-02"))


@given(st.integers(-(10**15), 10**15))
def test_dollars_are_written_exactly(nano_usd: int) -> None:
    assert nano_usd == Fraction(usd(nano_usd)) * 10**9
