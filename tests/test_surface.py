"""The routes of a worker: what stays for good, and what goes with a plan."""

from __future__ import annotations

import gc

import pytest

from runtime.surface import Surface
from tests.web.script import front


def test_what_was_frozen_before_a_worker_was_forked_is_let_go_by_the_next_plan_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector would look through all of it while routes are registered, which takes a third as long again."""
    let_go: list[str] = []
    monkeypatch.setattr(gc, "unfreeze", lambda: let_go.append("now"))

    surface = Surface([], front(), lambda *_: None)
    at_first = list(let_go)
    surface.use([], front())

    assert [] == at_first
    assert ["now"] == let_go
