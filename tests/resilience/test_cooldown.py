"""A connection that was refused is left alone as long as its provider says, and no longer than allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import CooldownSettings
from runtime.errors import RateLimited, UpstreamAuthFailed, UpstreamQuotaExceeded
from runtime.resilience.cooldown import Cooldowns

SETTINGS = CooldownSettings(rate_limit_ms=1000, quota_ms=60_000, credential_ms=120_000, max_ms=600_000)


def limited(retry_after_s: float | None = None) -> RateLimited:
    return RateLimited("slow down", retry_after_s=retry_after_s)


def test_the_providers_word_wins() -> None:
    rests = Cooldowns(SETTINGS)
    rests.begin("c", "m", "rate_limit", limited(7), 100.0)

    found = rests.find("c", "m", 100.0)
    assert found is not None
    assert 107.0 == found.until_s
    assert rests.find("c", "m", 107.0) is None


@given(said=st.floats(0, 1e9))
def test_no_cooldown_is_longer_than_the_longest(said: float) -> None:
    rests = Cooldowns(SETTINGS)
    rests.begin("c", "m", "rate_limit", limited(said), 0.0)

    assert rests.find("c", "m", 600.0) is None


def test_without_a_word_it_doubles_until_an_answer_comes() -> None:
    rests, now_s, waits = Cooldowns(SETTINGS), 0.0, []
    for _ in range(7):
        rests.begin("c", "m", "rate_limit", limited(), now_s)
        found = rests.find("c", "m", now_s)
        assert found is not None
        waits.append(found.until_s - now_s)
        now_s = found.until_s
    rests.answered("c", "m", now_s)
    rests.begin("c", "m", "rate_limit", limited(), now_s)
    found = rests.find("c", "m", now_s)

    assert [1, 2, 4, 8, 16, 30, 30] == waits
    assert found is not None
    assert 1.0 == found.until_s - now_s


def test_many_who_are_refused_at_once_are_one_refusal() -> None:
    rests = Cooldowns(SETTINGS)
    for _ in range(50):
        rests.begin("c", "m", "rate_limit", limited(), 10.0)

    assert rests.find("c", "m", 11.0) is None


def test_an_older_call_that_is_answered_ends_no_running_cooldown() -> None:
    rests = Cooldowns(SETTINGS)
    rests.begin("c", "m", "rate_limit", limited(60), 0.0)

    rests.answered("c", "m", 1.0)

    assert rests.find("c", "m", 1.0) is not None


def test_a_models_limit_leaves_the_other_models_of_the_connection_alone() -> None:
    rests = Cooldowns(SETTINGS)
    rests.begin("c", "m", "rate_limit", limited(60), 0.0)

    assert rests.find("c", "other", 1.0) is None
    assert rests.find("d", "m", 1.0) is None


@pytest.mark.parametrize(
    ("kind", "error", "until_s"),
    [("quota", UpstreamQuotaExceeded("empty"), 60.0), ("credential", UpstreamAuthFailed("no"), 120.0)],
)
def test_what_is_wrong_with_the_account_holds_for_all_its_models(kind: str, error: Exception, until_s: float) -> None:
    rests = Cooldowns(SETTINGS)
    rests.begin("c", None, kind, error, 0.0)  # type: ignore[arg-type]

    found = rests.find("c", "any", 0.0)
    assert found is not None
    assert (until_s, kind) == (found.until_s, found.kind)


def test_a_cooldown_keeps_nothing_of_the_call_that_began_it() -> None:
    rests = Cooldowns(SETTINGS)
    try:
        raise limited(60)
    except RateLimited as error:
        rests.begin("c", "m", "rate_limit", error, 0.0)

    found = rests.find("c", "m", 0.0)
    assert found is not None
    assert ("slow down", None) == (found.error.message, found.error.__traceback__)
