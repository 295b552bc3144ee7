"""What the vendor's newer versions brought, and what other protocols bring that it has no place for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    Choice,
    Finish,
    Image,
    Message,
    NamedTool,
    Native,
    Part,
    Reasoning,
    ReasoningConfig,
    Response,
    Text,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    collect,
)  # fmt: skip
from runtime.catalog import ReasoningFacts
from runtime.protocols import codec
from runtime.protocols.seal import unwrap
from tests.protocols.anthropic_messages.given import (
    ANSWER,
    CODEC,
    NO_HEADERS,
    OUTGOING,
    assistant,
    decoded,
    saying,
    sent,
    target,
    user,
)
from tests.protocols.openai_chat.support import target as chat_target
from tests.support.canonical import events_of
from tests.support.stream import decode_stream

PICTURE = Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))
CALL = ToolCall(id="a", name="f", arguments="{}")
DONE = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="ok"),)),))
F = Tool(name="f", parameters='{"type":"object","properties":{}}')
BUDGET = ReasoningFacts(style="budget", min_budget=1024)
THINKING = Reasoning(text="hm", seal="s", sealed_by="anthropic_messages")
HOSTED = (
    Native(protocol="anthropic_messages", block="server_tool_use", json='{"type":"server_tool_use","id":"t","name":"web_search","input":{}}'),
    Native(protocol="anthropic_messages", block="web_search_tool_result", json='{"type":"web_search_tool_result","tool_use_id":"t","content":[]}'),
)  # fmt: skip


def answer(*parts: Part) -> Response:
    return Response(id="r", model="m", choices=(Choice(content=parts, finish=Finish(reason="stop")),))


def test_a_generated_image_harms_neither_a_whole_answer_nor_a_stream() -> None:
    given = answer(Text(text="a"), PICTURE, Text(text="b"))
    whole = CODEC.decode_response(CODEC.encode_response(given, ANSWER), OUTGOING)
    stream = CODEC.stream_encoder(ANSWER).feed(events_of(given))
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [stream])

    assert error is None
    assert (Text(text="a"), Text(text="b")) == whole.choices[0].content == collect(events).choices[0].content
    assert b'"index":1' in stream
    assert b'"index":2' not in stream


def test_an_image_that_the_model_made_is_shown_by_the_user_behind_the_results() -> None:
    turn = Message(role="assistant", content=(Text(text="Here:"), PICTURE, CALL))
    turns: Any = sent(saying(user("draw"), turn, DONE, user("thanks"), tools=(F,)))["messages"]

    assert ["user", "assistant", "user"] == [one["role"] for one in turns]
    assert ["text", "tool_use"] == [block["type"] for block in turns[1]["content"]]
    assert ["tool_result", "text", "image", "text"] == [block["type"] for block in turns[2]["content"]]


@pytest.mark.parametrize("began", [True, False])
def test_pitfall_100_a_budget_is_left_out_where_the_turn_under_way_began_without_thinking(began: bool) -> None:
    turn = Message(role="assistant", content=(*((THINKING,) if began else ()), CALL))
    request = saying(
        user("a"), turn, DONE, tools=(F,), max_output_tokens=4000,
        reasoning=ReasoningConfig(mode="on", budget_tokens=2000),
    )  # fmt: skip

    for facts in (BUDGET, None):
        outgoing = CODEC.encode_request(request, target(reasoning=facts), NO_HEADERS)
        assert began == (b'"thinking":{' in outgoing.body)
        assert began == ("reasoning" not in outgoing.losses)


FOREIGN = Native(protocol="openai_responses", block="additional_tools", json='{"type":"additional_tools"}')
SHOWN = Reasoning(text="hm")


@pytest.mark.parametrize("began", [True, False])
@pytest.mark.parametrize(
    "behind",
    [[Message(role="assistant", content=(FOREIGN,))], [Message(role="assistant", content=(SHOWN,))], [user("and now?")],
     [user("and"), user("now?")]],
)  # fmt: skip
def test_what_stands_behind_the_results_does_not_end_the_turn_under_way(began: bool, behind: list[Message]) -> None:
    """Codex hands tools in behind its results, as an item; a user's words are one turn with the results."""
    turn = Message(role="assistant", content=(SHOWN, FOREIGN, *((THINKING,) if began else ()), CALL))
    wanted = ReasoningConfig(mode="on", budget_tokens=2000)
    request = saying(user("a"), turn, DONE, *behind, tools=(F,), max_output_tokens=4000, reasoning=wanted)

    for facts in (BUDGET, None):
        outgoing = CODEC.encode_request(request, target(reasoning=facts), NO_HEADERS)
        assert began == (b'"thinking":{' in outgoing.body)


def test_a_turn_that_came_in_pieces_began_with_the_first() -> None:
    pieces = [
        Message(role="assistant", content=(THINKING, Text(text="I look."))),
        Message(role="assistant", content=(CALL,)),
    ]
    wanted = ReasoningConfig(mode="on", budget_tokens=2000)
    body = sent(saying(user("a"), *pieces, DONE, tools=(F,), max_output_tokens=4000, reasoning=wanted))

    assert {"type": "enabled", "budget_tokens": 2000} == body["thinking"]


@pytest.mark.parametrize("last", [user("b"), assistant("b")])
def test_a_budget_stays_where_no_turn_is_under_way(last: Message) -> None:
    reasoning = ReasoningConfig(mode="on", budget_tokens=2000)
    request = saying(
        user("a"), Message(role="assistant", content=(CALL,)), DONE, assistant("a"), user("a"), last, tools=(F,),
        max_output_tokens=4000, reasoning=reasoning,
    )  # fmt: skip

    assert {"type": "enabled", "budget_tokens": 2000} == sent(request, target(reasoning=BUDGET))["thinking"]


@pytest.mark.parametrize(
    ("content", "marked"), [((Text(text="no"),), True), ((Text(text="no"), PICTURE), False), ((), True)]
)
def test_an_error_that_shows_pictures_goes_without_its_mark(content: tuple[Any, ...], marked: bool) -> None:
    failed = Message(role="tool", content=(ToolResult(call_id="a", content=content, is_error=True),))
    turn = Message(role="assistant", content=(CALL,))
    outgoing = CODEC.encode_request(saying(user("x"), turn, failed, tools=(F,)), target(), NO_HEADERS)
    result: Any = msgspec.json.decode(outgoing.body)["messages"][2]["content"][0]

    assert marked == result.get("is_error", False)
    assert ("image" in str(result)) is not marked
    assert (() if marked else ("messages[2].content[0].is_error",)) == outgoing.losses


@pytest.mark.parametrize("choice", [ToolMode(mode="required"), NamedTool(name="f")])
def test_no_call_is_forced_from_a_model_that_thinks(choice: ToolMode | NamedTool) -> None:
    request = saying(tools=(F,), tool_choice=choice, reasoning=ReasoningConfig(mode="adaptive"))
    outgoing = CODEC.encode_request(request, target(), NO_HEADERS)

    assert {"type": "auto"} == msgspec.json.decode(outgoing.body)["tool_choice"]
    assert "tool_choice" in outgoing.losses


@pytest.mark.parametrize("thinking", [{"type": "between_tools"}, {"type": "adaptive", "display": "omitted"}])
def test_every_kind_of_thinking_is_kept_for_the_vendor(thinking: dict[str, object]) -> None:
    request = decoded({"messages": [{"role": "user", "content": "Hi."}], "thinking": thinking})

    assert thinking == sent(request)["thinking"]
    assert request.reasoning is not None
    assert "adaptive" == request.reasoning.mode
    assert b"between_tools" not in codec("openai_chat").encode_request(request, chat_target(), {}).body


def test_server_tools_blocks_leave_in_pairs_never_half() -> None:
    request = saying(user("a"), Message(role="assistant", content=(*HOSTED, Text(text="b"))), user("c"))
    to_chat = codec("openai_chat").encode_request(request, chat_target(), {})
    here: Any = sent(request)["messages"]

    assert ["server_tool_use", "web_search_tool_result", "text"] == [block["type"] for block in here[1]["content"]]
    assert [{"role": "assistant", "content": [{"type": "text", "text": "b"}]}] == msgspec.json.decode(to_chat.body)[
        "messages"
    ][1:2]
    assert ("messages[1].content[0]", "messages[1].content[1]") == to_chat.losses


@pytest.mark.parametrize("part", [
    Reasoning(text="hm", seal="sealed", sealed_by="openai_chat"), Reasoning(seal="sealed", sealed_by="gemini"),
    Reasoning(seal="sealed", sealed_by="openai_responses", redacted=True), Reasoning(text="hm"),
])  # fmt: skip
def test_a_seal_is_dropped_never_forged_when_the_target_changed(part: Reasoning) -> None:
    request = saying(user("a"), Message(role="assistant", content=(part, Text(text="b"))), user("c"))
    outgoing = CODEC.encode_request(request, target(), NO_HEADERS)

    assert b"sealed" not in outgoing.body
    assert b"gw1." not in outgoing.body
    assert b"thinking" not in outgoing.body
    assert ("messages[1].content[0]",) == outgoing.losses


@pytest.mark.parametrize("told", ["whole", "streamed"])
@pytest.mark.parametrize("part", [
    Reasoning(text="hm", seal="s", sealed_by="openai_responses"), Reasoning(seal="s", sealed_by="gemini"),
    Reasoning(seal="s", sealed_by="openai_chat", redacted=True), THINKING,
    Reasoning(seal="s", sealed_by="anthropic_messages"), Reasoning(seal="s", sealed_by="anthropic_messages", redacted=True),
])  # fmt: skip
def test_every_seal_comes_home_from_a_client(part: Reasoning, told: str) -> None:
    given = answer(part, Text(text="a"))
    if told == "whole":
        blocks = msgspec.json.decode(CODEC.encode_response(given, ANSWER))["content"]
    else:
        events, _ = decode_stream(CODEC.stream_decoder(OUTGOING), [CODEC.stream_encoder(ANSWER).feed(events_of(given))])
        blocks = msgspec.json.decode(CODEC.encode_response(collect(events), ANSWER))["content"]
        for block in blocks:  # this reader took the envelopes for a provider's own; as a client it keeps them
            for name in ("signature", "data"):
                if name in block:
                    block[name] = _once(block[name])
    back = decoded({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": blocks}]})

    assert (part, Text(text="a")) == back.messages[1].content


def _once(envelope: str) -> str:
    """What stood on the wire before `encode_response` put an envelope around an envelope."""
    seal, owner, _ = unwrap(envelope, "anthropic_messages")
    return seal if owner == "anthropic_messages" and seal.startswith("gw1.") else envelope
