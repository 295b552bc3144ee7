"""Made values fit their schema, by the judgement of a validator that nobody here wrote."""

import json

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.upstream.simulated.schema import Schema, Unmakeable, instance

LEAF = st.one_of(
    st.just({"type": "string"}),
    st.integers(0, 40).map(lambda size: {"type": "string", "minLength": size}),
    st.integers(0, 20).map(lambda size: {"type": "string", "maxLength": size}),
    st.sampled_from(["date-time", "date", "email", "uuid", "uri", "ipv4"]).map(
        lambda f: {"type": "string", "format": f}
    ),
    st.integers(-50, 50).map(lambda low: {"type": "integer", "minimum": low}),
    st.integers(-50, 50).map(lambda high: {"type": "number", "maximum": high}),
    st.integers(-50, 50).map(lambda low: {"type": "integer", "exclusiveMinimum": low, "multipleOf": 7}),
    st.sampled_from(["boolean", "null", "number", "integer"]).map(lambda type_: {"type": type_}),
    st.lists(st.one_of(st.integers(), st.text()), min_size=1).map(lambda values: {"enum": values}),
    st.text().map(lambda value: {"const": value}),
)


def _grow(inner: st.SearchStrategy[dict[str, object]]) -> st.SearchStrategy[dict[str, object]]:
    fields = st.dictionaries(st.text(max_size=5), inner, max_size=4)
    return st.one_of(
        fields.map(lambda of: {"type": "object", "properties": of, "required": list(of)}),
        fields.map(lambda of: {"type": ["null", "object"], "properties": of}),
        st.builds(lambda item, low: {"type": "array", "items": item, "minItems": low}, inner, st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices}),
    )


def made(schema: object) -> object:
    parsed = msgspec.json.decode(json.dumps(schema).encode(), type=Schema)
    return json.loads(msgspec.json.encode(instance(parsed)))


@given(st.recursive(LEAF, _grow, max_leaves=8), st.sampled_from(["", "$defs", "definitions"]))
def test_a_made_value_is_valid(schema: dict[str, object], defined_in: str) -> None:
    if defined_in:
        schema = {"$ref": f"#/{defined_in}/x", defined_in: {"x": schema}}

    jsonschema.validate(made(schema), schema)


def test_a_recursive_schema_ends() -> None:
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
    node["required"] = ["next"]
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}

    jsonschema.validate(made(schema), schema)


def test_all_of_joins_objects() -> None:
    one = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    two = {"properties": {"b": {"type": "string"}}, "required": ["b"]}

    assert made({"allOf": [one, two]}) == {"a": 0, "b": "simulated"}


@pytest.mark.parametrize("pattern", [r"^[A-Z]{3}$", r"^\d{4}-\d{2}-\d{2}$", "^a", r"^\+?[0-9]+$", "^[^@]+@[^@]+$"])
def test_common_patterns_are_met(pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern}

    jsonschema.validate(made(schema), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^[αβγ]{7}$"},
        {"type": "string", "pattern": "("},
        {"type": "string", "minLength": 10, "maxLength": 5},
        {"type": "string", "minLength": 1_000_000_000},
        {"type": "array", "minItems": 1_000_000_000},
        {"type": "array", "minItems": 1_000, "items": {"type": "array", "minItems": 1_000}},
        {"type": "integer", "minimum": 1, "maximum": 0},
        {"type": "colour"},
        {"type": []},
        {"enum": []},
        {"$ref": "#/$defs/nothing"},
        {"$ref": "#"},
        {"type": "object", "properties": {"x": False}, "required": ["x"]},
        {"anyOf": [{"$ref": "#"}]},
    ],
)
def test_what_cannot_be_made_is_said_so(schema: dict[str, object]) -> None:
    with pytest.raises(Unmakeable, match=r"\w"):
        made(schema)
