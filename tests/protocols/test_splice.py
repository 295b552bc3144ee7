"""Top-level surgery on JSON objects: what changes is what was asked for, and not a byte more."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.catalog import Model, ParameterRules, Provider, Range, Surface
from runtime.errors import InvalidRequest
from runtime.protocols.base import Target
from runtime.protocols.splice import apply, peek, raw, renamed, replace, rewrite


def target(provider: ParameterRules | None = None, model: ParameterRules | None = None) -> Target:
    surface = Surface(path="/v1/chat/completions")
    return Target(
        Provider(id="p", name="P", base_url="https://p.example", surfaces={"openai_chat": surface},
                 parameters=provider or ParameterRules()),
        Model(id="up/model-1", parameters=model or ParameterRules()),
        surface,
    )  # fmt: skip


def fields(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def plain(of: dict[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in of.items()}


# -- peek


@pytest.mark.parametrize(
    ("stream", "expected"),
    [(b"", False), (b',"stream":null', False), (b',"stream":false', False), (b',"stream":true', True)],
)
def test_peek_reads_model_and_stream(stream: bytes, expected: bool) -> None:
    envelope = peek(b'{"model":"gpt-x"' + stream + b',"messages":[]}')

    assert (envelope.model, envelope.stream) == ("gpt-x", expected)
    assert [name for name in envelope.fields if name != "stream"] == ["model", "messages"]


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (b"", "The request body is not valid JSON: it is empty.", None, None),
        (b"  ", "The request body is not valid JSON: it is empty.", None, None),
        (b'{"model": "x",', "The request body is not valid JSON: it ends too early, at byte 14.", None, None),
        (b'{"model": x}', "The request body is not valid JSON: invalid character at byte 10.", None, None),
        (b'{"model": "x"} {}', "The request body is not valid JSON: trailing characters at byte 16.", None, None),
        (b'{"a":{"b":nope},"model":"x"}', "The request body is not valid JSON: invalid character at byte 11.", None, None),
        (b"[1]", "The request body must be a JSON object, not an array.", None, None),
        (b' "x"', "The request body must be a JSON object, not a string.", None, None),
        (b"3", "The request body must be a JSON object, not a number.", None, None),
        (b"null", "The request body must be a JSON object, not null.", None, None),
        (b'{"model":"\xff"}', "The request body is not valid UTF-8: byte 10 is not.", None, None),
        (b'{"model":"x","messages":["\xc3("]}', "The request body is not valid UTF-8: byte 26 is not.", None, None),
        (b'{"messages":[]}', "The field 'model' is required.", "model", "missing_required_parameter"),
        (b'{"model":""}', "The field 'model' must not be empty.", "model", "invalid_value"),
        (b'{"model":3}', "The field 'model' must be a string, not a number.", "model", "invalid_type"),
        (b'{"model":null}', "The field 'model' must be a string, not null.", "model", "invalid_type"),
        (b'{"model":["x"]}', "The field 'model' must be a string, not an array.", "model", "invalid_type"),
        (b'{"model":"x","stream":"yes"}', "The field 'stream' must be a boolean, not a string.", "stream", "invalid_type"),
        (b'{"model":"x","stream":1}', "The field 'stream' must be a boolean, not a number.", "stream", "invalid_type"),
    ],
)  # fmt: skip
def test_peek_says_what_is_wrong_and_where(body: bytes, message: str, param: str | None, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        peek(body)

    assert (caught.value.message, caught.value.param, caught.value.code) == (message, param, code)


@pytest.mark.parametrize("depth", [5_000, 500_000])
def test_peek_refuses_deep_nesting(depth: int) -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        peek(b'{"model":"x","messages":' + b"[" * depth + b"]" * depth + b"}")


def test_peek_takes_the_nesting_of_real_schemas() -> None:
    assert peek(b'{"model":"x","messages":' + b"[" * 100 + b"]" * 100 + b"}").model == "x"


# -- rewrite


BODIES = [
    b'{"model":"gpt-x","messages":[{"role":"user","content":"hi"}],"temperature":1.0}',
    b'{"messages": [ {"role": "user", "content": "\\u0041 \xc3\xa9"} ], "model": "gpt-x", "big": 12345678901234567890123}',
    b'\n{\n  "stream" : true,\n  "model" :\t"gpt-x",\n  "x": {"model": "gpt-x"},\n  "last": 1.50e3\n}\n',
    b'{"model":"gpt-x"}',
    b'{"messages": [],  "model":  "gpt-x", "z":\n 1}',
    b'{"we\\"ird":1,"mo\\u0064el":"gpt-x" , "z":[]}',
]


@pytest.mark.parametrize("body", BODIES)
def test_rewrite_changes_the_model_and_no_other_byte(body: bytes) -> None:
    at = body.index(b'"gpt-x"') if not body.startswith(b"\n") else body.index(b'\t"gpt-x"') + 1

    assert body[:at] + b'"up/model-1"' + body[at + 7 :] == rewrite(peek(body), target())


@given(
    st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=6) | st.lists(st.booleans()), max_size=6),
    st.sampled_from(
        [
            {},
            {"indent": 1},
            {"indent": "\t"},
            {"separators": (",", ":")},
            {"separators": (", ", ":")},
            {"separators": (", ", ":  ")},
            {"separators": (",  ", ": ")},
        ]
    ),
    st.booleans(),
)
def test_rewrite_keeps_layout_order_and_spelling(values: dict[str, Any], layout: Any, ascii_only: bool) -> None:
    values = {name: value for name, value in values.items() if name != "stream"}
    wanted = {**values, "model": "up/model-1"}
    body = json.dumps({**wanted, "model": "gpt-x"}, ensure_ascii=ascii_only, **layout).encode()

    assert json.dumps(wanted, ensure_ascii=ascii_only, **layout).encode() == rewrite(peek(body), target())


def test_rewrite_of_a_name_that_stands_twice_sends_what_was_read() -> None:
    body = b'{"model":"a", "model":"gpt-x", "n":1}'

    assert b'{"model":"up/model-1","n":1}' == rewrite(peek(body), target())


@pytest.mark.parametrize(
    "twice",
    [
        '"model":"gpt-x","n":1,"model":"gpt-x"', '"n": 1, "model": "gpt-x", "n": 1', '"model": "gpt-x", "n": 1,"model":"gpt-x"',
        '"model": "gpt-x", "n":1,"n":1', '"model": "gpt-x","n":1,"\\u006e":1',
    ],
)  # fmt: skip
def test_rewrite_sends_once_what_stands_twice_with_one_value(twice: str) -> None:
    sent = rewrite(peek(b"{" + twice.encode() + b"}"), target())

    assert {"model": "up/model-1", "n": 1} == msgspec.json.decode(sent)
    assert (sent.count(b'"model"'), sent.count(b'"n"')) == (1, 1)


def test_rewrite_applies_the_provider_s_rules_and_then_the_model_s() -> None:
    rules = target(ParameterRules(rename={"a": "b"}), ParameterRules(drop=("b",), add={"c": "[1]"}))

    assert b'{"model":"up/model-1","c":[1]}' == rewrite(peek(b'{"model":"gpt-x","a":1}'), rules)


# -- rules


@pytest.mark.parametrize(
    ("rules", "before", "after"),
    [
        (ParameterRules(drop=("a",)), {"a": 1, "b": 2}, {"b": 2}),
        (ParameterRules(rename={"a": "z"}), {"x": 0, "a": 1, "b": 2}, {"x": 0, "z": 1, "b": 2}),
        (ParameterRules(rename={"a": "b"}), {"a": 1, "b": 2}, {"b": 2}),
        (ParameterRules(range={"t": Range(min=0.0, max=1.0)}), {"t": 1.4}, {"t": 1}),
        (ParameterRules(range={"t": Range(min=0.1)}), {"t": 0}, {"t": 0.1}),
        (ParameterRules(range={"t": Range(max=0.95)}), {"t": 0.5}, {"t": 0.5}),
        (ParameterRules(range={"t": Range(max=100.0)}), {"t": 500}, {"t": 100}),
        (ParameterRules(range={"t": Range(max=1.0)}), {"t": "hot"}, {"t": "hot"}),
        (ParameterRules(range={"t": Range(max=1.0)}), {"t": None}, {"t": None}),
        (ParameterRules(range={"t": Range(max=1.0)}), {}, {}),
        (ParameterRules(add={"a": "1", "b": '{"c":2}'}), {"a": 0}, {"a": 0, "b": {"c": 2}}),
        (ParameterRules(exclusive=(("t", "p"),)), {"p": 1, "t": 2}, {"t": 2}),
        (ParameterRules(exclusive=(("t", "p"),)), {"p": 1}, {"p": 1}),
    ],
)
def test_apply_does_what_each_rule_says(rules: ParameterRules, before: dict[str, Any], after: dict[str, Any]) -> None:
    applied = plain(apply((rules,), fields(**before)))

    assert after == applied
    assert list(after) == list(applied)


def test_apply_leaves_the_text_of_a_number_inside_its_range() -> None:
    rule = ParameterRules(range={"t": Range(min=0.0, max=2.0)})

    assert b"1.000" == bytes(apply((rule,), {"t": msgspec.Raw(b"1.000")})["t"])


def test_apply_writes_a_whole_bound_as_an_integer() -> None:
    rule = ParameterRules(range={"max_tokens": Range(max=4096.0)})

    assert b"4096" == bytes(apply((rule,), fields(max_tokens=10_000))["max_tokens"])


def test_apply_keeps_falsy_values() -> None:
    before = fields(temperature=0, seed=0, flag=False, text="")

    assert before == apply((ParameterRules(drop=("other",)),), before)


# -- replace


def test_replace_reaches_into_nested_objects() -> None:
    body = b'{ "type":"message_start", "message": {"id":"m", "model" : "up", "usage":{}} }'

    assert body.replace(b'"up"', b'"public"') == replace(body, ("message", "model"), raw("public"))


def test_replace_gives_back_what_has_no_such_member() -> None:
    body = b'{"a":1}'

    assert replace(body, ("model",), raw("public")) is body


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","model":"up","choices":[{"text":"\\"model\\""}]}',
        b'{ "id":"a",\n "model" : "up", "object": "model" }',
        b'{"of":{"model":"inner"},"model":"up"}',
        b'{"of":{"model":"inner"},"mo\\u0064el":"up"}',
        b'{"model":"u\\"p"}',
        b'{"model":"up","text":"\\u4e2d\\n"}',
        b'{"model":"up","text":"\\u00e9"}',
        b'{"model":null,"n":1}',
    ],
)
def test_an_answer_is_renamed_as_replace_does_it(body: bytes) -> None:
    assert replace(body, ("model",), raw("public \u00e9")) == renamed(body, "public \u00e9")
