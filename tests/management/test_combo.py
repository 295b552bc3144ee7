"""Combos of the API and of gateway.yaml: one says what the other says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import ComboSettings
from runtime.errors import InvalidRequest
from runtime.management.combo import combo_document, read_combo, shown_combo

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)
WHEN = st.fixed_dictionaries(
    {}, optional={"needs": st.lists(st.sampled_from(["tools", "vision"])), "min_input_tokens": st.integers(1, 9)}
)
TARGETS = NAMES | st.fixed_dictionaries(
    {"model": NAMES}, optional={"connection": NAMES, "weight": st.integers(0, 1_000_000), "when": WHEN}
)
DOCUMENTS = st.fixed_dictionaries(
    {"targets": st.lists(TARGETS, min_size=1, max_size=5)},
    optional={
        "strategy": st.sampled_from(["priority", "weighted", "auto", "last-known-good"]),
        "promises": st.lists(st.sampled_from(["tools", "vision"])),
        "context": st.integers(1, 10**9),
        "handoff_percent": st.integers(1, 100),
        "rescue": st.sampled_from(["none", "splice", "buffer"]),
        "buffer_limit": st.just("8MiB"),
        "hedge": st.just({"after": "800ms", "at_once": 2}),
        "factors": st.just({"cost": 3, "latency": 0.5}),
    },
)


def plain(target: Any) -> Any:
    """A target that says no more than its model is a name."""
    return target["model"] if isinstance(target, dict) and set(target) == {"model"} else target


@given(DOCUMENTS, st.sets(NAMES, max_size=2))
def test_what_is_shown_can_be_sent_back_and_says_the_same(document: dict[str, Any], others: set[str]) -> None:
    names = {"c", *others, *[each for each in document["targets"][:1] if isinstance(each, str)]}
    answer = msgspec.json.decode(msgspec.json.encode(shown_combo("c", document, names, "config")))
    fields = read_combo(answer)

    expected = {**document, "targets": [plain(each) for each in document["targets"]]}
    assert {"strategy": "priority", **expected} == combo_document(fields)
    assert combo_document(fields) == combo_document(fields, {"targets": ["x"], "rescue": "splice"} | document)


def test_fields_of_other_gateways_are_understood() -> None:
    fields = read_combo(
        {
            "name": "best",
            "strategy": "lkgp",
            "models": ["openai/gpt-5", {"kind": "model", "model": "m", "provider": "mk", "weight": 30},
                       {"kind": "combo-ref", "comboName": "smart"}],
            "config": {"handoffThreshold": 0.85},
        }
    )  # fmt: skip
    assert {
        "strategy": "last-known-good",
        "targets": ["openai/gpt-5", {"model": "mk/m", "weight": 30}, "smart"],
        "handoff_percent": 85,
    } == combo_document(fields)


def test_a_change_of_some_fields_leaves_the_others() -> None:
    before = {"strategy": "weighted", "targets": ["a/b"], "context": 5, "promises": ["tools"]}

    assert {**before, "strategy": "random"} == combo_document(read_combo({"strategy": "random"}), before)
    assert {**before, "promises": []} == combo_document(read_combo({"settings": {"promises": []}}), before)
    assert {"strategy": "weighted", "targets": ["a/b"]} == combo_document(
        read_combo({"settings": None, "context_length": None}), before
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"modles": ["a"]}, "modles"),
        ({"models": []}, "models"),
        ({"models": [7]}, "models[0]"),
        ({"models": [{"kind": "combo-ref"}]}, "models[0].comboName"),
        ({"models": [{"model": "a", "wieght": 1}]}, "models[0].wieght"),
        ({"models": [{"model": "a", "weight": -1}]}, "models[0].weight"),
        ({"config": {"maxRetries": 1}}, "config.maxRetries"),
        ({"config": {"handoffThreshold": 7}}, "config.handoffThreshold"),
        ({"settings": {"targets": ["a"]}}, "settings.targets"),
        ({"isActive": False}, "isActive"),
        ({"context_length": 0}, "context_length"),
    ],
)
def test_what_cannot_be_understood_is_refused_at_its_place(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        combo_document(read_combo(body))
    assert (param, True) == (refused.value.param, refused.value.message.startswith(param))


def test_every_setting_of_a_combo_can_be_said() -> None:
    said = {"strategy", "targets", "context", "handoff_percent"}
    for field in msgspec.structs.fields(ComboSettings):
        if field.encode_name not in said:
            read_combo({"settings": {field.encode_name: 1}})
