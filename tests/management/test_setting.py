"""Prices, proxies and settings of the API and of gateway.yaml: one says what the other says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import PriceSettings
from runtime.catalog import Prices
from runtime.config.override import section_shape, sections
from runtime.errors import InvalidRequest
from runtime.management.body import settings_of
from runtime.management.price import PRICES, TOKENS, price_document, restored, shown_prices, written_prices
from runtime.management.proxy import proxy_document, proxy_url, shown_proxy
from runtime.management.setting import (
    read_settings,
    read_system_prompt,
    read_thinking_budget,
    shown_system_prompt,
    shown_thinking_budget,
)
from runtime.management.usage import day_text, read_range

NANO = st.integers(0, 10**15)
RECORDS = dict.fromkeys(name for name in sections() if section_shape(name) == "record")


@given(st.dictionaries(st.sampled_from([each for each in PRICES if each not in TOKENS]), NANO, min_size=1))
def test_a_price_that_is_shown_can_be_sent_back_to_the_nano_dollar(nano_usd: dict[str, int]) -> None:
    given_prices = {PRICES[name]: value for name, value in nano_usd.items()}
    prices = msgspec.convert({"source": "s", "date": "", "input": 0, "output": 0} | given_prices, Prices)
    answer = msgspec.json.decode(msgspec.json.encode(shown_prices(prices)))
    document = price_document({name: answer[name] for name in nano_usd}, {}, {}, "a.m", "test", "2026-11-29")

    assert ("test", "2026-11-29") == (document.pop("source"), document.pop("date"))
    assert given_prices == {name: int(Decimal(str(value)) * 10**9) for name, value in document.items()}


@given(st.integers(1, 2**31 - 1))
def test_from_how_many_tokens_on_a_prompt_is_long_is_a_number_of_tokens(tokens: int) -> None:
    prices = Prices(source="s", date="", input=1, output=1, long_above=tokens, long_input=2)
    shown = msgspec.json.decode(msgspec.json.encode(shown_prices(prices)))["long_above"]

    assert shown == tokens
    assert price_document({"long_above": shown}, {}, {}, "a.m", "s", "d")["long_above"] == tokens


@pytest.mark.parametrize("value", [0, -1, 1.5, "1000", True, 2**31, []])
def test_no_other_value_is_a_number_of_tokens(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"a\.m\.long_above: expected a number of tokens"):
        price_document({"long_above": value}, {}, {}, "a.m", "s", "d")


def test_prices_are_laid_over_taken_back_and_cover_every_kind() -> None:
    before = {"input": "1", "output": "2", "source": "gateway.yaml"}
    assert {"output": "2", "cache_read": "0.1", "source": "s", "date": "d"} == price_document(
        {"input": None, "cached": 0.1}, before, {}, "a.m", "s", "d"
    )
    assert {} == price_document({"input": None, "output": None}, before, {}, "a.m", "s", "d")
    assert set(PRICES.values()) == set(PriceSettings.__struct_encode_fields__) - {"source", "date"}


PRICE_WORDS = st.sampled_from(["input", "output", "cached"])
FILES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.fixed_dictionaries(
        {}, optional={"context": st.just(5), "prices": st.just({"input": "1", "output": "2", "date": "x"})}
    ),
)


@given(FILES, st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), PRICE_WORDS, st.sampled_from([3, "0.5", None]))))
def test_what_changes_said_of_prices_is_taken_back_and_nothing_else(
    files: dict[str, Any], changes: list[tuple[str, str, Any]]
) -> None:
    theirs = {"base_url": "https://a.test", **({"models": files} if files else {})}
    models: dict[str, Any] = dict(files)
    for model, word, value in changes:
        rest = {name: each for name, each in models.get(model, {}).items() if name != "prices"}
        before = written_prices({"models": models}, model)
        prices = price_document({word: value}, before, written_prices(theirs, model), "a.m", "s", "d")
        models[model] = {**rest, "prices": prices} if prices else rest
        if all(each is None for _, _, each in changes):
            assert prices == files.get(model, {}).get("prices", {}), "null uncovers the file's"
    changed: dict[str, Any] = {**theirs, "models": models} if models else theirs

    assert {**theirs, "models": files} == {"models": {}} | {
        key: value
        if key != "models"
        else {name: said for name, said in settings_of(value).items() if said or name in files}
        for key, value in restored(changed, theirs, None).items()
    }
    for model in models:
        alone = restored(changed, theirs, model)
        assert written_prices(theirs, model) == written_prices(alone, model)
        assert {name: written_prices(changed, name) for name in models if name != model} == {
            name: written_prices(alone, name) for name in models if name != model
        }


@pytest.mark.parametrize("value", [-1, "-1", "NaN", "Infinity", 10**10, True, [1], {"usd": 1}, "", "1e400"])
def test_what_is_no_price_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        price_document({"input": value}, {}, {}, "a.m", "s", "d")
    assert "a.m.input" == refused.value.param


HOSTS = st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?\Z") | st.sampled_from(["10.0.0.1", "::1", "fd00::2"])
PROXIES = st.fixed_dictionaries(
    {"type": st.sampled_from(["http", "https"]), "host": HOSTS, "port": st.integers(1, 65_535)},
    optional={"username": st.text(min_size=1, max_size=9)},
)


@given(PROXIES)
def test_a_proxy_that_is_shown_can_be_sent_back_and_says_the_same(proxy: dict[str, Any]) -> None:
    document = proxy_document(proxy, None, "proxy")
    shown = msgspec.json.decode(msgspec.json.encode(shown_proxy(document))) if _sendable(proxy) else None

    if shown is not None:
        assert proxy == shown
        assert document == proxy_document(shown, document, "proxy")


def _sendable(proxy: dict[str, Any]) -> bool:
    """JSON has no surrogates."""
    return proxy.get("username", "").isprintable() or "username" not in proxy


def test_a_password_is_masked_kept_when_the_mask_comes_back_and_encoded_where_it_is_used() -> None:
    document = {"url": "http://p.example.com:3128", "username": "us", "password": "stored:1"}
    shown = msgspec.to_builtins(shown_proxy(document))
    assert "…" == shown["password"]
    assert document == proxy_document(shown, document, "proxy")
    assert "new" == proxy_document({**shown, "password": "new"}, document, "proxy")["password"]
    assert "${P}" == msgspec.to_builtins(shown_proxy({**document, "password": "${P}"}))["password"]
    assert "http://u%40s:p%2F%3A@h:1" == proxy_url({"url": "http://h:1", "username": "u@s", "password": "p/:"})
    assert {"url": "direct"} == proxy_document({"type": "direct"}, None, "proxy")
    assert None is shown_proxy({})


@given(st.text(min_size=1), st.booleans(), st.sampled_from(["first", "last"]))
def test_a_system_prompt_that_is_shown_can_be_sent_back(prompt: str, enabled: bool, place: str) -> None:
    document = read_system_prompt({"prompt": prompt, "enabled": enabled, "place": place}, None)
    if not prompt.strip():
        assert None is document
        return
    shown = shown_system_prompt(document)
    assert (prompt, enabled) == (shown.prompt, shown.enabled)
    assert document == read_system_prompt(msgspec.to_builtins(shown), document)


def test_a_system_prompt_is_switched_off_and_on() -> None:
    off = read_system_prompt({"enabled": False}, {"text": "x", "place": "last"})
    assert {"text": "x", "place": "off"} == off
    assert {"text": "x", "place": "first"} == read_system_prompt({"enabled": True}, off)
    assert {"text": "y", "place": "off"} == read_system_prompt({"prompt": "y"}, off)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["passthrough", "auto", "custom", "adaptive"]),
            "customBudget": st.integers(0, 131_072),
            "effortLevel": st.sampled_from(["none", "low", "medium", "high"]),
            "baseBudget": st.integers(0, 131_072),
            "complexityMultiplier": st.floats(0, 10),
        },
    )
)
def test_a_thinking_budget_that_is_shown_can_be_sent_back(body: dict[str, Any]) -> None:
    document = read_thinking_budget(body, None)
    shown = msgspec.to_builtins(shown_thinking_budget(document))

    assert body.items() <= shown.items()
    assert shown == msgspec.to_builtins(shown_thinking_budget(read_thinking_budget(shown, None)))
    assert "base_tokens" not in read_thinking_budget({"baseBudget": None}, document)


def test_words_of_other_gateways_are_settings_here() -> None:
    said = {
        "requestRetry": 3,
        "maxRetryIntervalSec": 9,
        "blockedProviders": ["a"],
        "corsOrigins": "https://a, https://b",
    }
    assert {
        "retries": {"per_target": 3, "max_backoff": "9s"},
        "discovery": {"exclude": ["a"]},
        "server": {"cors_origins": ["https://a", "https://b"]},
    } == read_settings(said, RECORDS)
    with pytest.raises(InvalidRequest, match="did you mean 'requestRetry'"):
        read_settings({"requestRetyr": 1}, RECORDS)


@pytest.mark.parametrize(("text", "days"), [("24h", 1), ("1h", 0), ("7d", 7), ("48h", 2)])
def test_how_far_back(text: str, days: int) -> None:
    now_s = 20_000 * 86_400.0 + 43_200
    assert 20_000 - days == read_range(text, now_s)
    assert "2024-10-04" == day_text(20_000)
