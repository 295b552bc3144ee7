"""Messages of a canonical request as Chat's body: quirks, media, thinking that goes back."""

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
    Message,
    Native,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolResult,
    UrlSource,
)  # fmt: skip
from runtime.errors import InvalidRequest
from tests.protocols.openai_chat.support import ask, body, encode, target, user, vendor_accepts
from tests.protocols.openai_chat.test_outgoing import CALL, TOLD, TURN, turns

PDF = Base64Source(media_type="application/pdf", data="JVBERi0=")


# -- messages


def test_quirk_developer_role() -> None:
    told = Message(role="developer", content=(Text(text="rules"),))

    assert ["developer", "system"] == [
        turns(told, user("x"), to=to)[0]["role"] for to in (None, target(developer_role=False))
    ]


def test_stop_texts_beyond_the_vendor_s_four_are_cut_and_named() -> None:
    four = encode(ask(stop=("a", "b", "c", "d")))
    five = encode(ask(stop=("a", "b", "c", "d", "e")))

    assert four.body == five.body
    assert ((), ("stop",)) == (four.losses, five.losses)


def test_a_limit_of_nothing_is_the_least_that_can_be_said() -> None:
    """Messages has it, to fill a cache; Chat refuses it."""
    outgoing = encode(ask(max_output_tokens=0))

    assert 1 == msgspec.json.decode(outgoing.body)["max_tokens"]
    assert ("max_output_tokens",) == outgoing.losses


def test_quirk_system_anywhere_folds_what_stands_elsewhere() -> None:
    rules = [Message(role=role, content=(Text(text=text),)) for role, text in (("system", "a"), ("developer", "b"))]  # type: ignore[arg-type]
    late = Message(role="system", content=(Text(text="c"),))
    folded = turns(*rules, user("x"), late, to=target(system_anywhere=False))

    assert ["system", "user", "user"] == [turn["role"] for turn in folded]
    assert [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}] == folded[0]["content"]
    assert "<system>\nc\n</system>" == folded[2]["content"]


def test_quirk_text_only_content() -> None:
    many = Message(role="user", content=(Text(text="a"), Text(text="b", cache=CacheMark())))

    assert "a\nb" == turns(many, to=target(text_only_content=True))[0]["content"]
    with pytest.raises(InvalidRequest, match="text only") as caught:
        turns(
            Message(role="user", content=(Text(text="a"), Image(source=UrlSource(url="https://e.com/a")))),
            to=target(text_only_content=True),
        )
    assert "messages[0].content[1]" == caught.value.param


@pytest.mark.parametrize(("quirk", "expected"), [("null", None), ("empty", "")])
def test_quirk_empty_content(quirk: Any, expected: str | None) -> None:
    assert expected == turns(user("x"), TURN, TOLD, to=target(empty_content=quirk))[1]["content"]
    assert "content" not in turns(user("x"), TURN, TOLD, to=target(empty_content="omit"))[1]


def test_quirk_content_xor_tool_calls_keeps_the_calls() -> None:
    both = Message(role="assistant", content=(Text(text="looking"), CALL))
    outgoing = encode(ask(user("x"), both, TOLD), target(content_xor_tool_calls=True))
    turn = msgspec.json.decode(outgoing.body)["messages"][1]

    assert turn["content"] is None
    assert 1 == len(turn["tool_calls"])
    assert ("messages[1].content",) == outgoing.losses


def test_quirk_assistant_after_results_lets_the_model_speak_before_anybody_else_does() -> None:
    """Agents put words of the user's behind results; Mistral refuses them there, as it does instructions."""
    picture = Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo="))
    shown = Message(role="tool", content=(ToolResult(call_id=CALL.id, content=(Text(text="ok"), picture)),))
    said, later = (
        Message(role="assistant", content=(Text(text="y"),)),
        Message(role="system", content=(Text(text="s"),)),
    )
    to = target(assistant_after_results=True)

    def roles(*messages: Message) -> list[str]:
        return [turn["role"] for turn in turns(user("x"), TURN, *messages, to=to)][2:]

    assert ["tool"] == roles(TOLD)
    assert ["tool", "assistant", "user"] == roles(TOLD, said, user("z"))
    assert ["tool", "assistant", "user"] == roles(TOLD, user("z"))
    assert ["tool", "assistant", "system"] == roles(TOLD, later)
    assert ["tool", "assistant", "user"] == roles(shown)
    assert ["tool", "user"] == [turn["role"] for turn in turns(user("x"), TURN, TOLD, user("z"))][2:]


def test_quirk_tool_call_id_maps_call_and_result_alike_every_time() -> None:
    to = target(tool_call_id="^[a-zA-Z0-9]{9}$")
    first = turns(user("x"), TURN, TOLD, to=to)
    later = turns(user("x"), TURN, TOLD, user("y"), to=to)

    assert first[1]["tool_calls"][0]["id"] == first[2]["tool_call_id"] == later[2]["tool_call_id"]
    assert 9 == len(first[2]["tool_call_id"])


@pytest.mark.parametrize(
    ("spelling", "ttl_s", "expected"),
    [
        ("prompt_cache_breakpoint", None, {"mode": "explicit"}),
        ("prompt_cache_breakpoint", 1800, {"mode": "explicit", "ttl": "30m"}),
        ("prompt_cache_breakpoint", 3600, {"mode": "explicit"}),
        ("cache_control", 3600, {"type": "ephemeral", "ttl": "1h"}),
        ("cache_control", None, {"type": "ephemeral"}),
    ],
)
def test_quirk_cache_marks(spelling: Any, ttl_s: int | None, expected: dict[str, str]) -> None:
    marked = Message(role="system", content=(Text(text="a", cache=CacheMark(ttl_s=ttl_s)),))

    assert expected == turns(marked, user("x"), to=target(cache_marks=spelling))[0]["content"][0][spelling]
    assert "a" == turns(marked, user("x"))[0]["content"]
    assert ("messages[0].content[0].cache",) == encode(ask(marked, user("x"))).losses


def test_marks_on_tools_and_on_the_whole_need_cache_control() -> None:
    request = ask(tools=(Tool(name="f", cache=CacheMark()),), cache=CacheMark(ttl_s=300))
    sent = body(request, target(cache_marks="cache_control"))

    assert ({"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}) == (
        sent["tools"][0]["cache_control"],
        sent["cache_control"],
    )
    assert {"tools[0].cache", "cache"} == set(encode(request).losses)


def test_images_of_tool_results_follow_as_the_user_s_after_all_results() -> None:
    shot = Image(source=Base64Source(media_type="image/png", data="AAAA"))
    two = Message(role="assistant", content=(CALL, ToolCall(id="c2", name="f", arguments="{}")))
    results = Message(
        role="tool",
        content=(
            ToolResult(call_id="c1", content=(shot,), is_error=True),
            ToolResult(call_id="c2", content=(Text(text="t"),)),
        ),
    )
    outgoing = encode(ask(user("x"), two, results))
    sent = msgspec.json.decode(outgoing.body)["messages"]

    vendor_accepts(outgoing.body)
    assert ["user", "assistant", "tool", "tool", "user"] == [turn["role"] for turn in sent]
    assert [
        {"type": "text", "text": "What the tool call c1 showed:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ] == sent[4]["content"]
    assert ("messages[2].content[0].is_error",) == outgoing.losses


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Audio(source=Base64Source(media_type="audio/x-wav", data="A")), {"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}),
        (Document(source=PDF), {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}),
        (Document(source=FileSource(file_id="f"), title="t"), {"type": "file", "file": {"file_id": "f", "filename": "t"}}),
        (Document(source=TextSource(text="body"), title="t"), {"type": "text", "text": "t\n\nbody"}),
    ],
)  # fmt: skip
def test_media_in_the_vendor_s_forms(part: Any, expected: Any) -> None:
    outgoing = encode(ask(Message(role="user", content=(part,))))

    vendor_accepts(outgoing.body)
    assert [expected] == msgspec.json.decode(outgoing.body)["messages"][0]["content"]


@pytest.mark.parametrize(
    "part",
    [
        Image(source=FileSource(file_id="f")), Audio(source=UrlSource(url="https://e.com/a.wav")),
        Document(source=UrlSource(url="https://e.com/a.pdf")),
    ],
)  # fmt: skip
def test_media_that_cannot_be_said_is_refused_not_dropped(part: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(ask(Message(role="user", content=(Text(text="x"), part))))
    assert "messages[0].content[1]" == caught.value.param


def test_assistant_turn_with_refusal_audio_and_foreign_blocks() -> None:
    turn = Message(
        role="assistant",
        content=(
            Text(text="a"), Refusal(text="no"), Native(protocol="openai_chat", block="audio", json='{"id":"au"}'),
            Native(protocol="anthropic_messages", block="server_tool_use", json="{}"),
        ),
    )  # fmt: skip
    outgoing = encode(ask(user("x"), turn))

    vendor_accepts(outgoing.body)
    assert {
        "role": "assistant",
        "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}],
        "audio": {"id": "au"},
    } == msgspec.json.decode(outgoing.body)["messages"][1]
    assert ("messages[1].content[2]",) == outgoing.losses


def test_turns_that_say_nothing_are_left_out() -> None:
    empty = Message(role="assistant", content=())

    assert ["user"] == [turn["role"] for turn in turns(Message(role="system", content=()), user("x"), empty)]


def test_a_user_who_says_nothing_is_left_out_and_made_to_begin_where_nobody_else_speaks() -> None:
    nothing = Message(role="user", content=(Text(text=""),))
    system = Message(role="system", content=(Text(text="A"),))

    assert [{"role": "user", "content": "x"}] == turns(user("x"), nothing)
    assert [{"role": "user", "content": "Begin."}] == turns(nothing)
    assert ["A", "Begin."] == [turn["content"] for turn in turns(system, nothing)]
    assert ["A"] == [turn["content"] for turn in turns(system)]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "{}"), (" ", "{}"), ("null", "{}"), ("[1]", '{"value":[1]}'), ("{bad", '{"INVALID_JSON":"{bad"}'),
        ('{"a": 1.0}', '{"a": 1.0}'),
    ],
)  # fmt: skip
def test_arguments_in_history_are_an_object_whatever_the_model_wrote(written: str, sent: str) -> None:
    (_, turn, *_) = turns(
        user("x"), Message(role="assistant", content=(ToolCall(id="a", name="f", arguments=written),))
    )

    assert sent == turn["tool_calls"][0]["function"]["arguments"]


@pytest.mark.parametrize(
    ("parts", "replay", "lost"),
    [
        ((Reasoning(text="hm"), Text(text="a")), False, ("messages[1].content[0]",)),
        ((Reasoning(text="hm"), Text(text="a")), True, ()),
        ((Reasoning(text="hm", seal="s", sealed_by="gemini"), Text(text="a")), True, ("messages[1].content[0].seal",)),
        ((Reasoning(seal="signature.s", sealed_by="openai_chat"), ToolCall(id="a", name="f", arguments="{}")), False, ()),
        ((Reasoning(seal="signature.s", sealed_by="openai_chat"), Text(text="a")), False, ("messages[1].content[0]",)),
    ],
)  # fmt: skip
def test_thinking_that_is_not_given_back_is_named(parts: tuple[Any, ...], replay: bool, lost: tuple[str, ...]) -> None:
    said = ask(user("x"), Message(role="assistant", content=parts))

    assert lost == encode(said, target(replay_reasoning=replay)).losses
