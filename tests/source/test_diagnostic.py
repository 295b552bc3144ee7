"""Diagnostics: collected, ordered, each once, only documented codes."""

from __future__ import annotations

import pytest

from runtime.source import Diagnostics, Span, closest


def test_diagnostics_come_in_order_of_position_each_once() -> None:
    diagnostics = Diagnostics()
    diagnostics.error("unknown-field", Span("b.yaml", 1, 1), "second file")
    diagnostics.error("unknown-field", Span("a.yaml", 2, 1), "later line")
    diagnostics.warn("unknown-field", Span("a.yaml", 1, 9), "first")
    diagnostics.error("unknown-field", Span("a.yaml", 2, 1), "later line")

    assert ["first", "later line", "second file"] == [item.message for item in diagnostics]
    assert len(diagnostics) == 3


def test_diagnostics_fail_on_errors_not_on_warnings() -> None:
    diagnostics = Diagnostics()
    diagnostics.warn("unknown-field", Span("a.yaml", 1, 1), "doubt")

    assert not diagnostics.failed
    diagnostics.error("unknown-field", Span("a.yaml", 1, 1), "fault")
    assert diagnostics.failed


def test_undocumented_code_is_refused() -> None:
    with pytest.raises(KeyError, match="made-up"):
        Diagnostics().error("made-up", Span("a.yaml", 1, 1), "?")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("tiemout", "timeout"), ("MODELS", "models"), ("xyz", None), ("", None), ("conect", "connect")],
)
def test_closest_finds_slips_and_nothing_else(word: str, expected: str | None) -> None:
    assert expected == closest(word, ["timeout", "models", "connect"])
