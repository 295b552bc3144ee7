"""What is changed of an entry: merged again it is what was wanted, and it names nothing that was not changed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config.merge import difference, merged
from runtime.source import Diagnostics, MappingNode, Node, parse, plain

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from([0.0, 1.0, 0.5, "", "1", "true", "null", "x"]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def read(value: object) -> MappingNode:
    node = parse(orjson.dumps(value), "x", Diagnostics())
    assert isinstance(node, MappingNode)
    return node


def said(node: Node | None) -> Any:
    """With types told apart: 1, 1.0 and true are three things."""
    return None if node is None else orjson.dumps(plain(node), option=orjson.OPT_SORT_KEYS)


@given(MAPPINGS, MAPPINGS)
def test_a_difference_merged_is_what_was_wanted(below: dict[str, Any], wanted: dict[str, Any]) -> None:
    change = difference(read(below), read(wanted))
    again = read(below) if change is None else merged(read(below), change)

    assert said(again) == said(read(wanted))
    assert (change is None) == (said(read(below)) == said(read(wanted)))


@given(MAPPINGS, MAPPINGS, VALUES)
def test_what_was_not_changed_follows_the_file(below: dict[str, Any], wanted: dict[str, Any], later: object) -> None:
    change = difference(read(below), read(wanted | {"d": below["d"]} if "d" in below else wanted))
    if change is None or "d" not in below:
        return

    assert said(merged(read(below | {"d": later}), change)) == said(read({**wanted, "d": later}))


@pytest.mark.parametrize(
    ("below", "wanted", "change"),
    [
        ({"m": {"p": {"in": 1, "out": 2}}}, {"m": {"p": {"in": 3, "out": 2}}}, {"m": {"p": {"in": 3}}}),
        ({"m": {"a": {}, "b": {}}}, {"m": {"b": {}}}, {"m": {"a": None}}),
        ({"c": [{"id": 1, "k": 2}], "x": 1}, {"c": [{"id": 1, "k": 3}], "x": 1}, {"c": [{"id": 1, "k": 3}]}),
        ({"a": 1}, {}, {"a": None}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
    ],
)
def test_a_difference_names_only_what_is_other(below: object, wanted: object, change: object) -> None:
    found = difference(read(below), read(wanted))

    assert found is not None
    assert change == plain(found)


def test_null_takes_away_also_what_is_not_there_any_more() -> None:
    assert {} == plain(merged(read({}), read({"a": None})))
    assert {"m": {"p": {"in": 3}}} == plain(
        merged(read({"x": 1}), read({"x": None, "m": {"p": {"in": 3, "out": None}}}))
    )
