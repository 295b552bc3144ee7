"""The page on translation is made from the codecs' tables of losses and the tests that show each of them."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from runtime.protocols import CODECS, DIALECTS
from tests.docs import translation

PAGE = Path(__file__).parents[2] / "docs/reference/translation.md"


def test_every_loss_has_its_test_and_every_test_its_loss() -> None:
    assert [] == translation.faults()


def test_the_page_on_translation_is_fresh(golden: bool) -> None:
    made = translation.page()
    if golden:
        PAGE.write_text(made, "utf-8")

    assert made == PAGE.read_text("utf-8")


@pytest.mark.parametrize("protocol", sorted({*CODECS, *DIALECTS}))
def test_every_protocol_is_on_the_page(protocol: str) -> None:
    text = PAGE.read_text("utf-8")

    assert f"\n## {protocol}\n" in text
    assert f"\n### Clients of {protocol}\n" in text
    for provider in CODECS:
        row = rf"### Clients of {protocol}\n(?:[^#]*\n)?\| `{provider}` \|"
        assert re.search(row, text), provider


def test_a_loss_without_a_test_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.protocols.openai_chat import test_losses

    shown = {path: value for path, value in test_losses.SHOWN.items() if path != "cache"}
    monkeypatch.setattr(test_losses, "SHOWN", {**shown, "nothing": value_of(test_losses)})

    with pytest.raises(ValueError, match=r"without a test: \['cache'\]; tests without a loss: \['nothing'\]"):
        translation.losses_of("openai_chat")


def test_a_test_that_does_not_exist_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.protocols.openai_chat import test_losses

    monkeypatch.setattr(test_losses, "SHOWN_BY", {"choices.logprobs.refusal": "test_gone"})

    with pytest.raises(ValueError, match="has no test_gone"):
        translation.losses_of("openai_chat")


def value_of(tests: ModuleType) -> object:
    return next(iter(tests.SHOWN.values()))
