"""What a client's request is read as, and how it is refused."""

from __future__ import annotations

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    CacheMark,
    Document,
    FileSource,
    Image,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    UrlSource,
    WebSearch,
)  # fmt: skip
from runtime.errors import InvalidRequest
from tests.protocols.anthropic_messages.given import CODEC, NO_HEADERS, decoded, envelope

HI: list[object] = [{"role": "user", "content": "Hi."}]


def refused(body: dict[str, object]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decoded(body)
    return caught.value


def turn(role: str, *blocks: object) -> dict[str, object]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


def parts(role: str, *blocks: object) -> tuple[object, ...]:
    return decoded(turn(role, *blocks)).messages[0].content


def test_the_plain_fields_are_read() -> None:
    request = decoded(
        {
            "messages": HI, "system": "Be brief.", "stop_sequences": ["END"], "temperature": 0, "top_p": 0.0, "top_k": 0,
            "stream": True, "metadata": {"user_id": "u-1"}, "service_tier": "standard_only",
        }
    )  # fmt: skip

    assert (
        Message(role="system", content=(Text(text="Be brief."),)),
        Message(role="user", content=(Text(text="Hi."),)),
    ) == (request.messages)
    assert (100, ("END",), True, "u-1", "default") == (
        request.max_output_tokens, request.stop, request.stream, request.user, request.service_tier,
    )  # fmt: skip


def test_pitfall_066_zero_is_not_nothing() -> None:
    sampling = decoded({"messages": HI, "temperature": 0, "top_p": 0, "top_k": 0}).sampling

    assert (0.0, 0.0, 0) == (sampling.temperature, sampling.top_p, sampling.top_k)
    assert decoded({"messages": HI, "max_tokens": 0}).max_output_tokens == 0


def test_null_is_nothing() -> None:
    request = decoded(
        {"messages": HI, "system": None, "tools": None, "temperature": None, "thinking": None, "odd": None}
    )

    assert decoded({"messages": HI}) == request


def test_images_documents_and_marks_are_read() -> None:
    found = parts(
        "user",
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "T"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Words."}, "context": "C",
         "citations": {"enabled": True}, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}},
    )  # fmt: skip

    assert (
        Image(source=Base64Source(media_type="image/png", data="aGk=")),
        Image(source=UrlSource(url="https://example.com/a.png")),
        Image(source=FileSource(file_id="file_1")),
        Document(source=Base64Source(media_type="application/pdf", data="JVBE"), title="T"),
        Document(source=TextSource(text="Words."), context="C", citations=True, cache=CacheMark(ttl_s=3600)),
        Text(text="Look.", cache=CacheMark()),
    ) == found


def test_a_document_of_texts_and_images_becomes_a_text_and_its_images() -> None:
    found = parts(
        "user",
        {"type": "document", "title": "T", "cache_control": {"type": "ephemeral"}, "source": {"type": "content", "content": [
            {"type": "text", "text": "One."},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "text", "text": "Two."},
        ]}},
    )  # fmt: skip

    assert (
        Document(source=TextSource(text="One.\n\nTwo."), title="T"),
        Image(source=UrlSource(url="https://example.com/a.png"), cache=CacheMark()),
    ) == found


def test_a_search_result_reaches_every_protocol_as_a_document() -> None:
    block = {
        "type": "search_result", "source": "https://example.com/a", "title": "A",
        "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}], "citations": {"enabled": True},
    }  # fmt: skip

    assert (
        Document(source=TextSource(text="One.\n\nTwo."), title="A", context="https://example.com/a", citations=True),
    ) == parts("user", block)


def test_thinking_is_read_byte_for_byte_and_a_missing_signature_is_no_seal() -> None:
    found = parts(
        "assistant",
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB+/=="},
        {"type": "thinking", "thinking": "", "signature": "hidden"},
        {"type": "thinking", "thinking": "Ours.", "signature": ""},
        {"type": "redacted_thinking", "data": "Emw"},
    )  # fmt: skip

    assert (
        Reasoning(text="Hm.", seal="EqQB+/==", sealed_by="anthropic_messages"),
        Reasoning(seal="hidden", sealed_by="anthropic_messages"),
        Reasoning(text="Ours."),
        Reasoning(seal="Emw", sealed_by="anthropic_messages", redacted=True),
    ) == found


def test_results_of_tools_become_a_message_of_their_own_before_the_users_words() -> None:
    request = decoded(
        turn(
            "user",
            {"type": "tool_result", "tool_use_id": "a", "content": "12 C", "is_error": False},
            {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": [
                {"type": "text", "text": "No."}, {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
                {"type": "tool_reference", "tool_name": "x"},
            ]},
            {"type": "tool_result", "tool_use_id": "c"},
            {"type": "text", "text": "And now?"},
        )
    )  # fmt: skip

    assert (
        Message(
            role="tool",
            content=(
                ToolResult(call_id="a", content=(Text(text="12 C"),), is_error=False),
                ToolResult(
                    call_id="b",
                    content=(
                        Text(text="No."),
                        Image(source=UrlSource(url="https://e.com/a.png")),
                        Native(
                            protocol="anthropic_messages",
                            block="tool_reference",
                            json='{"type":"tool_reference","tool_name":"x"}',
                        ),
                    ),
                    is_error=True,
                ),
                ToolResult(call_id="c"),
            ),
        ),
        Message(role="user", content=(Text(text="And now?"),)),
    ) == request.messages


def test_input_of_a_call_stays_the_very_text() -> None:
    body = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f",'
        b'"input":{"n":123456789012345678901, "x":1.0, "s":"\\u00e9"}}]}]}'
    )
    request = CODEC.decode_request(envelope(body), NO_HEADERS)

    assert (ToolCall(id="a", name="f", arguments='{"n":123456789012345678901, "x":1.0, "s":"\\u00e9"}'),) == (
        request.messages[0].content
    )


def test_blocks_of_server_tools_and_of_unknown_kinds_are_kept_as_they_came() -> None:
    body = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":['
        b'{"type":"text","text":"a"},{"type":"server_tool_use","id":"s","name":"web_search","input":{ "q": 1.0 }},'
        b'{"type":"from_the_future","z":[1, 2]}]}]}'
    )
    request = CODEC.decode_request(envelope(body), NO_HEADERS)

    assert (
        Text(text="a"),
        Native(
            protocol="anthropic_messages",
            block="server_tool_use",
            json='{"type":"server_tool_use","id":"s","name":"web_search","input":{ "q": 1.0 }}',
        ),
        Native(protocol="anthropic_messages", block="from_the_future", json='{"type":"from_the_future","z":[1, 2]}'),
    ) == request.messages[1].content


def test_pitfall_053_instructions_in_mid_conversation_stay_instructions() -> None:
    request = decoded({"messages": [*HI, {"role": "system", "content": [{"type": "text", "text": "Now in Czech."}]}]})

    assert Message(role="system", content=(Text(text="Now in Czech."),)) == request.messages[1]


def test_pitfall_075_the_billing_line_is_left_out() -> None:
    line = "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli;"
    blocks = [{"type": "text", "text": line}, {"type": "text", "text": "You are helpful."}]

    assert (Text(text="You are helpful."),) == decoded({"messages": HI, "system": blocks}).messages[0].content
    assert (Text(text="You are helpful."),) == (
        decoded({"messages": HI, "system": line + "\nYou are helpful."}).messages[0].content
    )
    assert decoded({"messages": HI, "system": line}).messages[0].role == "user"


def test_tools_are_read_with_what_only_this_protocol_has_kept_aside() -> None:
    request = decoded(
        {
            "messages": HI,
            "tools": [
                {"name": "f", "description": "Does.", "input_schema": {"type": "object"}, "strict": True,
                 "cache_control": {"type": "ephemeral"}, "type": "custom"},
                {"name": "g", "input_schema": {"type": "object"}, "defer_loading": True, "input_examples": [{}]},
                {"name": "web_search", "type": "web_search_20260318", "max_uses": 3},
                {"type": "browser_toolset_20260801"},
            ],
        }
    )  # fmt: skip

    assert (
        Tool(name="f", description="Does.", parameters='{"type":"object"}', strict=True, cache=CacheMark()),
        Tool(name="g", parameters='{"type":"object"}'),
        Tool(
            name="web_search",
            native='{"name":"web_search","type":"web_search_20260318","max_uses":3}',
            native_protocol="anthropic_messages",
            search=WebSearch(max_uses=3),
        ),
        Tool(
            name="browser_toolset_20260801",
            native='{"type":"browser_toolset_20260801"}',
            native_protocol="anthropic_messages",
        ),
    ) == request.tools
    extras = request.extensions["anthropic_messages"]["tools"]
    assert {"g": {"defer_loading": True, "input_examples": [{}]}} == msgspec.json.decode(extras)


def test_pitfall_089_a_description_that_is_no_text_is_taken_as_its_text() -> None:
    assert (
        decoded({"messages": HI, "tools": [{"name": "f", "description": {"a": 1}}]}).tools[0].description == '{"a":1}'
    )


@pytest.mark.parametrize(
    ("given", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolMode(mode="auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolMode(mode="required"), False),
        ({"type": "none"}, ToolMode(mode="none"), None),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, NamedTool(name="f"), True),
    ],
)
def test_pitfall_091_the_choice_of_tools_is_read(given: object, expected: object, parallel: bool | None) -> None:
    request = decoded({"messages": HI, "tools": [{"name": "f"}], "tool_choice": given})

    assert (expected, parallel) == (request.tool_choice, request.parallel_tool_calls)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 31999, "display": "omitted"}},
         ReasoningConfig(mode="on", budget_tokens=31999, display="omitted")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
         ReasoningConfig(mode="adaptive", effort="xhigh")),
        ({"thinking": {"type": "disabled"}}, ReasoningConfig(mode="off")),
        ({"output_config": {"effort": "low"}}, ReasoningConfig(effort="low")),
        ({"thinking": {"type": "between_tools"}}, ReasoningConfig(mode="adaptive")),
        ({"output_config": {"effort": "galactic"}}, None),
    ],
)  # fmt: skip
def test_thinking_is_read(given: dict[str, object], expected: ReasoningConfig | None) -> None:
    assert expected == decoded({"messages": HI, **given}).reasoning


def test_the_form_of_the_answer_is_read_under_both_names() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}

    assert (
        JsonSchema(schema='{"type":"object"}')
        == decoded({"messages": HI, "output_config": {"format": form}}).response_format
    )
    assert JsonSchema(schema='{"type":"object"}') == decoded({"messages": HI, "output_format": form}).response_format


def test_fields_only_this_protocol_has_are_kept_and_unknown_ones_named() -> None:
    request = decoded({"messages": HI, "context_management": {"edits": []}, "speed": "fast", "brand_new": [1.0]})

    kept = request.extensions["anthropic_messages"]
    assert {"context_management": b'{"edits":[]}', "speed": b'"fast"', "brand_new": b"[1.0]"} == {
        name: bytes(value) for name, value in kept.items()
    }
    assert ("brand_new",) == request.unknown


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi."}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [*HI, *HI, {"role": "user", "content": [{"text": "x"}]}]}, "messages.2.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        (turn("user", {"type": "image"}), "messages.0.content.0.source"),
        (turn("user", {"type": "image", "source": {"type": "carrier_pigeon"}}), "messages.0.content.0.source.type"),
        (turn("user", {"type": "image", "source": {"type": "url"}}), "messages.0.content.0.source.url"),
        (turn("user", {"type": "tool_result"}), "messages.0.content.0.tool_use_id"),
        (turn("user", {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]}),
         "messages.0.content.0.content.0.text"),
        (turn("user", {"type": "tool_result", "tool_use_id": "a", "content": 3}), "messages.0.content.0.content"),
        (turn("user", {"type": "text", "text": "x"}, {"type": "tool_use", "id": "a", "name": "f", "input": {}}),
         "messages.0.content.1.type"),
        (turn("assistant", {"type": "tool_result", "tool_use_id": "a"}), "messages.0.content.0.type"),
        ({"messages": HI, "system": 3}, "system"),
        ({"messages": HI, "system": [{"type": "image", "source": {"type": "url", "url": "u"}}]}, "system.0.type"),
        ({"messages": HI, "max_tokens": "many"}, "max_tokens"),
        ({"messages": HI, "temperature": "hot"}, "temperature"),
        ({"messages": HI, "tools": [{"description": "x"}]}, "tools.0.name"),
        ({"messages": HI, "tools": [{"name": 5}]}, "tools.0.name"),
        ({"messages": HI, "tools": [{"name": "f", "input_schema": []}]}, "tools.0.input_schema"),
        ({"messages": HI, "tools": [{"name": "f", "input_schema": True}]}, "tools.0.input_schema"),
        ({"messages": HI, "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"messages": HI, "tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"messages": HI, "thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"messages": HI, "stop_sequences": [1]}, "stop_sequences.0"),
        ({"messages": HI, "metadata": {"user_id": 4}}, "metadata.user_id"),
        ({"messages": HI, "output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"messages": HI, "output_config": {"format": {"type": "json_schema", "schema": True}}}, "output_config.format.schema"),
    ],
)  # fmt: skip
def test_a_fault_names_the_field_as_the_vendor_does(body: dict[str, object], path: str) -> None:
    error = refused(body)

    assert path == error.param
    assert error.message.startswith(f"{path}: ")


def test_pitfall_060_a_call_in_the_users_turn_is_refused_with_the_role_it_needs() -> None:
    error = refused(turn("user", {"type": "tool_use", "id": "a", "name": "f", "input": {}}))

    assert error.message == "messages.0.content.0.type: `tool_use` blocks can only be in `assistant` messages"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b'{"model":""}', b'{"model":1}', b"{}", b'{"model":"m","stream":1}']
)
def test_peek_refuses_what_cannot_be_routed(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        CODEC.peek(body)


def test_nesting_without_end_is_refused_not_crashed_on() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    body = b'{"model":"m","max_tokens":1,"messages":' + deep + b"}"

    with pytest.raises(InvalidRequest):
        CODEC.decode_request(CODEC.peek(body), NO_HEADERS)


def test_tools_of_a_count_request_may_be_an_empty_list_and_max_tokens_absent() -> None:
    request = CODEC.decode_request(envelope({"model": "m", "messages": HI, "tools": []}), NO_HEADERS)

    assert ((), None) == (request.tools, request.max_output_tokens)


def test_a_limit_below_nothing_is_refused_and_nothing_is_not() -> None:
    """The vendor takes 0: it fills the cache and gives no answer."""
    with pytest.raises(InvalidRequest, match="max_tokens: Input should be greater than or equal to 0") as caught:
        decoded({"messages": [{"role": "user", "content": "x"}], "max_tokens": -1})

    assert caught.value.param == "max_tokens"
    assert decoded({"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}).max_output_tokens == 0
