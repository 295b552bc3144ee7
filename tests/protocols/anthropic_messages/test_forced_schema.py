"""Schemas that the vendor forces its output into: within its dialect, and never narrower than what was asked for."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.protocols.anthropic_messages.forced_schema import UnforcedError, forced_schema

FORCED = {
    "type", "properties", "required", "additionalProperties", "items", "minItems", "format", "enum", "const", "anyOf", "allOf",
    "$ref", "$defs", "definitions", "description", "title",
}  # fmt: skip


DEFS: dict[str, Any] = {"x": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}

Case = tuple[Any, Any]
"""A schema, and a value made after it. Of objects that say nothing of other keys, values have the named ones only."""

LEAVES: list[Case] = [
    ({"type": "string"}, "x"), ({"type": "integer", "minimum": 1, "maximum": 9}, 3), ({"enum": ["a", "b"]}, "b"),
    ({"const": 1.0}, 1.0), ({"type": ["string", "null"], "maxLength": 3}, None), (True, 5), ({}, [1]),
    ({"type": "string", "pattern": "^a", "format": "uuid"}, "a"), ({"type": "string", "format": "regex"}, "a"),
    ({"type": "boolean", "default": False}, True), ({"$ref": "#/$defs/x"}, {"n": 1}),
    ({"$ref": "#/$defs/x", "description": "d"}, {"n": 1}), ({"$ref": "#/$defs/x", "minProperties": 1}, {"n": 1}),
]  # fmt: skip
FREE: list[Case] = [
    ({"type": "object"}, {"k": 1}), ({"type": "object", "additionalProperties": {"type": "integer"}}, {"k": 1}),
    ({"type": "object", "patternProperties": {"^k": {}}}, {"k": 1}), ({"type": ["object", "null"]}, {"k": 1}),
    ({"type": "object", "required": ["k"]}, {"k": 1}), ({"required": ["k"]}, {"k": 1}),
    ({"type": "object", "properties": {"a": {}}, "if": {}, "then": {"properties": {"k": {}}}}, {"k": 1}),
    ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1]),
    ({"type": ["array", "null"], "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1]),
]  # fmt: skip


def objects(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    def build(members: dict[str, Case], given: set[str], more: dict[str, Any], typed: Any) -> Case:
        value = {name: member[1] for name, member in members.items() if name in given}
        schema = {"properties": {name: member[0] for name, member in members.items()}, "required": sorted(value)}
        if more.get("additionalProperties") not in (None, False):
            value["extra"] = 1
        return {**typed, **schema, **more}, value

    return st.builds(
        build,
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        st.sets(st.sampled_from("abc")),
        st.sampled_from(
            [{}, {}, {"additionalProperties": False}, {"additionalProperties": True}, {"unevaluatedProperties": False},
             {"additionalProperties": {"type": "integer"}}, {"minProperties": 0, "description": "d"}]
        ),
        st.sampled_from([{}, {"type": "object"}, {"type": ["object", "null"]}]),
    )  # fmt: skip


def together(cases: list[Case]) -> Any:
    """A value for all of them; objects have the keys of each, but for one that nobody names."""
    values = [value for _, value in cases]
    if all(isinstance(value, dict) for value in values):
        return {name: member for value in values for name, member in value.items() if name != "k"}
    return values[0]


def meant(schema: Any) -> Any:
    """``schema`` with the types that its keywords are about."""
    if isinstance(schema, list):
        return [meant(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {key: meant(value) for key, value in schema.items()}
    return {"type": "object", **typed} if "required" in schema and "properties" in schema else typed


def sound(case: Case) -> Case:
    """``case``, or a plain one where its value does not fit."""
    schema, value = case
    fits = schema is True or jsonschema_rs.Draft202012Validator({**meant(schema), "$defs": DEFS}).is_valid(value)
    return case if fits else LEAVES[0]


def grown(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    thing = objects(inner).map(sound)
    several = st.lists(st.one_of(thing, inner), min_size=1, max_size=3)
    return st.one_of(
        thing,
        st.builds(
            lambda case, more: ({"type": "array", "items": case[0], **more}, [case[1]] * more.get("minItems", 0)),
            inner,
            st.sampled_from([{}, {"minItems": 1}, {"minItems": 4}]),
        ),
        st.builds(lambda word, cases: ({word: [case[0] for case in cases]}, cases[0][1]), st.sampled_from(["anyOf", "oneOf"]), several),
        st.builds(lambda one, two: ({"anyOf": [one[0]], "oneOf": [two[0]]}, together([one, two])), thing, thing),
        several.map(lambda cases: ({"allOf": [case[0] for case in cases]}, together(cases))),
        st.builds(
            lambda word, own, cases: ({**own[0], word: [case[0] for case in cases]}, together([own, *cases])),
            st.sampled_from(["allOf", "anyOf"]), thing, several,
        ),
        st.builds(
            lambda word, cases: ({"type": "object", word: [case[0] for case in cases]}, cases[0][1]),
            st.sampled_from(["allOf", "anyOf"]), several,
        ),
    )  # fmt: skip


cases = st.recursive(st.sampled_from(LEAVES + FREE), lambda inner: grown(inner).map(sound), max_leaves=6)


def forced(schema: Any) -> dict[str, Any] | None:
    """``schema`` with its definitions, forced; None where it cannot be."""
    try:
        return dict(json.loads(forced_schema(json.dumps({**({} if schema is True else schema), "$defs": DEFS}))))
    except UnforcedError:
        return None


def keywords(schema: Any) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key in ("properties", "$defs", "definitions"):
        found |= {word for member in schema.get(key, {}).values() for word in keywords(member)}
    for key in ("anyOf", "allOf"):
        found |= {word for member in schema.get(key, []) for word in keywords(member)}
    return found | keywords(schema.get("items"))


@settings(max_examples=200)
@given(cases)
def test_what_was_valid_stays_valid_or_nothing_is_forced(case: Case) -> None:
    done = forced(case[0])

    assert done is None or jsonschema_rs.Draft202012Validator(done).is_valid(case[1])


@given(cases)
def test_pitfall_082_a_forced_schema_has_only_keywords_that_can_be_forced(case: Case) -> None:
    done = forced(case[0]) or {}

    assert keywords(done) <= FORCED
    jsonschema_rs.meta.validate(done)


@given(cases)
def test_forcing_a_forced_schema_changes_nothing(case: Case) -> None:
    once = forced(case[0])

    assert once is None or once == json.loads(forced_schema(json.dumps(once)))


A: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "allOf": [A, {"$ref": "#/$defs/x"}]}, {
            "type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}, "required": ["a", "n"],
            "additionalProperties": False,
        }),
        ({"properties": {"a": {"type": "string", "minLength": 3}}}, {
            "type": "object", "properties": {"a": {"type": "string", "description": "{minLength: 3}"}}, "additionalProperties": False,
        }),
        ({"type": "object", "additionalProperties": False}, {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"type": "object", "oneOf": [A]}, {"anyOf": [{**A, "additionalProperties": False}]}),
        ({"allOf": [{"$ref": "#/$defs/x"}], "description": "d"}, {"allOf": [{"$ref": "#/$defs/x"}], "description": "d"}),
    ],
)  # fmt: skip
def test_objects_keep_all_that_they_name(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    done = forced(schema) or {}

    assert {"x": {**DEFS["x"], "additionalProperties": False}} == done.pop("$defs")
    assert expected == done


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "object"}, "additionalProperties"), ({**A, "additionalProperties": True}, "additionalProperties"),
        ({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}}, "properties.m.additionalProperties"),
        ({"anyOf": [{"type": "string"}], "oneOf": [{"type": "string"}]}, "oneOf"), ({**A, "anyOf": [A]}, "properties"),
        ({**A, "required": ["b"]}, "required"), ({**A, "required": [{}]}, "required"), ({**A, "patternProperties": {"x": {}}}, "patternProperties"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "allOf"), ({"allOf": [A, {"$ref": "#/$defs/y"}]}, "allOf"),
        ({"type": "array", "items": [{}]}, "items"), ({"type": ["object", "null"], "anyOf": [A]}, "type"),
        ({"$ref": "#/$defs/x", "properties": {}}, "properties"), ({"type": "array", "items": {"type": "object"}}, "items.additionalProperties"),
    ],
)  # fmt: skip
def test_what_would_admit_less_is_not_forced(schema: dict[str, Any], path: str) -> None:
    with pytest.raises(UnforcedError) as caught:
        forced_schema(json.dumps({**schema, "$defs": DEFS}))
    assert path == caught.value.path


def test_copies_within_copies_end() -> None:
    defs: dict[str, Any] = {"d0": A}
    for level in range(1, 60):
        defs[f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}, {"$ref": f"#/$defs/d{level - 1}"}]}
    with pytest.raises(UnforcedError):
        forced_schema(json.dumps({"$ref": "#/$defs/d59", "$defs": defs}))


def test_a_forced_schema_that_fits_stays_the_very_text() -> None:
    text = '{ "type":"object", "properties":{"a":{"type":"string","format":"date"}},"required":["a"],"additionalProperties":false}'

    assert text == forced_schema(text)


def test_what_cannot_be_forced_is_said_in_words() -> None:
    text = '{"type":"object","properties":{"n":{"type":"integer","minimum":1,"description":"A count."},"s":{"type":"string","pattern":"^a"}}}'
    properties = json.loads(forced_schema(text))["properties"]

    assert {"type": "integer", "description": "A count.\n\n{minimum: 1}"} == properties["n"]
    assert {"type": "string", "description": '{pattern: "^a"}'} == properties["s"]


def test_pitfall_081_a_list_of_types_becomes_alternatives() -> None:
    done = json.loads(forced_schema('{"type":["array","null"],"items":{"type":"string"},"title":"T"}'))

    assert {"title": "T", "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]} == done


@pytest.mark.parametrize("text", ["true", "3", "{"])
def test_a_forced_schema_must_be_an_object(text: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        forced_schema(text)


@pytest.mark.parametrize("place", ["anyOf", "items", "properties", "$defs", "items in anyOf"])
def test_pitfall_079_a_schema_is_rewritten_at_every_depth(place: str) -> None:
    inner = {"type": "integer", "exclusiveMinimum": 0, "propertyNames": {}}
    schema: dict[str, Any] = {
        "anyOf": {"anyOf": [inner]},
        "items": {"type": "array", "items": inner},
        "properties": {"type": "object", "properties": {"p": inner}},
        "$defs": {"$defs": {"d": inner}, "type": "string"},
        "items in anyOf": {"anyOf": [{"type": "array", "items": inner}]},
    }[place]
    done = forced_schema(json.dumps(schema))

    assert '"exclusiveMinimum":' not in done
    assert '"propertyNames":' not in done
    assert "exclusiveMinimum: 0" in done
