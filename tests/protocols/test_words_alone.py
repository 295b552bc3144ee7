"""Messages of words alone are told apart: of all others a dialect must ask what it cannot be told."""

from __future__ import annotations

import pytest

from runtime.canonical import (
    CacheMark,
    Citation,
    Image,
    Message,
    Native,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    UrlSource,
)
from runtime.protocols.unsaid import words_alone

WORDS = Message(role="user", content=(Text(text="hi"), Text(text="there")))


def test_words_are_words_alone_whoever_says_them() -> None:
    said = [
        Message(role="system", content=(Text(text="be kind"),)),
        WORDS,
        Message(role="assistant", content=(Text(text=""),)),
    ]

    assert words_alone(said)
    assert words_alone([])


@pytest.mark.parametrize(
    "part",
    [
        Text(text="hi", cache=CacheMark()),
        Text(text="hi", citations=(Citation(url="http://a.example"),)),
        Image(source=UrlSource(url="http://a.example/a.png")),
        Reasoning(text="hm"),
        ToolCall(id="c1", name="look"),
        ToolResult(call_id="c1"),
        Native(protocol="gemini", block="fileData", json="{}"),
    ],
)
def test_a_mark_a_call_or_a_picture_is_more_than_words(part: Part) -> None:
    assert not words_alone([WORDS, Message(role="user", content=(Text(text="hi"), part))])


def test_a_name_and_a_result_s_turn_are_more_than_words() -> None:
    assert not words_alone([Message(role="user", content=(Text(text="hi"),), name="ann")])
    assert not words_alone([Message(role="tool", content=(Text(text="hi"),))])
