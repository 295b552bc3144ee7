"""How tools are put to the vendor, and how its models are told to think."""

from __future__ import annotations

import msgspec
import pytest

from runtime.canonical import (
    Message,
    NamedTool,
    ReasoningConfig,
    Sampling,
    Tool,
    ToolCall,
    ToolMode,
    ToolSubset,
)  # fmt: skip
from runtime.catalog import ReasoningFacts
from runtime.catalog.capability import Capability
from tests.protocols.anthropic_messages.given import (
    ADAPTIVE,
    ALWAYS,
    BUDGET,
    CODEC,
    EFFORT,
    NO_HEADERS,
    F,
    decoded,
    losses,
    saying,
    sent,
    target,
    user,
)  # fmt: skip

# ---------------------------------------------------------------- tools


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolMode(mode="auto"), None, {"type": "auto"}),
        (ToolMode(mode="none"), False, {"type": "none"}),
        (ToolMode(mode="required"), None, {"type": "any"}),
        (ToolMode(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (NamedTool(name="f"), None, {"type": "tool", "name": "f"}),
        (ToolSubset(names=("f",), required=True), None, {"type": "any"}),
        (ToolSubset(names=("f",)), None, None),
    ],
)
def test_pitfall_091_the_choice_of_tools_is_said(choice: object, parallel: bool | None, expected: object) -> None:
    body = sent(saying(tools=(F, Tool(name="g")), tool_choice=choice, parallel_tool_calls=parallel))

    assert expected == body.get("tool_choice")
    assert (["f"] if isinstance(choice, ToolSubset) else ["f", "g"]) == [tool["name"] for tool in body["tools"]]  # type: ignore[attr-defined]


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in sent(saying(tool_choice=ToolMode(mode="required"), parallel_tool_calls=False))


def test_pitfall_085_a_free_text_tool_is_a_function_with_one_text_and_its_calls_are_unwrapped() -> None:
    patch = Tool(name="apply_patch", description="Patches.", custom=True, format='{"type":"grammar","syntax":"lark"}')
    turn = Message(
        role="assistant", content=(ToolCall(id="a", name="apply_patch", arguments="*** Begin", custom=True),)
    )
    outgoing = CODEC.encode_request(saying(user("Hi."), turn, tools=(patch,)), target(), NO_HEADERS)
    body = msgspec.json.decode(outgoing.body)
    answer = (
        b'{"type":"message","id":"m","model":"x","role":"assistant","content":[{"type":"tool_use","id":"b",'
        b'"name":"apply_patch","input":{"input":"*** End"}}],"stop_reason":"tool_use","usage":{}}'
    )

    assert {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]} == body["tools"][0][
        "input_schema"
    ]
    assert "lark" in body["tools"][0]["description"]
    assert {"input": "*** Begin"} == body["messages"][1]["content"][0]["input"]
    assert (ToolCall(id="b", name="apply_patch", arguments="*** End", custom=True),) == (
        CODEC.decode_response(answer, outgoing).choices[0].content
    )


def test_pitfall_086_pitfall_087_server_tools_of_other_vendors_are_left_out_and_our_own_kept() -> None:
    own = Tool(
        name="web_search",
        native='{"type":"web_search_20260318","name":"web_search"}',
        native_protocol="anthropic_messages",
    )
    other = Tool(name="web_search_preview", native='{"type":"web_search_preview"}', native_protocol="openai_responses")
    request = saying(tools=(other, own), tool_choice=NamedTool(name="web_search"))

    assert [{"type": "web_search_20260318", "name": "web_search"}] == sent(request)["tools"]
    assert {"type": "tool", "name": "web_search"} == sent(request)["tool_choice"]
    assert "tools[0]" in losses(request)
    assert "tools" not in sent(saying(tools=(other,), tool_choice=ToolMode(mode="auto")))


def test_pitfall_088_two_hundred_tools_are_all_sent() -> None:
    assert len(sent(saying(tools=tuple(Tool(name=f"t{number}") for number in range(200))))["tools"]) == 200  # type: ignore[arg-type]


def test_pitfall_090_names_the_vendor_refuses_are_repaired_everywhere_and_mapped_back() -> None:
    long, dotted = "x" * 200, "files.read"
    turn = Message(role="assistant", content=(ToolCall(id="a", name=dotted),))
    request = saying(user("Hi."), turn, tools=(Tool(name=long), Tool(name=dotted)), tool_choice=NamedTool(name=dotted))
    outgoing = CODEC.encode_request(request, target(), NO_HEADERS)
    body = msgspec.json.decode(outgoing.body)

    names = [tool["name"] for tool in body["tools"]]
    assert [len(names[0]), names[1]] == [128, body["messages"][1]["content"][0]["name"]]
    assert {names[0]: long, names[1]: dotted} == outgoing.tool_names
    assert names[1] == body["tool_choice"]["name"]
    stream = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"x","content":[],"usage":{}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
        b'{"type":"tool_use","id":"b","name":"' + names[1].encode() + b'","input":{}}}\n\n'
    )
    started = CODEC.stream_decoder(outgoing).feed(stream)[1]
    assert dotted == started.part.name  # type: ignore[union-attr]


def test_a_strict_tool_keeps_what_can_be_forced_and_says_the_rest() -> None:
    schema = '{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"]}'
    tool = sent(saying(tools=(Tool(name="f", parameters=schema, strict=True), Tool(name="g", parameters=schema))))[
        "tools"
    ]

    assert {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
        "required": ["n"],
        "additionalProperties": False,
    } == tool[0]["input_schema"]  # type: ignore[index]
    assert msgspec.json.decode(schema) == tool[1]["input_schema"]  # type: ignore[index]


def test_a_strict_tool_whose_schema_cannot_be_forced_is_not_strict() -> None:
    schema = '{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"integer"}}}}'
    request = saying(tools=(Tool(name="f", parameters=schema, strict=True),))

    assert [{"name": "f", "input_schema": msgspec.json.decode(schema), "strict": False}] == sent(request)["tools"]
    assert ("tools[0].strict",) == losses(request)


def test_what_only_this_protocol_says_of_a_tool_goes_back() -> None:
    tools = [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "defer_loading": True}]
    request = decoded({"messages": [{"role": "user", "content": "x"}], "tools": tools})

    assert tools == sent(request)["tools"]


# ---------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("facts", "wanted", "thinking", "effort"),
    [
        (BUDGET, ReasoningConfig(effort="low"), {"type": "enabled", "budget_tokens": 4096}, None),
        (BUDGET, ReasoningConfig(effort="max"), {"type": "enabled", "budget_tokens": 6144}, None),
        (BUDGET, ReasoningConfig(effort="none"), {"type": "disabled"}, None),
        (BUDGET, ReasoningConfig(mode="on", budget_tokens=2000, display="omitted"),
         {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, None),
        (BUDGET, ReasoningConfig(mode="on", budget_tokens=5), {"type": "enabled", "budget_tokens": 1024}, None),
        (BUDGET, ReasoningConfig(mode="on", budget_tokens=31999), {"type": "enabled", "budget_tokens": 8191}, None),
        (BUDGET, ReasoningConfig(mode="adaptive", effort="medium"), {"type": "enabled", "budget_tokens": 6144}, None),
        (ADAPTIVE, ReasoningConfig(effort="minimal"), {"type": "adaptive"}, "low"),
        (ADAPTIVE, ReasoningConfig(effort="xhigh"), {"type": "adaptive"}, "high"),
        (ADAPTIVE, ReasoningConfig(mode="on", budget_tokens=16000), {"type": "adaptive"}, "medium"),
        (ADAPTIVE, ReasoningConfig(mode="adaptive", display="summarized"), {"type": "adaptive", "display": "summarized"}, None),
        (ADAPTIVE, ReasoningConfig(mode="off"), {"type": "disabled"}, None),
        (ALWAYS, ReasoningConfig(mode="off"), None, "low"),
        (ALWAYS, ReasoningConfig(effort="none"), None, "low"),
        (EFFORT, ReasoningConfig(effort="high"), None, "high"),
        (EFFORT, ReasoningConfig(mode="on", budget_tokens=1000), None, "low"),
        (None, ReasoningConfig(effort="high"), None, None),
        (None, ReasoningConfig(mode="on", budget_tokens=2048), {"type": "enabled", "budget_tokens": 2048}, None),
        (None, ReasoningConfig(mode="adaptive", effort="xhigh"), {"type": "adaptive"}, "xhigh"),
    ],
)  # fmt: skip
def test_pitfall_106_pitfall_107_thinking_is_said_as_the_model_takes_it(
    facts: ReasoningFacts | None, wanted: ReasoningConfig, thinking: object, effort: str | None
) -> None:
    body = sent(saying(reasoning=wanted), target(reasoning=facts))

    assert thinking == body.get("thinking")
    assert effort == body.get("output_config", {}).get("effort")  # type: ignore[attr-defined]


def test_a_model_that_does_not_think_is_not_told_to() -> None:
    to = target(lacks=(Capability.REASONING,))
    request = saying(reasoning=ReasoningConfig(mode="adaptive", effort="high"))

    assert {"model", "max_tokens", "messages"} == set(sent(request, to))
    assert "reasoning" in losses(request, to)


def test_no_thinking_where_no_budget_fits_below_the_output_limit() -> None:
    request = saying(reasoning=ReasoningConfig(effort="high"), max_output_tokens=500)

    assert "thinking" not in sent(request, target(reasoning=BUDGET))
    assert "reasoning" in losses(request, target(reasoning=BUDGET))


ROOM = [
    (ReasoningConfig(effort="high"), 4000, 3000),
    (ReasoningConfig(effort="minimal"), 4000, 1024),
    (ReasoningConfig(effort="high"), 1366, 1024),
    (ReasoningConfig(effort="high"), 1365, None),
    (ReasoningConfig(mode="on"), 1365, None),
    (ReasoningConfig(mode="on", budget_tokens=1200), 1365, 1200),
    (ReasoningConfig(mode="on", budget_tokens=2000), 1365, 1364),
    (ReasoningConfig(mode="on", budget_tokens=2000), 1025, 1024),
    (ReasoningConfig(mode="on", budget_tokens=2000), 1024, None),
]
"""A wish, the limit of the answer, and the budget that comes of them."""

RAISED = [
    (ReasoningConfig(mode="on", budget_tokens=500), 1366, 1024),
    (ReasoningConfig(mode="on", budget_tokens=500), 1365, None),
]
"""The vendor's least is more than the client wanted, and so no choice of its own."""


@pytest.mark.parametrize(
    ("facts", "wanted", "max_tokens", "budget"),
    [(BUDGET, *row) for row in ROOM + RAISED] + [(None, *row) for row in ROOM if row[0].mode is not None],
)
def test_a_guessed_budget_leaves_a_quarter_of_the_limit_to_the_answer(
    facts: ReasoningFacts | None, wanted: ReasoningConfig, max_tokens: int, budget: int | None
) -> None:
    """A client's own budget is its own choice: only the vendor's bounds hold for it."""
    request, to = saying(reasoning=wanted, max_output_tokens=max_tokens), target(reasoning=facts)

    assert budget == sent(request, to).get("thinking", {}).get("budget_tokens")  # type: ignore[attr-defined]
    assert ("reasoning" in losses(request, to)) == (budget is None)


def test_pitfall_105_no_sampling_and_no_forced_tool_beside_thinking() -> None:
    request = saying(
        reasoning=ReasoningConfig(effort="high"), sampling=Sampling(temperature=0.2, top_p=0.9, top_k=4), tools=(F,),
        tool_choice=ToolMode(mode="required"),
    )  # fmt: skip
    body = sent(request, target(reasoning=ADAPTIVE))

    assert {"temperature", "top_p", "top_k"}.isdisjoint(body)
    assert {"type": "auto"} == body["tool_choice"]
    assert {"sampling.temperature", "sampling.top_p", "sampling.top_k", "tool_choice"} <= set(
        losses(request, target(reasoning=ADAPTIVE))
    )


def test_pitfall_077_edits_about_thinking_go_only_with_thinking() -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]

    def of(edits: list[object], **fields: object) -> dict[str, object]:
        body = {"messages": [{"role": "user", "content": "x"}], "context_management": {"edits": edits}, **fields}
        return sent(decoded(body), target(reasoning=ADAPTIVE))

    assert {"edits": edits} == of([*edits], thinking={"type": "adaptive"})["context_management"]
    assert {"edits": edits[1:]} == of([*edits], thinking={"type": "disabled"})["context_management"]
    assert "context_management" not in of([edits[0]])


def test_kinds_of_thinking_from_the_future_go_back_as_they_came() -> None:
    request = decoded(
        {
            "messages": [{"role": "user", "content": "x"}],
            "thinking": {"type": "between_tools"},
            "output_config": {"effort": "low", "task_budget": 5},
        }
    )
    body = sent(request, target(reasoning=ADAPTIVE))

    assert ({"type": "between_tools"}, {"effort": "low", "task_budget": 5}) == (body["thinking"], body["output_config"])
