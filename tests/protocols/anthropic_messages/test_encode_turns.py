"""How a conversation is put to the vendor: turns, their parts, and the marks of its cache."""

from __future__ import annotations

import base64

import msgspec
import pytest

from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Citation,
    Document,
    Image,
    Message,
    Native,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)  # fmt: skip
from runtime.catalog.capability import Capability
from runtime.errors import InvalidRequest
from tests.protocols.anthropic_messages.given import (
    BUDGET,
    CODEC,
    NO_HEADERS,
    TURN,
    assistant,
    contents,
    decoded,
    losses,
    saying,
    sent,
    system,
    target,
    user,
)  # fmt: skip

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


@pytest.mark.parametrize(
    "turns",
    [
        [["functions.f:0"], ["functions.f:0"]], [["x"], ["x"], ["x"]], [["x", "x"], ["x_2", "x"], ["x"]],
        [["x"], ["x_2"], ["x"], ["x_2"]], [[""], [""]],
    ],
)  # fmt: skip
def test_pitfall_093_no_two_calls_of_a_conversation_have_one_id(turns: list[list[str]]) -> None:
    messages = [
        message
        for index, ids in enumerate(turns)
        for message in (
            Message(role="assistant", content=tuple(ToolCall(id=id_, name="f") for id_ in ids)),
            Message(
                role="tool",
                content=tuple(
                    ToolResult(call_id=id_, content=(Text(text=f"{index} {place}"),)) for place, id_ in enumerate(ids)
                ),
            ),
        )
    ]
    said = contents(sent(saying(user("Hi."), *messages)))
    calls = [block["id"] for _, blocks in said[1::2] for block in blocks]  # type: ignore[attr-defined]

    assert len(calls) == len(set(calls))
    assert [(id_, f"{index} {place}") for id_, (index, place) in zip(
        calls, [(index, place) for index, ids in enumerate(turns) for place in range(len(ids))], strict=True
    )] == [(block["tool_use_id"], block["content"]) for _, blocks in said[2::2] for block in blocks]  # type: ignore[attr-defined]  # fmt: skip
    shorter = contents(sent(saying(user("Hi."), *messages[:-2])))
    assert shorter == said[:-2], "what was sent before stays as it was, in the vendor's cache, too"


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
