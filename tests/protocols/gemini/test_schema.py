"""Schemas on their way to the vendor: what it refuses is rewritten where the meaning stays, told in words, or refused by name."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.canonical import JsonSchema, Tool
from runtime.errors import InvalidRequest
from runtime.protocols.gemini.schema import UnsayableError, answer_schema, parameters_schema
from runtime.protocols.gemini.vendor_schema import json_schema_of, lower_types
from tests.protocols.gemini.given import ask, decoded, sent

AGENT = Path(__file__).parents[2] / "fixtures/wire/anthropic_messages/agent-turn.request.json"
HONOURED = {
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems",
    "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required", "propertyOrdering",
}  # fmt: skip


def cleaned(schema: Any) -> Any:
    return msgspec.json.decode(answer_schema(msgspec.json.encode(schema).decode()))


def keywords(schema: Any) -> set[str]:
    """All keywords of a schema, not the names of its properties."""
    found: set[str] = set()
    if isinstance(schema, dict):
        for key, value in schema.items():
            found.add(key)
            inner = value.values() if key in {"properties", "$defs"} else [value] if isinstance(value, dict) else value
            for member in inner if not isinstance(inner, str | int | float | bool) else ():
                found |= keywords(member)
    return found


CASES: dict[str, tuple[Any, Any]] = {
    "const": ({"const": "a"}, {"enum": ["a"], "type": "string"}),
    "const number": ({"const": 1}, {"enum": [1]}),
    "const null": ({"const": None}, {"type": "null"}),
    "const true": ({"const": True}, {"type": "boolean", "description": "{const: true}"}),
    "one of": ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
    "types": (
        {"type": ["string", "null"], "description": "d"},
        {"description": "d", "anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    "types with enum": (
        {"type": ["string", "null"], "enum": ["a", None]},
        {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
    ),
    "types with items": (
        {"type": ["array", "string"], "items": {"type": "string"}, "minItems": 1},
        {"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, {"type": "string"}]},
    ),
    "one type": ({"type": ["string"]}, {"type": "string"}),
    "enum with null": ({"enum": ["a", None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
    "all of": (
        {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                   {"properties": {"b": {"minimum": 1}}, "required": ["b"]}], "description": "d"},
        {"description": "d", "type": "object", "properties": {"a": {"type": "string"}, "b": {"minimum": 1}},
         "required": ["a", "b"]},
    ),
    "bounds of both": ({"allOf": [{"minimum": 1, "maximum": 9}, {"minimum": 3, "maximum": 20}]}, {"minimum": 3, "maximum": 9}),
    "exclusive": ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "description": "{exclusiveMinimum: 0}"}),
    "exclusive whole": ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
                        {"type": "integer", "minimum": 1, "maximum": 8}),
    "exclusive old": ({"minimum": 1, "exclusiveMinimum": True}, {"description": "{exclusiveMinimum: 1}"}),
    "pattern": ({"type": "string", "pattern": "^a$", "minLength": 2},
                {"type": "string", "description": '{pattern: "^a$", minLength: 2}'}),
    "multiple of": ({"type": "number", "multipleOf": 0.5, "description": "d"},
                    {"type": "number", "description": "d\n\n{multipleOf: 0.5}"}),
    "not": ({"type": "string", "not": {"const": "a"}}, {"type": "string", "description": '{not: {"const":"a"}}'}),
    "default": ({"type": "integer", "default": 3}, {"type": "integer", "description": "{default: 3}"}),
    "silent": ({"$schema": "x", "type": "string", "examples": ["a"], "$comment": "c", "enumDescriptions": ["x"]}, {"type": "string"}),
    "format": ({"type": "string", "format": "email"}, {"type": "string", "description": '{format: "email"}'}),
    "known format": ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    "true": ({"type": "object", "properties": {"a": True, "b": False}}, {"type": "object", "properties": {"a": {}}}),
    "tuple": ({"type": "array", "items": [{"type": "string"}]}, {"type": "array", "prefixItems": [{"type": "string"}]}),
    "required": ({"type": "object", "properties": {"a": {}}, "required": ["a", "b"]},
                 {"type": "object", "properties": {"a": {}}, "required": ["a"], "description": '{required: ["b"]}'}),
    "definitions": (
        {"definitions": {"a": {"type": "string", "const": "x"}}, "properties": {"p": {"$ref": "#/definitions/a"}}},
        {"properties": {"p": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string", "enum": ["x"]}}},
    ),
    "beside a reference": (
        {"$defs": {"a": {"type": "string"}, "unused": {"not": {}}}, "properties": {"p": {"$ref": "#/$defs/a", "description": "d"}}},
        {"properties": {"p": {"anyOf": [{"$ref": "#/$defs/a"}], "description": "d"}}, "$defs": {"a": {"type": "string"}}},
    ),
    "reference to a place": (
        {"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}},
    ),
    "capitals": ({"type": "OBJECT", "properties": {"type": {"type": "STRING"}}},
                 {"type": "object", "properties": {"type": {"type": "string"}}}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_schema_is_rewritten(case: str) -> None:
    given, expected = CASES[case]

    assert expected == cleaned(given)
    assert keywords(expected) <= HONOURED


def test_a_schema_that_comes_back_to_itself_is_kept_where_it_may_be_left_out() -> None:
    tree = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"$ref": "#"}},
        "required": ["name", "next"],
    }
    found = cleaned(tree)

    assert ["name"] == found["required"]
    assert found["properties"]["next"] == {"$ref": "#/$defs/root"}
    assert ["name"] == found["$defs"]["root"]["required"]
    assert '{required: ["next"]}' == found["description"]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": {"$ref": "https://example.com/x.json"}}}, "properties.a.$ref"),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "properties.a.$ref"),
        ({"items": {"$dynamicRef": "#x"}}, "items.$dynamicRef"),
        ({"properties": {"a": {"type": "text"}}}, "properties.a.type"),
        ({"properties": {"a": {"anyOf": [False]}}}, "properties.a.anyOf"),
        ({"anyOf": [{"allOf": [{"type": "string"}, {"type": "integer"}]}]}, "anyOf.0.allOf"),
        ({"$defs": {"d": {"type": 5}}, "$ref": "#/$defs/d"}, "$defs.d.type"),
        ({"type": "object", "properties": {"a": {"type": {"b": 1}}}}, "properties.a.type"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_path(schema: Any, path: str) -> None:
    with pytest.raises(UnsayableError) as caught:
        cleaned(schema)
    assert path == caught.value.path


def test_the_refusal_names_the_tool_and_the_keyword() -> None:
    tool = Tool(name="f", parameters='{"type":"object","properties":{"a":{"$ref":"#/x"}}}')
    with pytest.raises(InvalidRequest, match="the tool 'f'") as caught:
        sent(ask(tools=(tool,)))
    assert "tools[0].parameters.properties.a.$ref" == caught.value.param


def test_a_sound_schema_stays_the_very_text() -> None:
    text = '{ "type": "object", "properties": {"b": {"type":"string"}, "a": {"minimum": 1.0}} }'

    assert text == parameters_schema(text) == answer_schema(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{}", {"type": "object"}),
        ('{"properties":{"a":{}}}', {"type": "object", "properties": {"a": {}}}),
        ('{"type":"string"}', {"type": "object", "properties": {"value": {"type": "string"}}, "required": ["value"]}),
        ('{"anyOf":[{"type":"object"}]}', {"type": "object", "anyOf": [{"type": "object"}]}),
        ("true", {"type": "object", "properties": {}}),
    ],
)
def test_parameters_are_an_object_at_the_top(given: str, expected: Any) -> None:
    assert expected == msgspec.json.decode(parameters_schema(given) or "null")


def test_pitfalls_078_to_083_a_coding_agents_tools_reach_the_vendor_with_honoured_keywords_only() -> None:
    from runtime.protocols import codec

    anthropic = codec("anthropic_messages")
    request = anthropic.decode_request(anthropic.peek(AGENT.read_bytes()), {})
    body = sent(request)
    tools = body["tools"][0]["functionDeclarations"]
    before = {tool["name"]: tool for tool in msgspec.json.decode(AGENT.read_bytes())["tools"]}

    assert len(before) == len(tools)
    for tool in tools:
        assert keywords(tool["parametersJsonSchema"]) <= HONOURED
        assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}", tool["name"])
        if tool["name"] in before:
            assert before[tool["name"]]["input_schema"].get("required") == tool["parametersJsonSchema"].get("required")


def test_pitfall_078_schema_word_is_taken_out() -> None:
    schema = '{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{}}'

    assert {"type": "object", "properties": {}} == msgspec.json.decode(parameters_schema(schema) or "")


def test_pitfall_079_and_080_cleaning_reaches_every_depth() -> None:
    inner = {
        "type": "object",
        "properties": {"x": {"type": "integer", "exclusiveMinimum": 2}},
        "propertyNames": {"pattern": "a"},
    }
    found = cleaned({"type": "array", "items": {"anyOf": [inner, {"$ref": "#/$defs/d"}]}, "$defs": {"d": inner}})

    assert keywords(found) <= HONOURED
    assert 3 == found["$defs"]["d"]["properties"]["x"]["minimum"]


def test_pitfall_081_type_lists_and_all_of_are_no_lists_any_more() -> None:
    found = cleaned({"type": ["string", "null"], "allOf": [{"minLength": 1}]})

    assert [{"type": "string"}, {"type": "null"}] == found["anyOf"]
    assert "minLength" in found["description"]


def test_pitfall_082_multiple_of_and_enum_descriptions_are_gone() -> None:
    assert keywords(cleaned({"multipleOf": 2, "enumDescriptions": ["a"]})) == {"description"}


def test_pitfall_083_what_is_required_and_what_fits_a_pattern_is_still_told() -> None:
    found = cleaned({"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}, "required": ["a"]})

    assert ["a"] == found["required"]
    assert "^x" in found["properties"]["a"]["description"]


def test_pitfall_084_no_schema_is_in_the_vendors_own_form_which_differs_between_its_two_services() -> None:
    body = sent(ask(tools=(Tool(name="f", parameters='{"type":"object","properties":{"a":{"type":"string"}}}'),),
                    response_format=JsonSchema(schema='{"type":"string"}')))  # fmt: skip

    assert "parameters" not in body["tools"][0]["functionDeclarations"][0]
    assert "responseSchema" not in body["generationConfig"]


VENDOR: list[tuple[Any, Any]] = [
    ({"type": "STRING", "format": "enum", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
    ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
    ({"type": "STRING", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
    ({"any_of": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ({"type": "ARRAY", "min_items": "1", "maxItems": 3, "items": {"type": "NUMBER"}},
     {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "number"}}),
    ({"type": "OBJECT", "properties": {"a_b": {"type": "STRING"}, "type": {"type": "INTEGER"}}, "property_ordering": ["type", "a_b"]},
     {"type": "object", "properties": {"type": {"type": "integer"}, "a_b": {"type": "string"}}}),
    ({"type": "TYPE_UNSPECIFIED", "example": 1}, {"examples": [1]}),
    ({"ref": "#/$defs/a", "defs": {"a": {"type": "STRING"}}}, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), VENDOR)
def test_the_vendors_own_form_becomes_json_schema(given: Any, expected: Any) -> None:
    text = json_schema_of(msgspec.Raw(msgspec.json.encode(given)), "p")

    assert expected == msgspec.json.decode(text)
    assert list(expected.get("properties", {})) == list(msgspec.json.decode(text).get("properties", {}))


def test_capitals_in_a_json_schema_are_put_right_and_nothing_else() -> None:
    given = b'{"type":"OBJECT","properties":{"type":{"type":["STRING","NULL"],"default":{"type":"A"}}}}'
    sound = msgspec.Raw(b'{ "type": "object", "default": 1.0 }')

    assert '{"type":"object","properties":{"type":{"type":["string","null"],"default":{"type":"A"}}}}' == lower_types(
        msgspec.Raw(given), "p"
    )
    assert '{ "type": "object", "default": 1.0 }' == lower_types(sound, "p")


def test_both_spellings_of_both_kinds_of_parameters_are_read() -> None:
    tools = decoded(tools=[{"function_declarations": [
        {"name": "a", "parameters": {"type": "OBJECT", "properties": {"x_y": {"type": "STRING"}}}},
        {"name": "b", "parameters_json_schema": {"type": "object", "properties": {"x_y": {"any_of": 1}}}},
        {"name": "c", "behavior": "NON_BLOCKING"},
    ]}, {"google_search": {}}]).tools  # fmt: skip

    assert ["a", "b", "c", "googleSearch"] == [tool.name for tool in tools]
    assert '{"type":"object","properties":{"x_y":{"type":"string"}}}' == tools[0].parameters
    assert '{"type":"object","properties":{"x_y":{"any_of":1}}}' == tools[1].parameters
    assert tools[2].parameters is None
    assert '{"googleSearch":{}}' == tools[3].native


@pytest.mark.parametrize("schema", [True, [], "string", 1])
@pytest.mark.parametrize("field", ["parameters", "parametersJsonSchema"])
def test_parameters_that_are_no_object_are_refused_by_the_fields_name(field: str, schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be an object") as caught:
        decoded(tools=[{"functionDeclarations": [{"name": "f", field: schema}]}])

    assert f"tools[0].functionDeclarations[0].{field}" == caught.value.param


@pytest.mark.parametrize("field", ["responseSchema", "responseJsonSchema"])
def test_a_schema_of_answers_that_is_no_object_is_refused_by_the_fields_name(field: str) -> None:
    with pytest.raises(InvalidRequest, match="must be an object") as caught:
        decoded(generationConfig={"responseMimeType": "application/json", field: True})

    assert f"generationConfig.{field}" == caught.value.param


@pytest.mark.parametrize("digits", ["²", "٥", "9" * 5000])
def test_what_only_looks_like_a_number_is_none(digits: str) -> None:
    """The client hears of it as of any other schema that means nothing, not of an error of the gateway's."""
    schema = {"type": "array", "minItems": digits, "anyOf": [{"type": "string"}, {"$ref": f"#/anyOf/{digits}"}]}
    with suppress(UnsayableError):
        cleaned(schema)
    vendors = msgspec.Raw(msgspec.json.encode({"type": "ARRAY", "minItems": digits}))
    assert digits == msgspec.json.decode(json_schema_of(vendors, "schema"))["minItems"]
