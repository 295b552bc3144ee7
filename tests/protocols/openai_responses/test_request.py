"""What clients send, in every form the vendor documents and some it does not: read as canonical values, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    CacheMark,
    Citation,
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
    Text,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)
from runtime.errors import InvalidRequest
from runtime.protocols import CODECS, codec
from runtime.protocols.openai_responses.conversation import NATIVE_ITEMS
from tests.protocols.openai_responses.support import CODEC, decode, user
from tests.protocols.test_pairs import PARAMS, reader
from tests.protocols.test_pairs import target as any_target

WIRE = Path(__file__).parents[2] / "fixtures/wire/openai_responses"
PROTOCOL = "openai_responses"


def items(*given: Any) -> tuple[Message, ...]:
    return decode(input=list(given)).messages


def part(**fields: Any) -> Any:
    """The one part that a user's content part is read as."""
    [turn] = items({"role": "user", "content": [fields]})
    return turn.content[0] if turn.content else None


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    return caught.value


# -- the forms of input


@pytest.mark.parametrize(
    "given",
    [
        "hi",
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        [{"role": "user", "content": "hi"}],
        [{"type": "message", "role": "user", "content": "hi", "id": "msg_1", "status": "completed"}],
        [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    ],
)
def test_pitfall_067_input_is_a_text_a_list_or_one_item(given: Any) -> None:
    assert (user("hi"),) == decode(input=given).messages


def test_no_input_is_refused_but_where_the_vendor_keeps_the_conversation() -> None:
    body = msgspec.json.encode({"model": "m"})
    with pytest.raises(InvalidRequest) as caught:
        CODEC.decode_request(CODEC.peek(body), {})
    chained = msgspec.json.encode({"model": "m", "previous_response_id": "resp_1"})

    assert ("input", "missing_required_parameter") == (caught.value.param, caught.value.code)
    assert () == CODEC.decode_request(CODEC.peek(chained), {}).messages


def test_instructions_come_first_and_roles_stay() -> None:
    turns = decode(
        instructions="Be brief.", input=[{"role": "developer", "content": "b"}, {"role": "system", "content": "c"}]
    ).messages

    assert [("system", "Be brief."), ("developer", "b"), ("system", "c")] == [
        (turn.role, turn.content[0].text) for turn in turns if isinstance(turn.content[0], Text)
    ]


def test_what_one_turn_is_made_of_becomes_one_message_and_so_do_its_results() -> None:
    turns = items(
        {"role": "user", "content": "x"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "e",
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "free"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
    )

    assert ["user", "assistant", "tool"] == [turn.role for turn in turns]
    thinking, *rest = turns[1].content
    assert isinstance(thinking, Reasoning)
    assert ("hm", PROTOCOL) == (thinking.text, thinking.sealed_by)
    assert [
        Text(text="Let me see."),
        ToolCall(id="c1", name="f", arguments="{}"),
        ToolCall(id="c2", name="g", arguments="free", custom=True),
    ] == rest
    assert (
        ToolResult(call_id="c1", name="f", content=(Text(text="one"),)),
        ToolResult(call_id="c2", name="g", content=(Text(text="two"),)),
    ) == turns[2].content


def test_pitfall_042_a_call_and_its_output_are_told_apart_by_kind() -> None:
    """Two calls of different kinds under one id: each result learns the name of its own."""
    turns = items(
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": ""},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "g's"},
        {"type": "function_call_output", "call_id": "c", "output": "f's"},
    )

    assert [("g", "g's"), ("f", "f's")] == [
        (result.name, result.content[0].text)
        for result in turns[1].content
        if isinstance(result, ToolResult) and isinstance(result.content[0], Text)
    ]


@pytest.mark.parametrize("kind", sorted(NATIVE_ITEMS - {"additional_tools", "tool_search_output"}))
def test_items_of_this_protocol_only_are_kept_whole(kind: str) -> None:
    item = {"type": kind, "id": "x_1", "odd": [1.5]}
    [turn] = items(item)

    [block] = turn.content
    assert isinstance(block, Native)
    assert (PROTOCOL, kind, item) == (block.protocol, block.block, msgspec.json.decode(block.json))


def test_a_bare_id_is_a_reference_to_an_item() -> None:
    [turn] = items({"id": "msg_1"})

    assert [Native(protocol=PROTOCOL, block="item_reference", json='{"id":"msg_1"}')] == list(turn.content)


def test_tools_that_come_as_an_item_are_known_to_all() -> None:
    item = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [{"type": "function", "name": "late", "parameters": {"type": "object"}}],
    }
    request = decode(input=[{"role": "user", "content": "x"}, item])

    assert ["late"] == [tool.name for tool in request.tools]


def test_pitfall_068_an_unknown_item_is_refused_by_name() -> None:
    known = {"role": "user", "content": "x"}
    error = refused(input=[known, known, known, {"type": "telepathy", "text": "?"}])

    assert ("input[3].type", "invalid_value") == (error.param, error.code)
    assert "telepathy" in error.message


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"content": "x"}, "input[0].role"),
        ({"role": "tool", "content": "x"}, "input[0].role"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output"),
        ({"role": "user", "content": [{"type": "input_video"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"text": "x"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": 5}, "input[0].content"),
        ({"type": "reasoning", "summary": [], "content": 5}, "input[0].content"),
        ({"type": "reasoning", "summary": 5}, "input[0].summary"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url"),
    ],
)
def test_a_faulty_item_is_refused_by_its_path(item: dict[str, Any], param: str) -> None:
    assert param == refused(input=[item]).param


# -- content


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "input_image", "image_url": "https://e.com/a.png", "detail": "low"}, Image(source=UrlSource(url="https://e.com/a.png"), detail="low")),
        ({"type": "input_image", "image_url": "https://e.com/a.png", "detail": "auto"}, Image(source=UrlSource(url="https://e.com/a.png"))),
        ({"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}, Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))),
        ({"type": "input_image", "file_id": "file_1"}, Image(source=FileSource(file_id="file_1"))),
        ({"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "high"}}, Image(source=UrlSource(url="https://e.com/a.png"), detail="high")),
        ({"type": "input_image", "image_url": {"url": "https://e.com/a.png"}}, Image(source=UrlSource(url="https://e.com/a.png"))),
    ],
)  # fmt: skip
def test_pitfall_071_every_spelling_of_an_image_is_read(fields: dict[str, Any], expected: Image) -> None:
    assert expected == part(**fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"file_id": "file_1"}, Document(source=FileSource(file_id="file_1"))),
        ({"file_url": "https://e.com/a.pdf"}, Document(source=UrlSource(url="https://e.com/a.pdf"))),
        ({"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}, Document(source=Base64Source(media_type="application/pdf", data="JVBERi0="), title="a.pdf")),
        ({"filename": "a.pdf", "file_data": "JVBERi0"}, Document(source=Base64Source(media_type="application/pdf", data="JVBERi0="), title="a.pdf")),
    ],
)  # fmt: skip
def test_files(fields: dict[str, Any], expected: Document) -> None:
    assert expected == part(type="input_file", **fields)


def test_a_mark_for_the_cache_is_read() -> None:
    marked = part(type="input_text", text="x", prompt_cache_breakpoint={"mode": "explicit", "ttl": "30m"})

    assert Text(text="x", cache=CacheMark(ttl_s=1800)) == marked


def test_words_of_the_model_keep_citations_refusals_and_their_phase() -> None:
    note = {"type": "url_citation", "url": "https://e.com", "title": "t", "start_index": 0, "end_index": 1}
    said = [{"type": "output_text", "text": "a", "annotations": [note]}, {"type": "refusal", "refusal": "No."}]
    [turn] = items({"type": "message", "role": "assistant", "content": said, "phase": "commentary"})

    phase, *rest = turn.content
    assert isinstance(phase, Native)
    assert [
        Text(text="a", citations=(Citation(url="https://e.com", title="t", start=0, end=1),)),
        Refusal(text="No."),
    ] == rest


@pytest.mark.parametrize(
    "output", ["ok", [{"type": "input_text", "text": "ok"}], [{"type": "output_text", "text": "ok"}]]
)
def test_pitfall_069_a_result_is_a_text_or_parts(output: Any) -> None:
    [turn] = items({"type": "function_call_output", "call_id": "c", "output": output})

    assert (ToolResult(call_id="c", name=None, content=(Text(text="ok"),)),) == turn.content


def test_a_result_may_hold_pictures_and_files() -> None:
    output = [{"type": "input_image", "image_url": "https://e.com/a.png"}, {"type": "input_file", "file_id": "file_1"}]
    [turn] = items({"type": "function_call_output", "call_id": "c", "output": output})

    [result] = turn.content
    assert isinstance(result, ToolResult)
    assert [Image, Document] == [type(piece) for piece in result.content]


@pytest.mark.parametrize("arguments", ['{"a":1}', {"a": 1}])
def test_arguments_may_be_the_object_itself(arguments: Any) -> None:
    [turn] = items({"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments})

    assert (ToolCall(id="c", name="f", arguments='{"a":1}'),) == turn.content


# -- tools


def test_functions_keep_strictness_and_schema_and_chat_s_nested_form_is_read() -> None:
    flat = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    nested = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}

    assert (
        Tool(name="f", description="d", parameters='{"type":"object"}', strict=True),
        Tool(name="g", parameters='{"type":"object"}'),
    ) == decode(tools=[flat, nested]).tools


def test_a_free_text_tool_keeps_its_grammar() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}
    [tool] = decode(tools=[{"type": "custom", "name": "apply_patch", "description": "d", "format": grammar}]).tools

    assert (True, "d") == (tool.custom, tool.description)
    assert {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "a"'}} == msgspec.json.decode(
        tool.format or ""
    )


def test_pitfall_086_the_vendor_s_own_tools_are_nobody_s_functions() -> None:
    hosted = {"type": "web_search", "search_context_size": "low"}
    request = decode(tools=[hosted, {"type": "function", "name": "f", "parameters": {"type": "object"}}])

    assert (PROTOCOL, hosted) == (request.tools[0].native_protocol, msgspec.json.decode(request.tools[0].native or ""))
    for protocol in sorted(set(CODECS) - {PROTOCOL}):
        body = codec(protocol).encode_request(request, any_target(protocol), {}).body
        assert b"web_search" not in body, protocol
        assert b'"f"' in body, protocol


def test_pitfall_092_grouped_tools_are_flattened_and_find_their_group_again() -> None:
    inner = {"type": "function", "name": "create", "parameters": {"type": "object"}, "strict": False}
    group = {"type": "namespace", "name": "tickets", "description": "All of tickets.", "tools": [inner]}
    call = {"type": "function_call", "call_id": "c", "name": "create", "namespace": "tickets", "arguments": "{}"}
    request = decode(
        tools=[group],
        input=[
            {"role": "user", "content": "x"},
            call,
            {"type": "function_call_output", "call_id": "c", "output": "ok"},
        ],
    )
    sent = msgspec.json.decode(CODEC.encode_request(request, any_target(PROTOCOL), {}).body)
    chat = msgspec.json.decode(codec("openai_chat").encode_request(request, any_target("openai_chat"), {}).body)

    assert ["tickets__create"] == [tool.name for tool in request.tools]
    assert [group] == sent["tools"]
    assert ("create", "tickets") == (sent["input"][1]["name"], sent["input"][1]["namespace"])
    assert (
        "tickets__create"
        == chat["tools"][0]["function"]["name"]
        == chat["messages"][1]["tool_calls"][0]["function"]["name"]
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", ToolMode(mode="auto")), ("none", ToolMode(mode="none")), ("required", ToolMode(mode="required")),
        ({"type": "function", "name": "f"}, NamedTool(name="f")), ({"type": "custom", "name": "f"}, NamedTool(name="f")),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}, ToolSubset(names=("f",), required=True)),
        ({"type": "web_search"}, None),
    ],
)  # fmt: skip
def test_tool_choices(given: Any, expected: Any) -> None:
    assert expected == decode(tools=[{"type": "function", "name": "f"}], tool_choice=given).tool_choice


def test_an_unknown_tool_choice_is_refused() -> None:
    assert "tool_choice" == refused(tool_choice="perhaps").param


# -- the other fields


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"max_output_tokens": 50}, "max_output_tokens", 50),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"top_logprobs": 3}, "top_logprobs", 3),
        ({"include": ["message.output_text.logprobs"]}, "top_logprobs", 0),
        ({"reasoning": {"effort": "high"}}, "reasoning", ReasoningConfig(effort="high")),
        ({"reasoning": {"effort": "none"}}, "reasoning", ReasoningConfig(mode="off")),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, "reasoning", ReasoningConfig(effort="low", display="summarized")),
        ({"reasoning": {}}, "reasoning", None),
        ({"text": {"format": {"type": "text"}}}, "response_format", None),
        ({"text": {"format": {"type": "json_object"}}}, "response_format", JsonObject()),
        ({"text": {"verbosity": "low"}}, "verbosity", "low"),
        ({"store": False}, "store", False),
        ({"prompt_cache_key": "k"}, "cache_key", "k"),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"user": "u"}, "user", "u"),
        ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
        ({"stream": True}, "stream", True),
        ({"brand_new": 1}, "unknown", ("brand_new",)),
    ],
)  # fmt: skip
def test_field(fields: dict[str, Any], name: str, expected: Any) -> None:
    assert expected == getattr(decode(**fields), name)


def test_pitfall_136_the_wanted_shape_reaches_the_other_dialects_in_their_words() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    request = decode(text={"format": {"type": "json_schema", "name": "shape", "schema": schema, "strict": True}})
    chat = msgspec.json.decode(codec("openai_chat").encode_request(request, any_target("openai_chat"), {}).body)
    back = CODEC.encode_request(
        codec("openai_chat").decode_request(codec("openai_chat").peek(msgspec.json.encode(chat)), {}),
        any_target(PROTOCOL),
        {},
    )

    assert JsonSchema(schema=msgspec.json.encode(schema).decode(), name="shape", strict=True) == request.response_format
    assert {"name": "shape", "schema": schema, "strict": True} == chat["response_format"]["json_schema"]
    assert {"type": "json_schema", "name": "shape", "schema": schema, "strict": True} == msgspec.json.decode(back.body)[
        "text"
    ]["format"]


def test_a_stored_prompt_template_is_refused() -> None:
    error = refused(prompt={"id": "pmpt_1"})

    assert ("prompt", "unsupported") == (error.param, error.code)


ONLY_HERE = {
    "client_metadata": {"a": "b"}, "truncation": "auto", "prompt_cache_retention": "24h", "safety_identifier": "s",
    "max_tool_calls": 3, "previous_response_id": "resp_1", "context_management": [{"type": "compaction"}],
    "include": ["web_search_call.action.sources"], "stream_options": {"include_obfuscation": False}, "background": False,
}  # fmt: skip


def test_pitfall_076_fields_of_this_protocol_reach_no_other() -> None:
    request = decode(stream=True, **ONLY_HERE)

    for protocol in sorted(set(CODECS) - {PROTOCOL}):
        outgoing = codec(protocol).encode_request(request, any_target(protocol), {})
        sent = msgspec.json.decode(outgoing.body)
        assert not ONLY_HERE.keys() - {"stream_options"} & sent.keys(), protocol
        assert "include_obfuscation" not in sent.get("stream_options", {}), protocol
    own = msgspec.json.decode(CODEC.encode_request(request, any_target(PROTOCOL), {}).body)
    assert {name: ONLY_HERE[name] for name in ONLY_HERE.keys() - {"background"}}.items() <= own.items()


@pytest.mark.parametrize("protocol", sorted(CODECS))
def test_a_coding_agents_turn_fits_every_vendors_types(protocol: str) -> None:
    agent = (WIRE / "codex-turn.request.json").read_bytes()
    request = CODEC.decode_request(CODEC.peek(agent), {})
    outgoing = codec(protocol).encode_request(request, any_target(protocol), {})

    reader(PARAMS[protocol][0]).validate_python(msgspec.json.decode(outgoing.body))


@pytest.mark.parametrize("protocol", ["anthropic_messages", "gemini", "ollama_chat"])
def test_pitfall_085_a_free_text_tool_has_a_text_where_it_must_be_a_function(protocol: str) -> None:
    request = decode(tools=[{"type": "custom", "name": "apply_patch", "description": "d"}])
    outgoing = codec(protocol).encode_request(request, any_target(protocol), {})

    assert {"apply_patch"} == set(outgoing.custom_tools)
    assert b'"required":["input"]' in outgoing.body


@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_that_leaves_no_room_is_refused(value: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(max_output_tokens=value)

    assert caught.value.param == "max_output_tokens"
