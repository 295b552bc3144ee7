"""Schemas in providers' dialects: accepted there, and nothing lost that the dialect supports."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.protocols.json_schema import EMPTY_OBJECT, object_schema

leaves = st.sampled_from(
    [
        {"type": "string"}, {"type": "integer", "minimum": 1, "maximum": 9}, {"type": "string", "pattern": "^a", "format": "uuid"},
        {"enum": ["a", "b"]}, {"const": 1.0}, {"type": ["string", "null"], "maxLength": 3}, {"type": "string", "format": "regex"},
        {"type": "number", "exclusiveMinimum": 0}, {}, True, {"type": "boolean", "default": False}, {"$ref": "#/$defs/x"},
    ]
)  # fmt: skip
schemas: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, more: {"type": "object", "properties": properties, **more},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.sampled_from(
                [{}, {"required": ["a"]}, {"additionalProperties": True}, {"minProperties": 1, "description": "d"}]
            ),
        ),
        st.builds(
            lambda items, least: {"type": "array", "items": items, **least},
            inner,
            st.sampled_from([{}, {"minItems": 1}, {"minItems": 4}]),
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda members: {"oneOf": members}),
        st.lists(inner, min_size=1, max_size=2).map(lambda members: {"allOf": members}),
    ),
    max_leaves=6,
)


@given(schemas)
def test_a_tools_schema_is_always_an_object_without_alternatives_on_top(schema: Any) -> None:
    done = json.loads(object_schema(json.dumps(schema)))

    assert done["type"] == "object"
    assert {"anyOf", "oneOf", "allOf"}.isdisjoint(done)
    jsonschema.Draft202012Validator.check_schema(done)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"$schema":"x"}',
        '{ "type": "object", "additionalProperties": {"oneOf": [{}, {}]}, "x": 1.0 }',
    ],
)
def test_pitfall_083_a_schema_that_fits_stays_the_very_text(text: str) -> None:
    assert text == object_schema(text)


@pytest.mark.parametrize("text", [None, "true", "null", "[]"])
def test_no_schema_is_any_object(text: str | None) -> None:
    assert EMPTY_OBJECT == object_schema(text)


def test_a_missing_type_is_put_in_and_another_wrapped() -> None:
    assert {"type": "object", "properties": {}} == json.loads(object_schema('{"properties":{}}'))
    assert {"type": "object", "properties": {}} == json.loads(
        object_schema('{"type":["object","null"],"properties":{}}')
    )
    assert {"type": "object", "properties": {"value": {"type": "array"}}, "required": ["value"]} == (
        json.loads(object_schema('{"type":"array"}'))
    )


def test_alternatives_on_top_are_merged_and_told() -> None:
    text = json.dumps(
        {
            "description": "D.", "properties": {"z": {}}, "required": ["z"], "$defs": {"two": {
                "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]}},
            "oneOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"$ref": "#/$defs/two"}],
        }
    )  # fmt: skip
    done = json.loads(object_schema(text))

    assert {"z": {}, "a": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "b": {}} == done["properties"]
    assert ["z", "a"] == done["required"]
    assert done["description"].startswith("D.\n\n{oneOf: ")


def test_parts_that_must_all_hold_require_what_any_of_them_does() -> None:
    text = '{"allOf":[{"properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}'
    done = json.loads(object_schema(text))

    assert (["a", "b"], {"a": {}, "b": {}}) == (done["required"], done["properties"])


def test_circles_of_references_end() -> None:
    text = '{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"elsewhere"}]}'

    assert json.loads(object_schema(text))["type"] == "object"


@pytest.mark.parametrize("text", ["{", "", "nul", "[" * 100_000])
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        object_schema(text)
