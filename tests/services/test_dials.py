"""A change of how failures are dealt with is read as a piece of gateway.yaml, against what it is a change of."""

from __future__ import annotations

import pytest

from runtime.config.catalog import Catalog
from runtime.config.effective import Base
from runtime.config.files import MAIN, Source
from runtime.errors import InvalidRequest
from runtime.services.dials import configured_settings, settings_of, shown, with_changes
from tests.support.pipeline import compiled

CONFIGURED = settings_of(compiled("retries: {per_target: 5, backoff: 90s, max_backoff: 2m}"))


def test_what_is_given_changes_and_all_else_stays() -> None:
    changed = with_changes(CONFIGURED, {"retries": {"per_target": 7}, "timeouts": {"queue": "2s"}})

    assert (7, 90_000, 2000) == (changed.retries.per_target, changed.retries.backoff_ms, changed.timeouts.queue_ms)
    assert (CONFIGURED.breakers, CONFIGURED.cooldowns) == (changed.breakers, changed.cooldowns)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"retries": {"per_target": -1}}, "retries.per_target"),
        ({"retries": {"max_backoff": "1s"}}, "retries.max_backoff"),
        ({"timeouts": {"total": "1s"}}, "timeouts.total"),
        ({"requests": {}}, "requests"),
    ],
)
def test_what_gateway_yaml_would_not_take_is_refused(change: dict[str, dict[str, str | int]], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        with_changes(CONFIGURED, change)

    assert param == refused.value.param


def test_settings_are_shown_as_they_would_be_written() -> None:
    told = shown(CONFIGURED.retries)

    assert (5, "90s", "2m") == (told["per_target"], told["backoff"], told["max_backoff"])


def test_what_the_files_say_is_known_without_what_lies_over_them() -> None:
    sources = (Source(MAIN, b"version: 1\nretries: {per_target: 5}\ntimeouts: {queue: 3s}\n"),)
    found = configured_settings(Base(sources=sources, catalog=Catalog.of(()), look_up=lambda _: None))

    assert (5, 3000) == (found.retries.per_target, found.timeouts.queue_ms)
