"""Keys that are made here are held to what the configuration has, in words that say which field and what instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from runtime.errors import InvalidRequest
from runtime.services.key_checks import (
    LAST_S,
    demand_future,
    demand_hard_to_guess,
    demand_models,
    demand_own_name,
    demand_pins,
    demand_scopes,
)
from tests.support.pipeline import compiled

PLAN = compiled("""
providers:
  p:
    base_url: https://p.example
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    connections: [{id: one}, {id: two}]
    models: {small: {}, large: {}}
  q:
    base_url: https://q.example
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    models: {small: {}}
  open:
    base_url: https://o.example
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    open_models: true
aliases: {"fast-*": "p/*", quick: p/small}
combos: {smart: {targets: [p/large]}}
""")


@pytest.mark.parametrize(
    "name",
    [
        "p/small", "quick", "smart", "large", "fast-large", "open/anything", "*", "p/*", "*/small", "smart*", "s*", "open/gpt-*",
        "fast-*", "fast-la*", "*rt",
    ],
)  # fmt: skip
def test_what_some_name_fits_may_be_allowed(name: str) -> None:
    demand_models(PLAN, [name])


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("p/smal", "did you mean 'p/small'?"),
        ("smrat", "did you mean 'smart'?"),
        ("small", "ambiguous; write one of p/small, q/small"),
        ("r/*", "no public name fits"),
        ("p*/*", "two `*`"),
        ("", "no model, alias or combo ''"),
    ],
)
def test_what_no_name_fits_may_not(name: str, mark: str) -> None:
    refused(lambda: demand_models(PLAN, ["smart", name]), "allowedModels[1]", mark)


def test_pins_name_connections() -> None:
    demand_pins(PLAN, ["p/one", "p/*", "*", "*/two"])
    refused(lambda: demand_pins(PLAN, ["p/one", "p/noe"]), "pins[1]", "did you mean 'p/one'?")
    refused(lambda: demand_pins(PLAN, ["zzz/*"]), "pins[0]", "connections are named `provider/id`")


def test_a_key_can_do_something_and_was_good_once_and_has_its_own_name() -> None:
    demand_scopes(["view"])
    demand_own_name("ci-2", {"ci"})
    demand_future(10.5, 10.0)
    refused(lambda: demand_scopes([]), "scopes", '["chat"]')
    refused(lambda: demand_own_name("ci", {"ci"}), "name", "choose another")
    refused(lambda: demand_future(10.0, 10.0), "expiresAt", "isActive")


def test_a_key_ends_at_a_time_that_can_be_told() -> None:
    demand_future(LAST_S + 0.9, 10.0)
    assert datetime.fromtimestamp(LAST_S + 0.9, UTC).year == 9999
    refused(lambda: demand_future(LAST_S + 1, 10.0), "expiresAt", "null")


def refused(act: Callable[[], None], param: str, mark: str) -> None:
    with pytest.raises(InvalidRequest) as found:
        act()

    assert param == found.value.param
    assert found.value.message.startswith(f"{param}: ")
    assert mark in found.value.message


@pytest.mark.parametrize("key", ["gw-" + "a" * 60, "gw-" + "ab" * 60, "gw-abcdefghijkl01234", "oag_" + "0123" * 30])
def test_a_key_that_is_brought_along_is_hard_to_guess(key: str) -> None:
    prefix = "oag_" if key.startswith("oag_") else "gw-"
    with pytest.raises(InvalidRequest, match="80 are needed, of 8 different") as caught:
        demand_hard_to_guess(key, prefix)
    assert "key" == caught.value.param


@pytest.mark.parametrize("key", ["gw-brought-along-0123456789", "gw-9f86d081884c7d659a2feaa0c55ad015"])
def test_what_is_random_enough_is_taken(key: str) -> None:
    demand_hard_to_guess(key, "gw-")
