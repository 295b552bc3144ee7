"""Free-text tools to providers that know functions only, and their calls back, streamed and not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.catalog import load_all
from runtime.canonical import Delta, Message, NamedTool, PartStarted, Text, Tool, ToolCall, ToolResult, ToolSubset
from runtime.protocols.base import Outgoing
from tests.protocols.openai_chat.support import CODEC, ask, body, decode, encode, target, user, vendor_accepts
from tests.support.stream import chop, decode_stream, transcript

FUNCTIONS_ONLY = target(custom_tools=False)
GRAMMAR = '{"type":"grammar","grammar":{"syntax":"lark","definition":"start: \\"*** Begin\\""}}'
PATCH = Tool(name="apply_patch", description="Patches.", custom=True, format=GRAMMAR)
PLAIN = Tool(name="f", parameters='{"type":"object"}')
CALL = ToolCall(id="c1", name="apply_patch", arguments='*** Begin\n+"ü"', custom=True)
INPUT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
SENT = encode(ask(tools=(PATCH, PLAIN)), FUNCTIONS_ONLY)


def answered(*arguments: str, name: str = "apply_patch") -> bytes:
    """A stream that calls a function, its arguments in pieces."""
    first: dict[str, Any] = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": ""}}
    deltas = [first, *({"index": 0, "function": {"arguments": piece}} for piece in arguments)]
    chunks: list[dict[str, Any]] = [
        {"id": "r", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in deltas
    ]
    chunks.append({"id": "r", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return transcript(*chunks, "[DONE]")


def whole(arguments: str, name: str = "apply_patch") -> bytes:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return msgspec.json.encode(
        {"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    )


def call_in(response: bytes, outgoing: Outgoing = SENT) -> ToolCall:
    (part,) = CODEC.decode_response(response, outgoing).choices[0].content
    assert isinstance(part, ToolCall)
    return part


def streamed(reads: list[bytes], outgoing: Outgoing = SENT) -> ToolCall:
    events, error = decode_stream(CODEC.stream_decoder(outgoing), reads)
    assert error is None
    (begun,) = [event.part for event in events if isinstance(event, PartStarted)]
    assert isinstance(begun, ToolCall)
    text = "".join(event.text for event in events if isinstance(event, Delta))
    return msgspec.structs.replace(begun, arguments=text)


def test_pitfall_085_a_free_text_tool_is_a_function_with_one_text_property() -> None:
    sent = body(ask(tools=(PATCH, PLAIN)), FUNCTIONS_ONLY)

    assert {
        "type": "function",
        "function": {
            "name": "apply_patch",
            "description": 'Patches.\n\nThe input must follow this grammar (lark):\nstart: "*** Begin"',
            "parameters": INPUT,
        },
    } == sent["tools"][0]
    assert ("tools[0].format",) == SENT.losses
    assert {"apply_patch"} == SENT.custom_tools
    vendor_accepts(SENT.body)


@pytest.mark.parametrize(
    ("format_", "description"),
    [
        (None, None),
        ('{"type":"text"}', None),
        ('{"type":"new"}', 'The input must follow this format: {"type":"new"}'),
    ],
)
def test_without_a_grammar_nothing_is_lost(format_: str | None, description: str | None) -> None:
    outgoing = encode(ask(tools=(Tool(name="p", custom=True, format=format_),)), FUNCTIONS_ONLY)
    function = msgspec.json.decode(outgoing.body)["tools"][0]["function"]

    assert description == function.get("description")
    assert (() if description is None else ("tools[0].format",)) == outgoing.losses


def test_a_provider_that_knows_them_gets_them_as_they_are() -> None:
    outgoing = encode(ask(tools=(PATCH,)), target(custom_tools=True))
    tool = msgspec.json.decode(outgoing.body)["tools"][0]

    assert {"name": "apply_patch", "description": "Patches.", "format": msgspec.json.decode(GRAMMAR)} == tool["custom"]
    assert (frozenset(), ()) == (outgoing.custom_tools, outgoing.losses)


def test_the_catalogue_says_who_knows_them() -> None:
    assert {id_ for id_, each in load_all().items() if each.quirks.custom_tools} == {"openai", "azure-openai"}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (NamedTool(name="apply_patch"), {"type": "function", "function": {"name": "apply_patch"}}),
        (
            ToolSubset(names=("apply_patch", "f"), required=True),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "apply_patch"}},
                        {"type": "function", "function": {"name": "f"}},
                    ],
                },
            },
        ),
    ],
)
def test_a_choice_names_the_function(choice: NamedTool | ToolSubset, told: dict[str, Any]) -> None:
    assert told == body(ask(tools=(PATCH, PLAIN), tool_choice=choice), FUNCTIONS_ONLY)["tool_choice"]


def test_calls_in_history_are_the_function_s_and_read_as_the_same_text() -> None:
    result = Message(role="tool", content=(ToolResult(call_id="c1", content=(Text(text="Done."),)),))
    request = ask(user("x"), Message(role="assistant", content=(CALL,)), result, tools=(PATCH,))
    outgoing = encode(request, FUNCTIONS_ONLY)
    (call,) = msgspec.json.decode(outgoing.body)["messages"][1]["tool_calls"]

    assert (call["id"], call["type"], call["function"]["name"]) == ("c1", "function", "apply_patch")
    assert CALL == call_in(whole(call["function"]["arguments"]), outgoing)
    vendor_accepts(outgoing.body)


def test_repaired_names_are_known_again() -> None:
    outgoing = encode(ask(tools=(Tool(name="a b", custom=True),)), FUNCTIONS_ONLY)
    (name,) = outgoing.custom_tools
    expected = ToolCall(id="c1", name="a b", arguments="x", custom=True)

    assert name != "a b"
    assert expected == call_in(whole('{"input":"x"}', name), outgoing)
    assert expected == streamed([answered('{"input":', '"x"}', name=name)], outgoing)


ARGUMENTS = ['{"inp', 'ut": "*** Beg', 'in\\n+\\"', "ü", '\\""}']


def test_a_streamed_call_is_the_same_however_it_is_cut() -> None:
    for reads in chop(answered(*ARGUMENTS)):
        assert CALL == streamed(reads)


def test_streamed_and_whole_are_the_same() -> None:
    assert call_in(whole("".join(ARGUMENTS))) == streamed([answered(*ARGUMENTS)])


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    call = msgspec.structs.replace(CALL, arguments=text)
    request = ask(user("x"), Message(role="assistant", content=(call,)), tools=(PATCH,))
    arguments = body(request, FUNCTIONS_ONLY)["messages"][1]["tool_calls"][0]["function"]["arguments"]

    assert call == call_in(whole(arguments))
    assert call == streamed([answered(arguments[:5], arguments[5:])])


@pytest.mark.parametrize("arguments", ["*** Begin", '{"patch":"x"}', '{"input":1}', "", "[" * 5000])
def test_what_a_model_wrote_without_the_wrapping_is_the_text(arguments: str) -> None:
    assert arguments == call_in(whole(arguments)).arguments
    assert arguments == streamed([answered(arguments)]).arguments


def test_a_function_of_the_same_answer_is_left_alone() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"input":"x"}')

    assert call == call_in(whole('{"input":"x"}', "f"))
    assert call == streamed([answered('{"input":', '"x"}', name="f")])


def test_an_own_call_of_a_provider_that_knows_both_is_free_text() -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "apply_patch", "input": '{"input":"x"}'}}
    choice = {"index": 0, "message": {"tool_calls": [custom]}, "finish_reason": "tool_calls"}

    assert '{"input":"x"}' == call_in(msgspec.json.encode({"id": "r", "choices": [choice]})).arguments


def test_what_passes_through_stays_free_text() -> None:
    """A quirk that rewrites the messages leaves calls as the tools are: as the client sent them."""
    calls = [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "x"}}]
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": calls}]
    told = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
    tools = [{"type": "custom", "custom": {"name": "p"}}]
    envelope = CODEC.peek(msgspec.json.encode({"model": "m", "messages": [*turns, told], "tools": tools}))
    sent = msgspec.json.decode(CODEC.splice(envelope, target(custom_tools=False, empty_content="empty"), {}).body)

    assert calls == sent["messages"][1]["tool_calls"]
    assert tools == sent["tools"]


def test_a_chat_client_s_free_text_tool_is_read() -> None:
    (tool,) = decode(tools=[{"type": "custom", "custom": {"name": "p", "format": msgspec.json.decode(GRAMMAR)}}]).tools

    assert (tool.custom, tool.format) == (True, GRAMMAR)
