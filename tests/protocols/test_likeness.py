"""Events that are like one before are read by their words alone; what is made of them is what reading them whole gives."""

from __future__ import annotations

from typing import Final

import pytest

from runtime.canonical import Delta, Event, Native, PartStarted
from runtime.errors import GatewayError
from runtime.protocols import codec
from runtime.protocols.base import Outgoing
from runtime.protocols.likeness import Likeness

OUTGOING: Final = Outgoing("/", (), b"", stream=True)

CHAT: Final = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
MESSAGES: Final = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
)
CHAT_END: Final = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
MESSAGES_START: Final = (
    b'data: {"type":"message_start","message":{"id":"1","model":"m"}}\n\n'
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
)
MESSAGES_END: Final = (
    b'data: {"type":"content_block_stop","index":0}\n\n'
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    b'data: {"type":"message_stop"}\n\n'
)
WORDS: Final = (
    b" one", b" two", b"", b'\\u00e9\\n\\"', b"\\\\", "é 日".encode(), b"\\ud83d\\ude00", b"\\ud83d", b"\\ude00", b"},{", b"last",
)  # fmt: skip
UNSOUND: Final = (b"a\nb", b"a\rb", b"\xff", b"\\x", b'"', b'","content":"x', b'"}}\n\ndata: {"x":{"y":"', b"\t")


def _read(protocol: str, reads: list[bytes]) -> tuple[list[Event], str]:
    decoder, events = codec(protocol).stream_decoder(OUTGOING), list[Event]()
    try:
        for data in reads:
            events += decoder.feed(data)
        events += decoder.close()
    except GatewayError as error:
        return events, error.message
    return events, ""


def _by_event(data: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in data.split(b"\n\n") if event]


def _bytewise(data: bytes) -> list[bytes]:
    """So cut, no read holds a whole event, and each is read as if it were the first."""
    return [data[at : at + 1] for at in range(len(data))]


def _stream(protocol: str, words: tuple[bytes, ...]) -> bytes:
    if protocol == "openai_chat":
        return b"".join(CHAT % each for each in words) + CHAT_END
    return MESSAGES_START + b"".join(MESSAGES % each for each in words) + MESSAGES_END


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic_messages"])
def test_words_alone_say_what_the_whole_event_says(protocol: str) -> None:
    data = _stream(protocol, WORDS)
    read = _read(protocol, _bytewise(data))

    assert read[1] == ""
    assert "".join(event.text for event in read[0] if isinstance(event, Delta)).startswith(' one twoé\n"\\é 日😀')
    assert _read(protocol, _by_event(data)) == read
    assert _read(protocol, [data]) == read


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize("unsound", UNSOUND)
def test_what_is_no_text_is_not_taken_for_words(protocol: str, unsound: bytes) -> None:
    data = _stream(protocol, (b"a", b"b", unsound, b"c"))

    assert _read(protocol, _by_event(data)) == _read(protocol, _bytewise(data))
    assert _read(protocol, [data]) == _read(protocol, _bytewise(data))


@pytest.mark.parametrize(
    ("like", "other"),
    [
        (b'{"content":"%b"}', b'{"refusal":"%b"}'),
        (b'{"content":"%b"}', b'{"reasoning_content":"%b"}'),
        (b'{"reasoning_content":"%b"}', b'{"content":"%b"}'),
        (b'{"content": "%b"}', b'{"content":"%b","refusal":"no"}'),
        (b'{"content":"%b","content":"same"}', b'{"content":"%b"}'),
        (b'{"x":{"content":"%b"},"content":"same"}', b'{"content":"%b"}'),
        (b'{"content":"%b"}', b'{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"%b"}}]}'),
    ],
)
def test_only_the_words_may_differ(like: bytes, other: bytes) -> None:
    def chunk(delta: bytes, words: bytes) -> bytes:
        return CHAT.replace(b'{"content":"%b"}', delta) % words

    runs = (like, b"a"), (like, b"b"), (like, b"c"), (other, b"d"), (like, b"e"), (other, b"f"), (like, b"g")
    data = b"".join(chunk(delta, words) for delta, words in runs) + CHAT_END

    assert _read("openai_chat", _by_event(data)) == _read("openai_chat", _bytewise(data))
    assert _read("openai_chat", [data]) == _read("openai_chat", _bytewise(data))


TEXT: Final = b'{"type":"text","text":""}'
THINKING: Final = b'{"type":"thinking","thinking":""}'
CALL: Final = b'{"type":"tool_use","id":"c","name":"f","input":{}}'
OWN: Final = b'{"type":"server_tool_use","id":"c","name":"f","input":{}}'


@pytest.mark.parametrize(
    ("block", "deltas"),
    [
        (TEXT, ("text:a", "thinking:", "text:b", "text:c")),
        (TEXT, ("text:a", "text:b", "thinking:hm", "text:c", "text:d", "thinking:", "thinking:so")),
        (TEXT, ("input_json:one", "input_json:two", "text:a", "text:b")),
        (THINKING, ("thinking:a", "thinking:b", "text:", "thinking:c", "thinking:d")),
        (THINKING, ("thinking:a", "signature:s", "thinking:b", "signature:t", "text:c", "signature:u")),
        (CALL, ("input_json:{}", "text:one", "text:two", "thinking:x", "thinking:y")),
        (CALL, ('input_json:{\\"a\\":', "input_json:1", "text:x", "input_json:}")),
        (OWN, ("input_json:{}", "text:one", "text:two", "thinking:\\ud83d", "thinking:\\ud83d")),
    ],
)
def test_words_are_said_of_the_block_that_they_belong_to(block: bytes, deltas: tuple[str, ...]) -> None:
    members = {"text": "text", "thinking": "thinking", "input_json": "partial_json", "signature": "signature"}
    data = MESSAGES_START.replace(TEXT, block)
    for kind, words in (each.split(":", 1) for each in deltas):
        delta = f'{{"type":"{kind}_delta","{members[kind]}":"{words}"}}'
        data += MESSAGES.replace(b'{"type":"text_delta","text":"%b"}', delta.encode())
    data += MESSAGES_END

    assert _read("anthropic_messages", _by_event(data)) == _read("anthropic_messages", _bytewise(data))
    assert _read("anthropic_messages", [data]) == _read("anthropic_messages", _bytewise(data))


def test_a_block_of_the_vendors_own_takes_half_a_character_for_none() -> None:
    half = MESSAGES.replace(b'{"type":"text_delta","text":"%b"}', b'{"type":"thinking_delta","thinking":"\\ud83d"}')
    events, error = _read("anthropic_messages", [MESSAGES_START.replace(TEXT, OWN) + half + half + MESSAGES_END])

    assert "" == error
    assert ['{"type":"server_tool_use","id":"c","name":"f","input":{},"thinking":""}'] == [
        event.part.json for event in events if isinstance(event, PartStarted) and isinstance(event.part, Native)
    ]


def test_what_is_known_is_not_learned_again() -> None:
    """However many events come before the first that may be like another."""
    like = Likeness()
    for _ in range(10):
        like.learn(b"data: ", b'{"content":"a"}', b"content", lambda _: "\u0001 other words")

    assert like.known
    assert like.learns
    assert "b" == like.words(b'data: {"content":"b"}')


def test_nothing_is_said_behind_the_end() -> None:
    for protocol in ("openai_chat", "anthropic_messages"):
        data = _stream(protocol, (b"a", b"b"))
        late = (CHAT if protocol == "openai_chat" else MESSAGES) % b"late"
        assert _read(protocol, [*_by_event(data), late]) == _read(protocol, [data])


def test_a_stream_whose_events_all_differ_is_not_learned_from_for_ever() -> None:
    like, asked = Likeness(), list[bytes]()

    def read(data: bytes) -> str:
        asked.append(data)
        return "\u0001 other words"

    for number in range(10):
        like.learn(b"data: ", b'{"n":%d,"content":"a"}' % number, b"content", read)

    assert len(asked) == 3
    assert not like.known
    assert not like.learns


def test_what_is_of_use_is_learned_anew() -> None:
    like = Likeness()
    for number in range(10):
        data = b'{"n":%d,"content":"%b"}'
        like.learn(b"data: ", data % (number, b"a"), b"content", lambda _: "\u0001 other words")
        assert like.words(b"data: " + data % (number, b"b")) == "b"
        assert like.words(b"data: " + data % (number + 1, b"b")) is None
