"""Limits as the management API says them: a budget that stays warns as it did, unless it is said otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import to_builtins

from runtime.errors import InvalidRequest
from runtime.services.key_fields import limits_of, read_fields
from runtime.services.key_limits import shown_limits
from runtime.window import Limit

BEFORE = (
    Limit(of="usd", amount=5 * 10**9, calendar="month", warn_at=0.8),
    Limit(of="requests", amount=60, length_ms=60_000),
)


def after(**said: Any) -> tuple[Limit, ...]:
    found = limits_of(read_fields(said), BEFORE)
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize(
    "said",
    [
        {"limits": [{"usd": 9, "per": "month"}]},
        {"limits": [{"usd": 9, "per": "day"}, {"usd": "9.00", "per": "month"}]},
        {"limits": [{"usd": 9, "per": "month", "warningThreshold": 0.8}]},
        {"budget": 9},
        {"budget": {"limit": "9", "period": "monthly"}},
        {"limits": [{"usd": 1, "per": "month"}], "budget": 9},
    ],
)
def test_a_budget_that_stays_warns_as_it_did(said: dict[str, Any]) -> None:
    kept = [limit for limit in after(**said) if limit.calendar == "month"]

    assert [Limit(of="usd", amount=9 * 10**9, calendar="month", warn_at=0.8)] == kept


@pytest.mark.parametrize("said", [{"maxRequestsPerDay": 5}, {"limits": [{"usd": 5, "per": "month"}]}])
def test_what_is_not_spoken_of_stands(said: dict[str, Any]) -> None:
    assert BEFORE[0] in after(**said)


@pytest.mark.parametrize(("threshold", "shown"), [(0, None), (0.5, 0.5), (1, 1.0)])
def test_it_can_be_set_with_the_limits_and_taken_away(threshold: float, shown: float | None) -> None:
    (budget,) = shown_limits(after(limits=[{"usd": 9, "per": "month", "warningThreshold": threshold}]))

    assert shown == (budget.warningThreshold or None)


def test_limits_that_are_shown_can_be_sent_back() -> None:
    assert set(BEFORE) == set(after(limits=to_builtins(shown_limits(BEFORE))))


def test_a_budget_that_goes_and_comes_again_warns_of_nothing() -> None:
    assert {0.0} == {limit.warn_at for limit in limits_of(read_fields({"budget": 9}), after(budget=None)) or ()}


@pytest.mark.parametrize(
    ("limit", "param"),
    [
        ({"requests": 5, "per": "day", "warningThreshold": 0.5}, "limits[0].warningThreshold"),
        ({"usd": 5, "per": "1h", "warningThreshold": 0.5}, "limits[0].warningThreshold"),
        ({"concurrency": 5, "warningThreshold": 0.5}, "limits[0].warningThreshold"),
        ({"usd": 5, "per": "day", "warningThreshold": 1.5}, "limits[0].warningThreshold"),
    ],
)
def test_only_budgets_of_the_calendar_warn(limit: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        after(limits=[limit])

    assert param == refused.value.param
