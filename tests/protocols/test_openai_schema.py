"""JSON Schemas in the dialect of OpenAI's strict mode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.protocols.openai_schema import NotStrictError, strict_schema


def strict(schema: object) -> Any:
    return json.loads(strict_schema(json.dumps(schema)))


def closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False, **more,
    }  # fmt: skip


def test_a_schema_that_fits_is_the_very_text_it_was() -> None:
    text = '{ "additionalProperties":false, "type":"object","required":["a"],"properties":{"a":{"type":["string","null"]}}}'

    assert text == strict_schema(text)


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"$schema": "x"}, {"type": "object", "properties": {}}])
def test_a_tool_without_parameters_has_a_closed_empty_object(schema: object) -> None:
    assert closed({}) == strict(schema)


@pytest.mark.parametrize(
    ("optional", "nullable"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "string", "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"enum": ["a", 1]}, {"type": ["string", "integer", "null"], "enum": ["a", 1, None]}),
        ({"const": "a", "description": "d"},
         {"description": "d", "anyOf": [{"type": "string", "const": "a"}, {"type": "null"}]}),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"$ref": "#/$defs/N"}, {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}),
        ({"$ref": "#/$defs/N", "description": "d"},
         {"description": "d", "anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}),
        ({"allOf": [{"$ref": "#/$defs/N"}], "description": "d"},
         {"description": "d", "anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}),
    ],
)  # fmt: skip
def test_what_was_optional_may_be_null_instead(optional: object, nullable: object) -> None:
    assert closed({"p": nullable}) == strict({"type": "object", "properties": {"p": optional}})


def test_the_model_is_told_what_cannot_be_forced() -> None:
    schema = {
        "type": "object",
        "required": ["p"],
        "properties": {"p": {"type": "string", "minLength": 2, "default": "ab"}},
    }

    assert closed({"p": {"type": "string", "description": '{minLength: 2, default: "ab"}'}}) == strict(schema)


def test_what_the_vendor_can_force_stays() -> None:
    member = {"type": "array", "items": {"type": "integer", "minimum": 0, "multipleOf": 2}, "maxItems": 3}
    text = {"type": "string", "pattern": "^a", "format": "date"}

    assert closed({"a": member, "b": text}) == strict(
        {"type": "object", "required": ["a", "b"], "properties": {"a": member, "b": text}}
    )


def test_objects_are_closed_at_every_depth() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    schema = {
        "type": "object", "required": ["a", "b"], "$defs": {"N": inner},
        "properties": {"a": {"type": "array", "items": inner}, "b": {"anyOf": [inner, {"$ref": "#/$defs/N"}]}},
    }  # fmt: skip
    shut = closed({"x": {"type": "string"}})

    assert {
        "$defs": {"N": shut},
        **closed({"a": {"type": "array", "items": shut}, "b": {"anyOf": [shut, {"$ref": "#/$defs/N"}]}}),
    } == strict(schema)


def test_members_that_must_all_hold_are_merged() -> None:
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
        ],
        "type": "object",
    }

    assert closed({"a": {"type": "string"}, "b": {"type": "string"}}) == strict(schema)


def test_a_reference_on_top_is_followed() -> None:
    node = closed({"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}})

    assert {**node, "$defs": {"N": node}} == strict({"$ref": "#/$defs/N", "$defs": {"N": node}})


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "string"}, ""),
        ({"type": "object", "anyOf": [{"type": "object", "properties": {}}]}, "anyOf"),
        ({"$ref": "#/$defs/none"}, "$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "$ref"),
        ({"type": "object", "properties": {}, "additionalProperties": True}, "additionalProperties"),
        ({"type": "object", "properties": {"m": {"type": "object"}}}, "properties.m"),
        ({"type": "object", "properties": {"m": {"type": "object", "properties": {}, "patternProperties": {}}}},
         "properties.m.patternProperties"),
        ({"type": "object", "properties": {"m": {"type": "array"}}}, "properties.m"),
        ({"type": "object", "properties": {"m": {"type": "array", "items": {}}}}, "properties.m.items"),
        ({"type": "object", "properties": {"m": True}}, "properties.m"),
        ({"type": "object", "properties": {"m": {"anyOf": [{"type": "string"}, {}]}}}, "properties.m.anyOf[1]"),
        ({"type": "object", "properties": {"m": {"$ref": "https://example.org/x"}}}, "properties.m.$ref"),
        ({"type": "object", "properties": {}, "required": ["gone"]}, "required"),
        ({"type": "object", "$defs": {"N": {"type": "object"}}, "properties": {}}, "$defs.N"),
        ({"type": "object", "allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "null"}}}]},
         "allOf[1].properties.a"),
    ],
)  # fmt: skip
def test_what_no_strict_schema_can_say_is_named_by_its_path(schema: object, path: str) -> None:
    with pytest.raises(NotStrictError) as caught:
        strict(schema)

    assert path == caught.value.path


@pytest.mark.parametrize("text", ["true", "[]", "{", '"x"', '{"a":' * 5000 + "1" + "}" * 5000])
def test_what_is_no_schema_is_no_strict_schema_either(text: str) -> None:
    with pytest.raises(ValueError, match="the schema") as caught:
        strict_schema(text)

    assert not isinstance(caught.value, NotStrictError)


_NAMES = st.sampled_from(["a", "b", "c"])
_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])},
        optional={"minLength": st.integers(0, 3), "minimum": st.integers(0, 3), "default": st.none(), "title": _NAMES},
    ),
    lambda inner: (
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"uniqueItems": st.booleans()})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"properties": st.dictionaries(_NAMES, inner, max_size=3)})
    ),
    max_leaves=6,
)


def _all_closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(map(_all_closed, schema))
    if not isinstance(schema, dict):
        return True
    names = schema.get("properties")
    if isinstance(names, dict) and (
        schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(names)
    ):
        return False
    return all(map(_all_closed, schema.values()))


@given(st.dictionaries(_NAMES, _SCHEMAS, max_size=3))
def test_what_was_rewritten_fits(properties: dict[str, Any]) -> None:
    once = strict_schema(json.dumps({"type": "object", "properties": properties}))

    assert once == strict_schema(once)
    assert _all_closed(json.loads(once))
