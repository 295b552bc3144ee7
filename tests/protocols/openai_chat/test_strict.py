"""Strict schemas towards a Chat provider: rewritten where the meaning stays, relaxed where not, refused where neither."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import JsonSchema, Request, Tool
from runtime.errors import InvalidRequest
from tests.protocols.openai_chat.support import ask, body, encode

OPTIONAL = '{"type":"object","properties":{"a":{"type":"string"}}}'
NULLABLE = {
    "type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"],
    "additionalProperties": False,
}  # fmt: skip
FREE = '{"type":"object","properties":{"m":{"type":"object","additionalProperties":true}}}'


def tool(schema: str | None, *, strict: bool | None = True) -> Request:
    return ask(tools=(Tool(name="f", parameters=schema, strict=strict),))


def form(schema: str, *, strict: bool | None = True) -> Request:
    return ask(response_format=JsonSchema(schema=schema, name="n", strict=strict))


def sent_tool(request: Request) -> dict[str, Any]:
    function: dict[str, Any] = body(request)["tools"][0]["function"]
    return function


def test_a_strict_tool_s_schema_is_rewritten() -> None:
    assert {"name": "f", "parameters": NULLABLE, "strict": True} == sent_tool(tool(OPTIONAL))
    assert () == encode(tool(OPTIONAL)).losses


def test_a_strict_tool_without_parameters_takes_an_empty_object() -> None:
    assert {"type": "object", "properties": {}, "required": [], "additionalProperties": False} == (
        sent_tool(tool(None))["parameters"]
    )


def test_a_tool_that_no_strict_schema_can_say_is_not_strict_and_that_is_told() -> None:
    assert {"name": "f", "parameters": msgspec.json.decode(FREE), "strict": False} == sent_tool(tool(FREE))
    assert ("tools[0].parameters.properties.m.additionalProperties",) == encode(tool(FREE)).losses


@pytest.mark.parametrize("strict", [None, False])
def test_a_schema_that_is_not_strict_goes_as_it_came(strict: bool | None) -> None:
    spaced = '{ "type": "object", "additionalProperties": {} }'

    assert spaced.encode() in encode(tool(spaced, strict=strict)).body
    assert spaced.encode() in encode(form(spaced, strict=strict)).body


def test_a_strict_answer_s_schema_is_rewritten() -> None:
    assert {"name": "n", "schema": NULLABLE, "strict": True} == body(form(OPTIONAL))["response_format"]["json_schema"]


def test_an_answer_s_schema_that_cannot_be_strict_goes_without() -> None:
    assert {"name": "n", "schema": msgspec.json.decode(FREE)} == body(form(FREE))["response_format"]["json_schema"]
    assert ("response_format.schema.properties.m.additionalProperties",) == encode(form(FREE)).losses


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (tool("[]"), "tools[0].parameters"),
        (form("true"), "response_format.schema"),
        (tool('{"a":' * 3000 + "1" + "}" * 3000), "tools[0].parameters"),
    ],
)
def test_what_is_no_schema_at_all_is_refused_where_strictness_was_demanded(request_: Request, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(request_)

    assert param == caught.value.param


def test_a_form_s_name_fits_the_vendor() -> None:
    sent = body(ask(response_format=JsonSchema(schema="{}", name="what a name!")))

    assert sent["response_format"]["json_schema"]["name"].startswith("what_a_name_")
