"""The simulated provider is as strict as the vendor, and says what is wrong as the vendor does."""

import json

import pytest

from runtime.upstream.simulated.refusal import Refused, refused_shape
from runtime.upstream.simulated.request import read

USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def called(*ids: str) -> dict[str, object]:
    made = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(id_: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": id_, "content": "done"}


def user(**part: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        # unknown, missing, of the wrong type
        ({"foo": 1}, "foo", "unknown_parameter"),
        ({"messages": [USER | {"foo": 1}]}, "messages[0].foo", "unknown_parameter"),
        (user(type="text", text="x", foo=1), "messages[0].content[0].foo", "unknown_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"messages": "x"}, "messages", "invalid_type"),
        ({"messages": [USER | {"content": 5}]}, "messages[0].content", "invalid_type"),
        ({"messages": [USER | {"content": None}]}, "messages[0].content", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        # values
        ({"messages": []}, "messages", "array_below_min_length"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        (user(type="video", url="x"), "messages[0].content[0].type", "invalid_value"),
        (user(type="image_url", image_url={"url": "x.png"}), "messages[0].content[0].image_url.url", "invalid_value"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": -1}, "temperature", "decimal_below_min_value"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "integer_below_min_value"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort", "invalid_value"),
        ({"tools": []}, "tools", "array_below_min_length"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"logit_bias": {"1": 101}}, "logit_bias[...]", "integer_above_max_value"),
        # features that need a model
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"audio": {"format": "wav", "voice": "x"}}, "audio", "unsupported_parameter"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
        # rules between fields
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "invalid_parameter_combination"),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        ({"tool_choice": "auto"}, "tool_choice", "invalid_value"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
            "invalid_value",
        ),
        # the order of messages
        ({"messages": [USER, result("1")]}, "messages[1].tool_call_id", None),
        ({"messages": [USER, called("1"), result("2")]}, "messages[2].tool_call_id", None),
        ({"messages": [USER, called("1"), result("1"), result("1")]}, "messages[3].tool_call_id", None),
        ({"messages": [USER, called("1", "2"), result("1")]}, "messages", None),
        ({"messages": [USER, called("1"), USER]}, "messages", None),
        ({"messages": [USER, {"role": "assistant"}]}, "messages[1].content", None),
    ],
)
def test_what_the_vendor_would_refuse_is_refused(fields: dict[str, object], param: str, code: str | None) -> None:
    body = json.dumps({"model": "echo", "messages": [USER]} | fields).encode()

    with pytest.raises(Refused) as caught:
        read(body)

    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_what_is_required_is_named_when_it_is_missing(field: str) -> None:
    body = {"model": "echo", "messages": [USER]}
    del body[field]

    with pytest.raises(Refused) as caught:
        read(json.dumps(body).encode())

    assert (caught.value.param, caught.value.code) == (field, "missing_required_parameter")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model": "\xff"}', b'{"a":' * 100_000, b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read(body)

    assert caught.value.status == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": None, "stop": None, "max_tokens": None, "stream": None, "stream_options": None, "seed": None},
        {"n": 1, "logprobs": False, "top_logprobs": 0, "modalities": ["text"], "audio": None},
        {"prediction": {"type": "content", "content": "x"}, "moderation": None},
        {"metadata": {"a": "b"}, "store": True, "service_tier": "auto", "user": "u", "prompt_cache_key": "k"},
        {"messages": [{"role": "system", "content": "x"}, {"role": "developer", "content": "y"}, USER]},
        {"messages": [USER, called("1", "2"), result("2"), result("1"), USER]},
        {"messages": [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}, USER]},
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        user(type="image_url", image_url={"url": "https://example.com/x.png", "detail": "low"}),
        user(type="input_audio", input_audio={"data": "AAAA", "format": "wav"}),
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": ["string", "null"]}},
            }
        },
    ],
)
def test_what_the_vendor_takes_is_taken(fields: dict[str, object]) -> None:
    request = read(json.dumps({"model": "echo", "messages": [USER]} | fields).encode())

    assert request.model == "echo"


def test_an_unforeseen_reason_is_passed_on_with_its_place() -> None:
    refused = refused_shape("Something new - at `$.a[0].b`")

    assert (refused.message, refused.param) == ("Invalid 'a[0].b': Something new.", "a[0].b")
