"""What a Chat client's request is read as."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Document,
    FileSource,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.base import Envelope
from tests.protocols.openai_chat.support import CODEC, decode

PNG = "iVBORw0KGgoAAAAN"


def message(**fields: Any) -> Message:
    return decode(messages=[fields]).messages[0]


def parts(*of: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    return message(role=role, content=list(of)).content


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_roles_keep_their_places_and_names(role: str) -> None:
    read = decode(messages=[{"role": "user", "content": "a"}, {"role": role, "content": "b", "name": "n"}]).messages

    assert (
        Message(role="user", content=(Text(text="a"),)),
        Message(role=role, content=(Text(text="b"),), name="n"),
    ) == read


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "x"}, Text(text="x")),
        (
            {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            Text(text="x", cache=CacheMark(ttl_s=1800)),
        ),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text(text="x", cache=CacheMark(ttl_s=3600)),
        ),
        ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}, Text(text="x", cache=CacheMark())),
        (
            {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
            Image(source=UrlSource(url="https://e.com/a.png"), detail="low"),
        ),
        ({"type": "image_url", "image_url": "https://e.com/a.png"}, Image(source=UrlSource(url="https://e.com/a.png"))),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            Image(source=Base64Source(media_type="image/png", data=PNG)),
        ),
        (
            {"type": "image_url", "image_url": {"url": "DATA:image/webp;x=y;base64,_-A"}},
            Image(source=Base64Source(media_type="image/webp", data="/+A=")),
        ),
        (
            {"type": "image_url", "image_url": {"url": f"data:;base64,{PNG}"}},
            Image(source=Base64Source(media_type="image/png", data=PNG)),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Audio(source=Base64Source(media_type="audio/mpeg", data="AAAA")),
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "r.pdf"}},
            Document(source=Base64Source(media_type="application/pdf", data="JVBERi0="), title="r.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "JVBERi0="}},
            Document(source=Base64Source(media_type="application/pdf", data="JVBERi0=")),
        ),
        ({"type": "file", "file": {"file_id": "file_1"}}, Document(source=FileSource(file_id="file_1"))),
    ],
)
def test_parts_of_all_kinds(part: dict[str, Any], expected: Any) -> None:
    assert (expected,) == parts(part)


def test_order_and_count_of_parts_are_kept() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}
    kinds = [
        type(part).__name__
        for part in parts({"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}, image)
    ]

    assert ["Text", "Image", "Text", "Image"] == kinds


def test_empty_texts_are_left_out() -> None:
    assert () == message(role="user", content="").content
    assert (Text(text="x"),) == parts({"type": "text", "text": ""}, {"type": "text", "text": "x"})


def test_a_mark_on_a_message_goes_to_its_last_part() -> None:
    read = message(role="system", content="rules", cache_control={"type": "ephemeral"})

    assert (Text(text="rules", cache=CacheMark()),) == read.content


def test_assistant_turn_with_everything() -> None:
    read = message(
        role="assistant",
        content=[{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}],
        reasoning_content="hm",
        audio={"id": "au_1"},
        annotations=[],
        tool_calls=[
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}},
            {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}},
        ],
    )

    assert read.content == (
        Reasoning(text="hm"), Text(text="a"), Refusal(text="no"),
        Native(protocol="openai_chat", block="audio", json='{"id":"au_1"}'),
        ToolCall(id="c1", name="f", arguments='{"a": 1.0}'),
        ToolCall(id="c2", name="g", arguments="free", custom=True),
    )  # fmt: skip


def test_tool_results_of_one_turn_become_one_message_and_learn_their_names() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": f"f{n}", "arguments": "{}"}} for n in (1, 2)]
    read = decode(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "one"}]},
        ]
    ).messages

    assert Message(
        role="tool",
        content=(
            ToolResult(call_id="c2", name="f2", content=(Text(text="two"),)),
            ToolResult(call_id="c1", name="f1", content=(Text(text="one"),)),
        ),
    ) == read[1]  # fmt: skip


def test_old_functions_are_tools_and_their_calls_find_their_results() -> None:
    read = decode(
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
        messages=[
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": None},
        ],
    )
    pairs = [part.id if isinstance(part, ToolCall) else part.call_id for turn in read.messages for part in turn.content]  # type: ignore[union-attr]

    assert (Tool(name="f", parameters='{"type":"object"}'),) == read.tools
    assert NamedTool(name="f") == read.tool_choice
    assert ["call_0", "call_0", "call_1", "call_1"] == pairs


def test_tools_keep_their_schemas_to_the_byte() -> None:
    envelope = CODEC.peek(
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f",'
        b'"parameters": {"type": "object", "properties": {"n": {"maximum": 12345678901234567890, "x": 1.0}}}}}]}'
    )

    assert (
        '{"type": "object", "properties": {"n": {"maximum": 12345678901234567890, "x": 1.0}}}'
        == CODEC.decode_request(envelope, {}).tools[0].parameters
    )


def test_custom_tool_and_null_tools() -> None:
    custom = {"type": "custom", "custom": {"name": "g", "description": "d", "format": {"type": "text"}}}

    assert (Tool(name="g", description="d", custom=True, format='{"type":"text"}'),) == decode(tools=[custom]).tools
    assert () == decode(tools=None).tools == decode(tools=[]).tools


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", ToolMode(mode="auto")),
        ("none", ToolMode(mode="none")),
        ("required", ToolMode(mode="required")),
        ({"type": "function", "function": {"name": "f"}}, NamedTool(name="f")),
        ({"type": "custom", "custom": {"name": "g"}}, NamedTool(name="g")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "g"}},
                    ],
                },
            },
            ToolSubset(names=("f", "g"), required=True),
        ),
    ],
)
def test_tool_choice_in_all_forms(choice: Any, expected: Any) -> None:
    assert expected == decode(tool_choice=choice).tool_choice


def test_sampling_keeps_zeros() -> None:
    zeros = {
        "temperature": 0,
        "top_p": 0,
        "top_k": 0,
        "min_p": 0,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "seed": 0,
    }

    assert Sampling(**zeros) == decode(**zeros).sampling  # type: ignore[arg-type]


def test_nulls_are_as_if_unsaid() -> None:
    names = (
        "temperature", "top_p", "seed", "stop", "n", "logprobs", "top_logprobs", "response_format", "tools", "tool_choice",
        "max_tokens", "max_completion_tokens", "metadata", "store", "user", "stream", "stream_options", "logit_bias",
        "reasoning_effort", "verbosity", "service_tier", "prediction", "audio", "modalities", "functions", "function_call",
        "web_search_options", "parallel_tool_calls", "prompt_cache_key", "cache_control",
    )  # fmt: skip

    assert decode() == decode(**dict.fromkeys(names))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        ({"max_completion_tokens": 7}, {"max_output_tokens": 7}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_output_tokens": 7}),
        ({"max_tokens": 1}, {"max_output_tokens": 1}),
        ({"stop": "END"}, {"stop": ("END",)}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"n": 3}, {"choices": 3}),
        ({"logprobs": True}, {"top_logprobs": 0}),
        ({"logprobs": True, "top_logprobs": 4}, {"top_logprobs": 4}),
        ({"logprobs": False, "top_logprobs": 4}, {"top_logprobs": None}),
        ({"stream_options": {"include_usage": True}, "stream": True}, {"include_usage": True, "stream": True}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"reasoning_effort": "xhigh"}, {"reasoning": ReasoningConfig(effort="xhigh")}),
        ({"reasoning_effort": "none"}, {"reasoning": ReasoningConfig(mode="off")}),
        ({"verbosity": "low"}, {"verbosity": "low"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"user": "u", "metadata": {"a": "b"}, "store": False}, {"user": "u", "metadata": {"a": "b"}, "store": False}),
        ({"prompt_cache_key": "k"}, {"cache_key": "k"}),
        ({"cache_control": {"type": "ephemeral"}}, {"cache": CacheMark()}),
        ({"response_format": {"type": "text"}}, {"response_format": None}),
        ({"response_format": {"type": "json_object"}}, {"response_format": JsonObject()}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"a": 1}, "strict": False},
                }
            },
            {"response_format": JsonSchema(schema='{"a":1}', name="n", strict=False)},
        ),
    ],
)
def test_fields_find_their_canonical_places(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = decode(**fields)

    assert expected == {name: getattr(request, name) for name in expected}


def test_fields_only_chat_has_are_kept_as_they_came() -> None:
    envelope = CODEC.peek(
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"prediction": {"type": "content", "content": "p"},'
        b'"modalities":["text","audio"],"audio":{"format":"wav","voice":"ash"},"safety_identifier":"s","top_k":3,'
        b'"guided_regex": "[a-z]+","stream_options":{"include_usage":true,"include_obfuscation":false}}'
    )
    request = CODEC.decode_request(envelope, {})
    kept = {name: bytes(value) for name, value in request.extensions["openai_chat"].items()}

    assert {
        "prediction": b'{"type": "content", "content": "p"}',
        "modalities": b'["text","audio"]',
        "audio": b'{"format":"wav","voice":"ash"}',
        "safety_identifier": b'"s"',
        "top_k": b"3",
        "guided_regex": b'"[a-z]+"',
        "stream_options": b'{"include_usage":true,"include_obfuscation":false}',
    } == kept
    assert ("guided_regex",) == request.unknown


def test_an_envelope_without_its_body_is_read_too() -> None:
    full = CODEC.peek(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')

    assert CODEC.decode_request(full, {}) == CODEC.decode_request(Envelope(full.model, full.stream, full.fields), {})


USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_type"),
        ({"messages": "x"}, "messages", "invalid_type"),
        ({"messages": [3]}, "messages[0]", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [USER, {"role": "bot", "content": "x"}]}, "messages[1].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        ({"messages": [USER, USER, {"role": "user", "content": [{"type": "video"}]}]}, "messages[2].content[0].type", "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text", "invalid_type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[0].content[0].image_url.url", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}]}, "messages[0].content[0].image_url.url", "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].file", "missing_required_parameter"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f"}}]}]}, "messages[0].tool_calls[0].id", "missing_required_parameter"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"n": 0}, "n", "invalid_type"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"reasoning_effort": "much"}, "reasoning_effort", "invalid_value"),
        ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name", "invalid_type"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters", "invalid_type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"stop": 3}, "stop", "invalid_type"),
        ({"metadata": {"a": 1}}, "metadata[...]", "invalid_type"),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_path_as_the_vendor_writes_it(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)

    assert (param, code) == (caught.value.param, caught.value.code)
    assert param in caught.value.message
    assert "`" not in caught.value.message


def test_missing_messages_are_named() -> None:
    with pytest.raises(InvalidRequest, match="'messages' is required") as caught:
        CODEC.decode_request(CODEC.peek(b'{"model":"m"}'), {})
    assert caught.value.param == "messages"


def test_unknown_words_that_may_be_new_are_no_fault() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "ultra"}}
    request = decode(service_tier="hyper", verbosity="epic", messages=[{"role": "user", "content": [image]}])

    assert ("hyper", "epic") == (request.service_tier, request.verbosity)
    assert request.messages[0].content[0] == Image(source=UrlSource(url="https://e.com/a.png"), detail="ultra")


def test_sealed_thinking_of_another_protocol_comes_back_from_the_client() -> None:
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "gw1.anthropic_messages.c2ln"},
        {"type": "reasoning.encrypted", "data": "gw1.anthropic_messages.eHl6.redacted"},
    ]
    read = message(role="assistant", content="a", reasoning_content="hm", reasoning_details=details)

    assert (
        Reasoning(text="hm", seal="sig", sealed_by="anthropic_messages"),
        Reasoning(seal="xyz", sealed_by="anthropic_messages", redacted=True),
        Text(text="a"),
    ) == read.content


def test_sealed_thinking_of_a_chat_provider_stays_whole() -> None:
    details = [{"type": "reasoning.encrypted", "data": "xyz", "format": "other-v1", "index": 0}]
    read = message(role="assistant", content="a", reasoning="hm", reasoning_details=details).content[0]

    assert isinstance(read, Reasoning)
    assert ("hm", "openai_chat", details) == (read.text, read.sealed_by, msgspec.json.decode(read.seal or ""))


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_that_leaves_no_room_is_refused(field: str, value: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**{field: value})

    assert caught.value.param == field


def test_images_that_a_model_made_come_back_in_its_turns() -> None:
    """As compatible servers send them, and clients send them back."""
    shown = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    turn = {"role": "assistant", "content": "Here:", "images": shown}
    request = decode(messages=[{"role": "user", "content": "x"}, turn, {"role": "user", "content": "y"}])
    image = Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))

    assert (Text(text="Here:"), image) == request.messages[1].content
    assert request.unknown == ()


@pytest.mark.parametrize(
    ("images", "param"),
    [
        ("x", "messages[0].images"),
        ([{"type": "image_url"}], "messages[0].images[0].image_url"),
        ([{"type": "image_url", "image_url": {"url": "data:x"}}], "messages[0].images[0].image_url.url"),
    ],
)
def test_an_image_in_a_turn_that_cannot_be_read_is_named(images: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(messages=[{"role": "assistant", "content": "a", "images": images}])

    assert param == caught.value.param
