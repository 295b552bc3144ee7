"""What a Chat provider is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from runtime.canonical import (
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Reasoning,
    ReasoningConfig,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
)  # fmt: skip
from runtime.catalog import Capability, Limits, Model, ParameterRules, ReasoningFacts
from runtime.protocols.base import Target
from tests.protocols.openai_chat.support import CODEC, ask, body, decode, encode, target, user, vendor_accepts
from tests.support.canonical import requests

CALL = ToolCall(id="c1", name="f", arguments='{"a":1}')
RESULT = ToolResult(call_id="c1", name="f", content=(Text(text="ok"),))
TURN = Message(role="assistant", content=(CALL,))
TOLD = Message(role="tool", content=(RESULT,))
TOOL = Tool(name="f", parameters='{"type":"object"}')


def turns(*messages: Message, to: Target | None = None) -> list[dict[str, Any]]:
    return body(ask(*messages), to)["messages"]


def canonical(request: Request) -> Request:
    """A request as far as Chat can say it: one way through, one way back."""
    outgoing = encode(request, target(cache_marks="prompt_cache_breakpoint"))
    read = CODEC.decode_request(CODEC.peek(outgoing.body), {})
    return msgspec.structs.replace(read, model=request.model, include_usage=request.include_usage)


def named(value: Any) -> Any:
    """Documents without a title have the one that they would be given; strict schemas have tests of their own."""
    if isinstance(value, dict):
        if value.get("strict") is True:
            value = {name: inner for name, inner in value.items() if name != "strict"}
        if value.get("type") == "document" and value["source"]["type"] == "base64":
            value.setdefault("title", "document.pdf")
        return {name: named(inner) for name, inner in value.items()}
    return [named(inner) for inner in value] if isinstance(value, list | tuple) else value


@given(requests())
def test_what_is_encoded_is_decoded_again(request: Request) -> None:
    """Round trip, within the losses that the codec declares: documents get a name, the mention of JSON is given."""
    request = msgspec.convert(named(msgspec.to_builtins(request)), Request)
    if request.response_format == JsonObject():
        request = msgspec.structs.replace(request, messages=(*request.messages, user("as JSON")))

    assert request == canonical(request)


@given(requests())
def test_every_request_satisfies_the_vendor_s_types(request: Request) -> None:
    outgoing = encode(request, target(cache_marks="prompt_cache_breakpoint"))

    vendor_accepts(outgoing.body)
    assert () == outgoing.losses


def test_same_request_gives_the_same_bytes() -> None:
    request = ask(user("a"), TURN, TOLD, tools=(TOOL,), metadata={"b": "1", "a": "2"})

    assert encode(request).body == encode(request).body


def test_path_headers_and_order() -> None:
    outgoing = encode(ask(stream=True, sampling=Sampling(temperature=0.0)))

    assert "/v1/chat/completions" == outgoing.path
    assert (("content-type", "application/json"), ("accept", "text/event-stream")) == outgoing.headers
    assert outgoing.body.startswith(b'{"model":"up-1","messages":[')
    assert b'"temperature":0.0' in outgoing.body


def test_usage_of_a_stream_is_always_asked_for() -> None:
    assert {"include_usage": True} == body(ask(stream=True))["stream_options"]
    assert "stream_options" not in body(ask(stream=True), target(stream_usage=False))
    assert not {"stream", "stream_options"} & set(body(ask()))


def test_chat_s_own_fields_go_back_to_chat_only() -> None:
    request = decode(
        top_k=0, prediction={"type": "content", "content": "p"}, new_field=[1], functions=[{"name": "f"}],
        stream=True, stream_options={"include_obfuscation": False},
    )  # fmt: skip
    sent = body(request)

    assert (0, {"type": "content", "content": "p"}, [1]) == (sent["top_k"], sent["prediction"], sent["new_field"])
    assert {"include_usage": True, "include_obfuscation": False} == sent["stream_options"]
    assert "functions" not in sent
    assert [{"type": "function", "function": {"name": "f"}}] == sent["tools"]


def test_fields_of_other_protocols_are_dropped_and_named() -> None:
    request = ask(
        extensions={"anthropic_messages": {"context_management": msgspec.Raw(b"{}")}},
        sampling=Sampling(top_k=5, min_p=0.0),
    )
    outgoing = encode(request)

    assert {"model", "messages"} == set(msgspec.json.decode(outgoing.body))
    assert {"sampling.top_k", "sampling.min_p", "context_management"} == set(outgoing.losses)


# -- limits and sampling


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_output_limit_under_the_provider_s_name(field: str) -> None:
    assert 64 == body(ask(max_output_tokens=64), target(max_tokens_field=field))[field]


def test_output_limit_is_held_to_the_model_s() -> None:
    outgoing = encode(ask(max_output_tokens=64_000), target(Model(id="m", limits=Limits(max_output=8192))))

    assert 8192 == msgspec.json.decode(outgoing.body)["max_tokens"]
    assert ("max_output_tokens",) == outgoing.losses


def test_numbers_out_of_range_are_moved_inside() -> None:
    outgoing = encode(ask(sampling=Sampling(temperature=3.0, presence_penalty=-5.0, top_p=0.5)))
    sent = msgspec.json.decode(outgoing.body)

    assert (2.0, -2.0, 0.5) == (sent["temperature"], sent["presence_penalty"], sent["top_p"])
    assert ("sampling.temperature", "sampling.presence_penalty") == outgoing.losses


def test_logprobs_and_choices() -> None:
    assert {"logprobs": True} == {k: v for k, v in body(ask(top_logprobs=0)).items() if "logprobs" in k}
    assert {"logprobs": True, "top_logprobs": 3, "n": 2}.items() <= body(ask(top_logprobs=3, choices=2)).items()


@pytest.mark.parametrize(
    ("tier", "sent", "losses"),
    [("flex", "flex", ()), ("standard_only", "default", ()), ("ultra", None, ("service_tier",)), (None, None, ())],
)
def test_service_tier_in_the_vendor_s_words(tier: str | None, sent: str | None, losses: tuple[str, ...]) -> None:
    outgoing = encode(ask(service_tier=tier))

    assert sent == msgspec.json.decode(outgoing.body).get("service_tier")
    assert losses == outgoing.losses


def test_parameter_rules_of_provider_and_model_are_applied() -> None:
    to = target(Model(id="m", parameters=ParameterRules(drop=("temperature",), add={"x": "1"})))
    sent = body(ask(sampling=Sampling(temperature=1.0)), to)

    assert "temperature" not in sent
    assert 1 == sent["x"]


# -- tools


def test_no_tools_no_choice_no_empty_list() -> None:
    sent = body(ask(tool_choice=ToolMode(mode="auto"), parallel_tool_calls=False))

    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(sent)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolMode(mode="required"), "required"),
        (NamedTool(name="f"), {"type": "function", "function": {"name": "f"}}),
        (NamedTool(name="g"), {"type": "custom", "custom": {"name": "g"}}),
        (
            ToolSubset(names=("f", "g")),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "g"}},
                    ],
                },
            },
        ),
    ],
)
def test_tool_choice_in_all_forms(choice: Any, expected: Any) -> None:
    outgoing = encode(ask(tools=(TOOL, Tool(name="g", custom=True)), tool_choice=choice))

    vendor_accepts(outgoing.body)
    assert expected == msgspec.json.decode(outgoing.body)["tool_choice"]


def test_tool_names_are_repaired_everywhere_and_found_again() -> None:
    name = "mcp.server/" + "x" * 80
    other = name + "y"
    request = ask(
        user("a"), Message(role="assistant", content=(ToolCall(id="c", name=name, arguments="{}"),)),
        tools=(Tool(name=name), Tool(name=other)), tool_choice=NamedTool(name=name),
    )  # fmt: skip
    outgoing = encode(request)
    sent = msgspec.json.decode(outgoing.body)
    names = [tool["function"]["name"] for tool in sent["tools"]]

    vendor_accepts(outgoing.body)
    assert {names[0]: name, names[1]: other} == outgoing.tool_names
    assert all(len(name) <= 64 for name in names)
    assert (
        names[0] == sent["tool_choice"]["function"]["name"] == sent["messages"][1]["tool_calls"][0]["function"]["name"]
    )


def test_server_tools_of_other_vendors_are_left_out_and_named() -> None:
    outgoing = encode(ask(tools=(Tool(name="web_search", native="{}", native_protocol="anthropic_messages"), TOOL)))

    assert ["f"] == [tool["function"]["name"] for tool in msgspec.json.decode(outgoing.body)["tools"]]
    assert ("tools[0]",) == outgoing.losses


def test_schemas_are_sent_to_the_byte() -> None:
    schema = '{"type": "object", "properties": {"n": {"maximum": 12345678901234567890}}}'

    assert b'"parameters":' + schema.encode() in encode(ask(tools=(Tool(name="f", parameters=schema),))).body


# -- the answer's shape


def test_schema_gets_a_name() -> None:
    sent = body(ask(response_format=JsonSchema(schema='{"type":"object"}')))["response_format"]

    assert {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}} == sent


def test_schema_for_a_model_without_schemas_is_said_in_words() -> None:
    outgoing = encode(
        ask(response_format=JsonSchema(schema='{"x":1}')), target(Model(id="m", lacks=(Capability.JSON_SCHEMA,)))
    )
    sent = msgspec.json.decode(outgoing.body)

    assert {"type": "json_object"} == sent["response_format"]
    assert sent["messages"][0]["role"] == "system"
    assert '{"x":1}' in sent["messages"][0]["content"]
    assert ("response_format",) == outgoing.losses


def test_json_mode_speaks_of_json() -> None:
    assert 1 == len(body(ask(user("Give me json."), response_format=JsonObject()))["messages"])
    assert ["system", "user"] == [turn["role"] for turn in body(ask(response_format=JsonObject()))["messages"]]


# -- thinking


EFFORTS = ("low", "medium", "high")
THINKER = Model(id="m", has=(Capability.REASONING,), reasoning=ReasoningFacts(efforts=EFFORTS))


@pytest.mark.parametrize(
    ("wanted", "model", "effort"),
    [
        (None, THINKER, None),
        (ReasoningConfig(effort="low"), THINKER, "low"),
        (ReasoningConfig(effort="max"), THINKER, "high"),
        (ReasoningConfig(effort="minimal"), THINKER, "low"),
        (ReasoningConfig(mode="off"), THINKER, "none"),
        (ReasoningConfig(mode="off"), Model(id="m", reasoning=ReasoningFacts(can_disable=False)), "low"),
        (ReasoningConfig(mode="on", budget_tokens=1024), THINKER, "low"),
        (ReasoningConfig(mode="on", budget_tokens=10_000), THINKER, "medium"),
        (ReasoningConfig(mode="on", budget_tokens=31_999), THINKER, "high"),
        (ReasoningConfig(mode="adaptive", effort="high"), THINKER, "high"),
        (ReasoningConfig(mode="adaptive"), THINKER, None),
        (ReasoningConfig(effort="xhigh"), Model(id="m"), "xhigh"),
        (ReasoningConfig(mode="adaptive", effort="high"), Model(id="m"), None),
        (ReasoningConfig(mode="on", budget_tokens=2000), Model(id="m"), None),
        (ReasoningConfig(effort="high"), Model(id="m", lacks=(Capability.REASONING,)), None),
        (ReasoningConfig(mode="off"), Model(id="m", lacks=(Capability.REASONING,)), None),
    ],
)
def test_effort_is_the_nearest_word_that_the_model_knows(wanted: Any, model: Model, effort: str | None) -> None:
    assert effort == body(ask(reasoning=wanted), target(model)).get("reasoning_effort")


@pytest.mark.parametrize(("with_tools", "effort"), [("any", "high"), ("omit", None), ("none", "none")])
def test_effort_beside_tools_is_what_the_model_takes(with_tools: Any, effort: str | None) -> None:
    model = Model(id="m", reasoning=ReasoningFacts(with_tools=with_tools))
    request = ask(tools=(TOOL,), reasoning=ReasoningConfig(effort="high"))

    assert effort == body(request, target(model)).get("reasoning_effort")


THOUGHT = Message(role="assistant", content=(Reasoning(text="hm"), Text(text="a")))


def test_thinking_is_sent_back_only_to_those_who_want_it() -> None:
    foreign = Message(
        role="assistant",
        content=(Reasoning(text="hm", seal="sig", sealed_by="anthropic_messages"), Text(text="a")),
    )
    own = Message(
        role="assistant", content=(Reasoning(text="hm", seal='[{"data":"x"}]', sealed_by="openai_chat"), Text(text="a"))
    )
    replay = target(replay_reasoning=True, reasoning_field="reasoning")

    assert {"role": "assistant", "content": "a"} == turns(THOUGHT)[0] == turns(own)[0]
    assert {"role": "assistant", "content": "a", "reasoning": "hm"} == turns(foreign, to=replay)[0]
    assert [{"data": "x"}] == turns(own, to=replay)[0]["reasoning_details"]
    assert "hm" == turns(THOUGHT, to=target(replay_reasoning=True))[0]["reasoning_content"]


# -- pairing


def test_result_is_moved_behind_its_call() -> None:
    assert ["user", "assistant", "tool", "user"] == [turn["role"] for turn in turns(user("x"), TURN, user("y"), TOLD)]


def test_call_without_result_gets_one_that_says_so() -> None:
    sent = turns(user("x"), TURN, user("y"))

    assert {"role": "tool", "tool_call_id": "c1", "content": "No result of this call was recorded."} == sent[2]


def test_last_turn_may_wait_for_its_results() -> None:
    assert ["user", "assistant"] == [turn["role"] for turn in turns(user("x"), TURN)]


def test_result_without_call_becomes_the_user_s_words() -> None:
    assert {"role": "user", "content": "Result of the tool call c1: ok"} == turns(user("x"), TOLD)[1]


def test_ids_used_again_belong_to_the_nearest_call() -> None:
    again = Message(role="tool", content=(ToolResult(call_id="c1", content=(Text(text="second"),)),))
    sent = turns(user("x"), TURN, user("skipped"), TURN, again)

    assert ["No result of this call was recorded.", "second"] == [
        turn["content"] for turn in sent if turn["role"] == "tool"
    ]


def test_encoding_leaves_the_request_as_it_was() -> None:
    request = ask(user("x"), TURN, user("y"), TOLD, tools=(TOOL,))
    before = msgspec.json.encode(request)
    encode(request, target(system_anywhere=False, text_only_content=True, tool_call_id="[a-z]{9}"))

    assert before == msgspec.json.encode(request)


HOSTED = Tool(name="web_search", native='{"type":"web_search_20250305"}', native_protocol="anthropic_messages")


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (NamedTool(name="web_search"), None),
        (ToolSubset(names=("web_search",), required=True), "none"),
        (
            ToolSubset(names=("web_search", "f")),
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        ),
    ],
)
def test_a_server_tool_that_is_left_out_is_not_chosen(choice: NamedTool | ToolSubset, sent: object) -> None:
    request = ask(tools=(Tool(name="f"), HOSTED), tool_choice=choice)

    assert sent == body(request).get("tool_choice")
    assert {"tools[1]", "tool_choice"} <= set(encode(request).losses)
    assert "tool_choice" not in body(ask(tools=(HOSTED,), tool_choice=choice))
