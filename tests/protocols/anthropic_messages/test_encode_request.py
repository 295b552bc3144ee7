"""What a provider of this protocol is sent: the vendor's own types, nothing it refuses, nothing lost without a word."""

from __future__ import annotations

import base64

import msgspec
import pytest
from anthropic.types import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Citation,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Sampling,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)  # fmt: skip
from runtime.catalog import ParameterRules, Provider, ReasoningFacts, Surface
from runtime.catalog.capability import Capability
from runtime.errors import InvalidRequest
from runtime.protocols.base import Target
from tests.protocols.anthropic_messages.given import (
    CODEC,
    NO_HEADERS,
    assistant,
    decoded,
    envelope,
    saying,
    sent,
    system,
    target,
    user,
)  # fmt: skip
from tests.support.canonical import requests

STREAMING: TypeAdapter[MessageCreateParamsStreaming] = TypeAdapter(MessageCreateParamsStreaming)
WHOLE: TypeAdapter[MessageCreateParamsNonStreaming] = TypeAdapter(MessageCreateParamsNonStreaming)
COUNTING: TypeAdapter[MessageCountTokensParams] = TypeAdapter(MessageCountTokensParams)

BUDGET = ReasoningFacts(style="budget", efforts=("low", "medium", "high"))
ADAPTIVE = ReasoningFacts(style="adaptive", efforts=("low", "medium", "high", "max"))
ALWAYS = ReasoningFacts(style="adaptive", efforts=("low", "high"), can_disable=False)
EFFORT = ReasoningFacts(style="effort", efforts=("low", "medium", "high"))

TARGETS = (
    target(), target(version="2026-10-21"), target(reasoning=BUDGET), target(reasoning=ADAPTIVE), target(reasoning=ALWAYS),
    target(reasoning=EFFORT), target(system_anywhere=False, max_output=None), target(lacks=(Capability.PREFILL, Capability.JSON_SCHEMA)),
)  # fmt: skip

TURN = (
    user("What is it like in Brno?"),
    Message(role="assistant", content=(ToolCall(id="a", name="f", arguments='{"x":1}'),)),
    Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="Cold."),)),)),
)
F = Tool(name="f", parameters='{"type":"object","properties":{}}')


def contents(body: dict[str, object]) -> list[tuple[str, object]]:
    return [(turn["role"], turn["content"]) for turn in body["messages"]]  # type: ignore[attr-defined]


def losses(request: Request, to: Target | None = None) -> tuple[str, ...]:
    return CODEC.encode_request(request, to or target(), NO_HEADERS).losses


# ---------------------------------------------------------------- any request


@given(requests(), st.sampled_from(TARGETS))
def test_any_request_fits_the_vendors_own_types(request: Request, to: Target) -> None:
    body = sent(request, to)

    sampling = {name: body.pop(name, None) for name in ("temperature", "top_p", "top_k")}  # the SDK's newest knows none
    (STREAMING if request.stream else WHOLE).validate_python(body)
    assert to.surface.version != "2026-10-21" or set(sampling.values()) == {None}
    assert body["max_tokens"] >= 1  # type: ignore[operator]
    assert body.get("thinking", {}).get("budget_tokens", 0) < body["max_tokens"]  # type: ignore[attr-defined]


@given(requests())
def test_a_request_comes_back_as_it_went_but_for_the_losses(request: Request) -> None:
    to = target(reasoning=ADAPTIVE, max_output=None)
    request = without_losses(request)
    outgoing = CODEC.encode_request(request, to, NO_HEADERS)
    again = CODEC.decode_request(CODEC.peek(outgoing.body), NO_HEADERS)

    expected = msgspec.structs.replace(
        request,
        model="claude-x",
        include_usage=request.stream,
        max_output_tokens=4096 if request.max_output_tokens is None else request.max_output_tokens,
        reasoning=request.reasoning and ReasoningConfig(mode="adaptive", effort=request.reasoning.effort),
    )
    assert expected == again
    assert not outgoing.losses or request.reasoning is not None


def without_losses(request: Request) -> Request:
    """``request`` without what `LOSSES` says this protocol cannot say, or says in other words."""

    def message(given: Message) -> Message:
        return msgspec.structs.replace(given, content=tuple(part(each) for each in given.content))

    def part(given: object) -> object:
        match given:
            case Image():
                return msgspec.structs.replace(given, detail=None)
            case ToolResult():
                return msgspec.structs.replace(given, name=None, content=given.content[:1])
            case _:
                return given

    tools = tuple(msgspec.structs.replace(tool, strict=None) for tool in request.tools)
    form = request.response_format
    thinks = request.reasoning is not None
    forced = isinstance(request.tool_choice, NamedTool | ToolSubset) or request.tool_choice == ToolMode(mode="required")
    return msgspec.structs.replace(
        request,
        messages=tuple(message(each) for each in _few_marks(request.messages)),
        tools=tools,
        tool_choice=ToolMode(mode="auto") if (forced and thinks) or isinstance(request.tool_choice, ToolSubset)
        or (request.tool_choice is None and request.parallel_tool_calls is False) else request.tool_choice,
        parallel_tool_calls=None if request.tool_choice == ToolMode(mode="none") else request.parallel_tool_calls,
        stop=tuple(word for word in request.stop if word.strip()),
        sampling=Sampling() if thinks else request.sampling,
        response_format=JsonSchema(schema='{"type":"object","properties":{},"additionalProperties":false}') if form else None,
    )  # fmt: skip


def _few_marks(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    def bare(given: object) -> object:
        return msgspec.structs.replace(given, cache=None) if isinstance(given, Text | Image | Document) else given

    return tuple(msgspec.structs.replace(each, content=tuple(bare(part) for part in each.content)) for each in messages)


@given(requests())
def test_encoding_changes_nothing_of_what_it_is_given(request: Request) -> None:
    before = msgspec.json.encode(request)
    first = CODEC.encode_request(request, target(system_anywhere=False), NO_HEADERS)
    second = CODEC.encode_request(request, target(system_anywhere=False), NO_HEADERS)

    assert before == msgspec.json.encode(request)
    assert first == second


# ---------------------------------------------------------------- turns


def test_instructions_in_front_are_the_system_prompt_a_block_each() -> None:
    body = sent(saying(system("One."), Message(role="developer", content=(Text(text="Two."),)), user("Hi.")))

    assert [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}] == body["system"]
    assert [("user", [{"type": "text", "text": "Hi."}])] == contents(body)


def test_pitfall_051_instructions_alone_get_a_minimal_turn_of_the_user() -> None:
    body = sent(saying(system("Write a haiku.")))

    assert [("user", [{"type": "text", "text": "Begin."}])] == contents(body)


def test_pitfall_052_developer_is_sent_as_system() -> None:
    later = Message(role="developer", content=(Text(text="In Czech."),))

    assert ("system", [{"type": "text", "text": "In Czech."}]) == contents(sent(saying(user("Hi."), later)))[1]


def test_pitfall_053_pitfall_054_instructions_in_mid_conversation_keep_their_place_or_are_marked() -> None:
    request = saying(user("Hi."), assistant("Hello."), system("In Czech."), user("Go on."))

    assert ["user", "assistant", "system", "user"] == [role for role, _ in contents(sent(request))]
    assert [
        {"type": "text", "text": "<system>\nIn Czech.\n</system>"}, {"type": "text", "text": "Go on."},
    ] == contents(sent(request, target(system_anywhere=False)))[2][1]  # fmt: skip


def test_pitfall_055_a_result_nobody_asked_for_becomes_the_users_text() -> None:
    orphan = Message(role="tool", content=(ToolResult(call_id="zz", content=(Text(text="Cold."),)),))
    body = sent(saying(user("Hi."), orphan))

    assert '"tool_result"' not in msgspec.json.encode(body).decode()
    assert "Cold." in msgspec.json.encode(body).decode()


def test_pitfall_056_a_call_without_a_result_gets_one_that_says_so() -> None:
    calls = Message(role="assistant", content=(ToolCall(id="a", name="f"), ToolCall(id="b", name="f")))
    only = Message(role="tool", content=(ToolResult(call_id="b", content=(Text(text="B."),)),))
    results = contents(sent(saying(user("Hi."), calls, only, user("And?"))))[2][1]

    assert [("tool_result", "a", True), ("tool_result", "b", None), ("text", None, None)] == [
        (block["type"], block.get("tool_use_id"), block.get("is_error"))
        for block in results  # type: ignore[attr-defined]
    ]


def test_pitfall_057_pitfall_058_results_stand_directly_behind_their_calls_and_first() -> None:
    calls = Message(role="assistant", content=(ToolCall(id="a", name="f"), ToolCall(id="b", name="f")))
    first = Message(role="tool", content=(ToolResult(call_id="b", content=(Text(text="B."),)),))
    second = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="A."),)),))
    body = sent(saying(user("Hi."), calls, user("Wait."), first, system("Note."), second, user("Well?")))

    assert ["user", "assistant", "user", "system", "user"] == [role for role, _ in contents(body)]
    assert ["a", "b", None] == [block.get("tool_use_id") for block in contents(body)[2][1]]  # type: ignore[attr-defined]
    assert {"type": "text", "text": "Wait."} == contents(body)[2][1][2]  # type: ignore[index]


def test_pitfall_059_calls_stand_behind_blocks_of_server_tools() -> None:
    search = Native(
        protocol="anthropic_messages",
        block="server_tool_use",
        json='{"type":"server_tool_use","id":"s","name":"web_search","input":{}}',
    )
    turn = Message(role="assistant", content=(Text(text="a"), ToolCall(id="a", name="f"), search))
    blocks = contents(sent(saying(user("Hi."), turn)))[1][1]

    assert ["text", "server_tool_use", "tool_use"] == [block["type"] for block in blocks]  # type: ignore[attr-defined]


def test_pitfall_063_a_last_turn_of_the_models_is_continued_or_asked_for() -> None:
    request = saying(user("Count."), assistant("One, two, "))

    assert ("assistant", [{"type": "text", "text": "One, two,"}]) == contents(sent(request))[-1]
    assert "user" == contents(sent(request, target(lacks=(Capability.PREFILL,))))[-1][0]
    thinking = msgspec.structs.replace(request, reasoning=ReasoningConfig(effort="low"))
    assert "user" == contents(sent(thinking, target(reasoning=BUDGET)))[-1][0]


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_pitfall_064_blank_texts_and_turns_of_nothing_are_left_out(blank: str) -> None:
    turn = Message(role="assistant", content=(Text(text=blank, cache=CacheMark()), ToolCall(id="a", name="f")))
    body = sent(saying(system(blank), user("Hi."), assistant(blank), user("Again."), turn))

    assert "system" not in body
    assert [("user", 2), ("assistant", 1), ("user", 1)] == [(role, len(blocks)) for role, blocks in contents(body)]  # type: ignore[arg-type]


def test_pitfall_065_empty_lists_are_not_sent() -> None:
    assert {"model", "max_tokens", "messages"} == set(sent(saying()))


def test_pitfall_074_turns_of_one_role_become_one_and_twice_the_same() -> None:
    request = saying(user("One."), user("Two."))

    assert sent(request) == sent(request)
    assert [("user", [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])] == contents(sent(request))


def test_a_conversation_that_begins_with_the_model_gets_a_turn_before() -> None:
    assert ["user", "assistant", "user"] == [
        role for role, _ in contents(sent(saying(assistant("Hi."), user("Hello."))))
    ]


def test_an_id_that_comes_again_belongs_to_the_turn_it_stands_in() -> None:
    def round_of(text: str) -> tuple[Message, Message]:
        return (
            Message(role="assistant", content=(ToolCall(id="call_0", name="f"),)),
            Message(role="tool", content=(ToolResult(call_id="call_0", content=(Text(text=text),)),)),
        )

    body = sent(saying(user("Hi."), *round_of("first"), *round_of("second")))

    assert ["first", "second"] == [blocks[0]["content"] for role, blocks in contents(body)[2::2]]  # type: ignore[index]


def test_pitfall_093_two_calls_under_one_id_in_a_turn_get_ids_and_results_of_their_own() -> None:
    turn = Message(role="assistant", content=(ToolCall(id="x", name="f"), ToolCall(id="x", name="f")))
    results = Message(
        role="tool",
        content=(
            ToolResult(call_id="x", content=(Text(text="1"),)),
            ToolResult(call_id="x", content=(Text(text="2"),)),
        ),
    )
    body = sent(saying(user("Hi."), turn, results))

    calls = [block["id"] for block in contents(body)[1][1]]  # type: ignore[attr-defined]
    assert len(set(calls)) == 2
    assert [(calls[0], "1"), (calls[1], "2")] == [
        (block["tool_use_id"], block["content"])
        for block in contents(body)[2][1]  # type: ignore[attr-defined]
    ]


def test_ids_the_vendor_refuses_are_repaired_alike_in_call_and_result() -> None:
    turn = Message(role="assistant", content=(ToolCall(id="functions.f:0", name="f"),))
    body = sent(saying(user("Hi."), turn, Message(role="tool", content=(ToolResult(call_id="functions.f:0"),))))

    call, result = contents(body)[1][1][0], contents(body)[2][1][0]  # type: ignore[index]
    assert call["id"] == result["tool_use_id"]
    assert call["id"].replace("_", "").replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", b"{}"), ("null", b"{}"), (" \n", b"{}"), ('{"n":123456789012345678901,"x":1.0}', b'{"n":123456789012345678901,"x":1.0}'),
        ("[1, 2]", b'{"value":[1, 2]}'), ('"x"', b'{"value":"x"}'), ("3", b'{"value":3}'),
        ('{"a":1', b'{"INVALID_JSON":"{\\"a\\":1"}'), ('{"a":1}{"b":2}', b'{"INVALID_JSON":"{\\"a\\":1}{\\"b\\":2}"}'),
    ],
)  # fmt: skip
def test_pitfall_096_arguments_become_an_object_and_sound_ones_stay_the_very_text(
    arguments: str, expected: bytes
) -> None:
    turn = Message(role="assistant", content=(ToolCall(id="a", name="f", arguments=arguments),))
    body = CODEC.encode_request(saying(user("Hi."), turn), target(), NO_HEADERS).body

    assert b'"input":' + expected in body


# ---------------------------------------------------------------- parts


def test_images_stay_in_their_order_and_in_results() -> None:
    picture = Image(source=Base64Source(media_type="image/png", data="aGk="))
    body = sent(saying(Message(role="user", content=(Text(text="a"), picture, Text(text="b"), picture))))

    assert ["text", "image", "text", "image"] == [block["type"] for block in contents(body)[0][1]]  # type: ignore[attr-defined]
    result = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="x"), picture)),))
    found = contents(sent(saying(*TURN[:2], result)))[2][1][0]["content"]  # type: ignore[index]
    assert ["text", "image"] == [block["type"] for block in found]


def test_an_image_of_a_kind_the_vendor_does_not_take_is_refused_with_the_kinds_it_does() -> None:
    picture = Image(source=Base64Source(media_type="image/svg+xml", data="aGk="))

    with pytest.raises(InvalidRequest, match=r"image/svg.*image/jpeg, image/png, image/gif, image/webp"):
        sent(saying(Message(role="user", content=(picture,))))


def test_a_text_file_becomes_a_text_document_and_another_file_is_refused() -> None:
    def file(media_type: str, data: bytes) -> Request:
        source = Base64Source(media_type=media_type, data=base64.b64encode(data).decode())
        return saying(Message(role="user", content=(Document(source=source, title="t"),)))

    found = contents(sent(file("text/csv", b"a,b")))[0][1][0]  # type: ignore[index]
    assert {"type": "text", "media_type": "text/plain", "data": "a,b"} == found["source"]
    with pytest.raises(InvalidRequest, match="application/zip"):
        sent(file("application/zip", b"PK"))
    with pytest.raises(InvalidRequest, match="UTF-8"):
        sent(file("text/plain", b"\xff"))


def test_sound_is_refused_not_dropped() -> None:
    sound = Audio(source=Base64Source(media_type="audio/wav", data="aGk="))

    with pytest.raises(InvalidRequest):
        sent(saying(Message(role="user", content=(sound,))))


def test_pitfall_099_pitfall_101_pitfall_102_only_the_vendors_own_seals_go_back() -> None:
    turn = Message(
        role="assistant",
        content=(
            Reasoning(text="Foreign.", seal="enc", sealed_by="openai_responses"),
            Reasoning(text="Made up."),
            Reasoning(seal="own", sealed_by="anthropic_messages"),
            Text(text="Hello."),
        ),
    )
    request = saying(user("Hi."), turn, user("Go on."))

    assert [
        {"type": "thinking", "thinking": "", "signature": "own"}, {"type": "text", "text": "Hello."},
    ] == contents(sent(request))[1][1]  # fmt: skip
    assert ("messages[1].content[0]", "messages[1].content[1]") == losses(request)


def test_pitfall_097_pitfall_100_thinking_goes_back_byte_for_byte_and_in_place() -> None:
    content = [
        {"type": "thinking", "thinking": "a\u2028b", "signature": "EqQB+/=="},
        {"type": "redacted_thinking", "data": "Emw=="},
        {"type": "text", "text": "Between."},
        {"type": "thinking", "thinking": "", "signature": "EqQx"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"n": 1.0}},
    ]
    request = decoded({"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": content}]})

    assert content == contents(sent(request))[1][1]


def test_thinking_of_another_vendor_finds_its_way_home_through_a_client() -> None:
    from runtime.canonical import Choice, Finish, Response
    from tests.protocols.anthropic_messages.given import ANSWER

    part = Reasoning(text="Hm.", seal="enc+/=", sealed_by="openai_responses")
    answer = CODEC.encode_response(
        Response(id="x", model="m", choices=(Choice(content=(part,), finish=Finish(reason="stop")),)), ANSWER
    )
    content = msgspec.json.decode(answer)["content"]
    request = decoded({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": content}]})

    assert (part,) == request.messages[1].content


def test_blocks_of_another_protocols_server_tools_are_left_out_with_a_word() -> None:
    turn = Message(
        role="assistant", content=(Native(protocol="gemini", block="executableCode", json="{}"), Text(text="x"))
    )

    assert [{"type": "text", "text": "x"}] == contents(sent(saying(user("Hi."), turn)))[1][1]
    assert ("messages[1].content[0]",) == losses(saying(user("Hi."), turn))


def test_citations_go_back_only_where_the_vendor_made_them() -> None:
    own = {
        "type": "char_location",
        "cited_text": "q",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 1,
    }
    ours = {"type": "web_search_result_location", "cited_text": "q", "url": "u", "title": None, "encrypted_index": ""}
    block = {"type": "text", "text": "x", "citations": [own, ours]}
    request = decoded({"messages": [{"role": "user", "content": [block]}, {"role": "assistant", "content": [block]}]})
    foreign = saying(user("Hi."), Message(role="assistant", content=(Text(text="x", citations=(Citation(url="u"),)),)))

    assert [{"type": "text", "text": "x"}] == contents(sent(request))[0][1]
    assert [{"type": "text", "text": "x", "citations": [own]}] == contents(sent(request))[1][1]
    assert [{"type": "text", "text": "x"}] == contents(sent(foreign))[1][1]


def test_a_refusal_in_history_is_text() -> None:
    turn = Message(role="assistant", content=(Refusal(text="No."),))

    assert [{"type": "text", "text": "No."}] == contents(sent(saying(user("Hi."), turn, user("Please."))))[1][1]


# ---------------------------------------------------------------- cache marks


def test_pitfall_123_marks_are_sent_with_their_time_and_are_never_more_than_four() -> None:
    texts = tuple(Text(text=str(number), cache=CacheMark(ttl_s=1800 if number == 9 else None)) for number in range(10))
    tool = Tool(name="f", cache=CacheMark())
    request = saying(Message(role="user", content=texts), tools=(tool,), cache=CacheMark(ttl_s=300))
    body = sent(request)

    assert {"type": "ephemeral", "ttl": "5m"} == body["cache_control"]
    assert {"type": "ephemeral"} == body["tools"][0]["cache_control"]  # type: ignore[index]
    marks = [block.get("cache_control") for block in contents(body)[0][1]]  # type: ignore[attr-defined]
    assert [None] * 8 + [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}] == marks
    assert ("cache",) == losses(request)


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


@pytest.mark.parametrize(
    ("facts", "wanted", "max_tokens", "budget"),
    [(BUDGET, *row) for row in ROOM] + [(None, *row) for row in ROOM if row[0].mode is not None],
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


# ---------------------------------------------------------------- settings


def test_sampling_is_clamped_and_zero_is_sent() -> None:
    assert 1 == sent(saying(sampling=Sampling(temperature=1.4)))["temperature"]
    body = sent(saying(sampling=Sampling(temperature=0.0, top_p=0.0, top_k=0)))
    assert (0, 0, 0) == (body["temperature"], body["top_p"], body["top_k"])


def test_sampling_is_not_sent_in_a_version_without_it() -> None:
    request = saying(sampling=Sampling(temperature=0.5))

    assert "temperature" not in sent(request, target(version="2026-10-21"))
    assert "sampling.temperature" in losses(request, target(version="2027-01-01"))
    assert 0.5 == sent(request, target(version="2023-06-01"))["temperature"]


@pytest.mark.parametrize(
    ("asked", "most", "expected"),
    [(None, 8192, 8192), (None, None, 4096), (100, 8192, 100), (99_999, 8192, 8192), (0, 8192, 0)],
)
def test_pitfall_121_the_output_limit_is_the_models_own_where_none_is_said(
    asked: int | None, most: int | None, expected: int
) -> None:
    assert expected == sent(saying(max_output_tokens=asked), target(max_output=most))["max_tokens"]


def test_blank_stop_texts_are_left_out_with_a_word() -> None:
    assert ["END"] == sent(saying(stop=("END", "\n\n")))["stop_sequences"]
    assert "stop_sequences" not in sent(saying(stop=(" ",)))
    assert "stop" in losses(saying(stop=(" ",)))


def test_a_schema_for_the_answer_is_forced_and_any_object_asked_for_in_words() -> None:
    schema = JsonSchema(schema='{"type":"object","properties":{},"additionalProperties":false}', name="x", strict=True)

    assert {"format": {"type": "json_schema", "schema": msgspec.json.decode(schema.schema)}} == (
        sent(saying(response_format=schema))["output_config"]
    )
    assert "output_config" not in sent(saying(response_format=JsonObject()))
    assert "JSON object" in sent(saying(response_format=JsonObject()))["system"][0]["text"]  # type: ignore[index]
    old = sent(saying(response_format=schema), target(lacks=(Capability.JSON_SCHEMA,)))
    assert "additionalProperties" in old["system"][-1]["text"]  # type: ignore[index]


def test_pitfall_110_json_beside_thinking_is_a_form_not_a_forced_tool() -> None:
    request = saying(response_format=JsonSchema(schema='{"type":"object"}'), reasoning=ReasoningConfig(effort="low"))
    body = sent(request, target(reasoning=ADAPTIVE))

    assert {"effort", "format"} == set(body["output_config"])  # type: ignore[call-overload]
    assert "tools" not in body


@pytest.mark.parametrize(
    ("tier", "expected"), [("auto", "auto"), ("priority", "auto"), ("default", "standard_only"), ("flex", None)]
)
def test_service_tiers_are_said_in_the_vendors_words(tier: str, expected: str | None) -> None:
    assert expected == sent(saying(service_tier=tier)).get("service_tier")


def test_the_user_is_named_unless_the_name_is_too_long() -> None:
    assert {"user_id": "u"} == sent(saying(user="u"))["metadata"]
    assert "metadata" not in sent(saying(user="u" * 257))
    assert "user" in losses(saying(user="u" * 257))


def test_what_the_vendor_has_no_field_for_is_named() -> None:
    request = saying(
        sampling=Sampling(presence_penalty=0.0, frequency_penalty=1.0, seed=0, min_p=0.1, logit_bias={"1": 2.0}),
        top_logprobs=0, verbosity="low", store=False, cache_key="k", metadata={"a": "b"},
    )  # fmt: skip

    assert {
        "sampling.presence_penalty", "sampling.frequency_penalty", "sampling.seed", "sampling.min_p",
        "sampling.logit_bias", "top_logprobs", "verbosity", "store", "cache_key", "metadata",
    } == set(losses(request))  # fmt: skip


def test_more_than_one_answer_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(saying(choices=2))
    assert caught.value.param == "n"


def test_rules_of_provider_and_model_are_applied_to_the_sent_fields() -> None:
    provider = Provider(
        id="v", name="V", base_url="https://v.example", surfaces={"anthropic_messages": Surface(path="/x")},
        parameters=ParameterRules(drop=("metadata",), add={"speed": '"fast"'}, exclusive=(("temperature", "top_p"),)),
    )  # fmt: skip
    body = sent(saying(user="u", sampling=Sampling(temperature=0.5, top_p=0.5)), target(provider=provider))

    assert {"model", "max_tokens", "messages", "temperature", "speed"} == set(body)


# ---------------------------------------------------------------- headers, counting, passing on


def test_pitfall_129_version_and_betas_are_sent_once_however_they_were_spelt() -> None:
    client = {"Anthropic-Version": "2026-10-21", "anthropic-beta": "b, a,A", "Anthropic-Beta": "c,b"}
    translated = CODEC.encode_request(saying(), target(), client).headers
    passed = CODEC.splice(envelope({"model": "m"}), target(), client).headers

    assert (
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "b,A,c"),
    ) == translated
    assert (
        ("content-type", "application/json"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "b,A,c"),
    ) == passed
    assert ("anthropic-version", "2026-10-21") in CODEC.encode_request(
        saying(), target(version="2026-10-21"), {}
    ).headers
    assert ("anthropic-version", "2023-06-01") in CODEC.splice(envelope({"model": "m"}), target(), {}).headers


@given(requests())
def test_pitfall_122_counting_sends_the_whole_prompt_and_nothing_else(request: Request) -> None:
    outgoing = CODEC.encode_count(request, target(), NO_HEADERS)
    assert outgoing is not None
    body = msgspec.json.decode(outgoing.body)
    whole = sent(msgspec.structs.replace(request, stream=False))

    COUNTING.validate_python(body)
    assert "/v1/messages/count_tokens" == outgoing.path
    assert {name: whole[name] for name in body} == body
    assert {"max_tokens", "stream", "metadata", "stop_sequences", "temperature", "top_p"}.isdisjoint(body)


def test_counting_is_none_where_the_provider_cannot() -> None:
    to = target()
    cannot = msgspec.structs.replace(to, surface=Surface(path="/v1/messages"))

    assert CODEC.encode_count(saying(), cannot, NO_HEADERS) is None
    assert 7 == CODEC.decode_count(b'{"input_tokens":7,"more":1}')


def test_passing_on_changes_the_model_and_no_other_byte() -> None:
    body = b'{ "max_tokens" : 5,"model":"public/name",  "messages":[{"role":"user","content":"a\\u00e9 1.0"}],"odd": {"x": 1.0 }}'
    outgoing = CODEC.splice(CODEC.peek(body), target(), NO_HEADERS)

    assert body.replace(b"public/name", b"claude-x") == outgoing.body
    assert "/v1/messages" == outgoing.path


def test_passing_on_takes_out_thinking_the_vendor_did_not_sign_and_nothing_else() -> None:
    keep = b'{"type":"thinking","thinking":"a","signature":"Eq+/=="}'
    body = (
        b'{"model":"p","messages":[{"role":"user","content":"gw1. \\"signature\\":\\"\\""},{"role":"assistant","content":['
        b'{"type":"thinking","thinking":"x","signature":""},'
        + keep
        + b',{"type":"redacted_thinking","data":"gw1.gemini.YQ=="},'
        b'{"type":"thinking","thinking":"b","signature":"gw1.anthropic_messages.Z3cxLng="},'
        b'{"type":"tool_use","id":"t","name":"n","input":{"signature":"","n":1.0}}]},'
        b'{"role":"assistant","content":[{"type":"thinking","thinking":"y","signature":"gw1.gemini.YQ=="}]}]}'
    )
    sent_body = CODEC.splice(CODEC.peek(body), target(), NO_HEADERS).body

    assert (
        b'{"model":"claude-x","messages":[{"role":"user","content":"gw1. \\"signature\\":\\"\\""},{"role":"assistant","content":['
        + keep
        + b',{"type":"thinking","thinking":"b","signature":"gw1.x"},'
        b'{"type":"tool_use","id":"t","name":"n","input":{"signature":"","n":1.0}}]}]}'
    ) == sent_body


def test_texts_documents_and_urls_go_as_they_came() -> None:
    document = Document(source=TextSource(text="Words."), title="T", context="C", citations=True)
    linked = Document(source=UrlSource(url="https://example.com/a.pdf"))
    body = sent(saying(Message(role="user", content=(document, linked))))

    assert [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Words."}, "title": "T",
         "context": "C", "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ] == contents(body)[0][1]  # fmt: skip
