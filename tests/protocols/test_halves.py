"""Characters that a provider cut in two, half in each of two frames of its stream: clients get them whole.

JSON writes a character beyond the basic plane as two escapes. A frame that holds one of them only is no text that JSON
readers take, but vendors send it.
"""

from __future__ import annotations

import pytest

from runtime.canonical import Delta, PartStarted, Text
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.openai_chat.halves import Mender, marked, unmarked

OUTGOING = Outgoing("/", (), b"", stream=True)
ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={}, variant="sse")

# Per protocol: what comes before the first piece of a text, and the frame of a piece.
FRAMES = {
    "anthropic_messages": (
        (
            'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up-1",'
            '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
            'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        ),
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"TEXT"}}\n\n',
    ),
    "gemini": (
        "",
        'data: {"modelVersion":"up-1","candidates":[{"content":{"role":"model","parts":[{"text":"TEXT"}]},"index":0}]}\r\n\r\n',
    ),
    "ollama_chat": (
        "",
        '{"model":"up-1","created_at":"2026-11-21T00:00:00Z","message":{"role":"assistant","content":"TEXT"},"done":false}\n',
    ),
    "openai_chat": (
        "",
        (
            'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"up-1",'
            '"choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]}\n\n'
        ),
    ),
    "openai_responses": (
        (
            'data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,'
            '"status":"in_progress","model":"up-1","output":[]}}\n\n'
            'data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,'
            '"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}\n\n'
            'data: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,'
            '"part":{"type":"output_text","text":"","annotations":[]}}\n\n'
        ),
        (
            'data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,'
            '"delta":"TEXT","logprobs":[]}\n\n'
        ),
    ),
}


def stream(protocol: str, *texts: str) -> bytes:
    before, frame = FRAMES[protocol]
    return (before + "".join(frame.replace("TEXT", text) for text in texts)).encode()


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize("protocol", sorted(CODECS))
def test_a_character_cut_in_two_is_whole_for_the_client(protocol: str, step: int) -> None:
    data = stream(protocol, "a\\ud83c", "\\udf0d b", "\\uD83C\\uDF0D \\\\ud83c")
    decoder = codec(protocol).stream_decoder(OUTGOING)
    events = [event for at in range(0, len(data), step) for event in decoder.feed(data[at : at + step])]

    begun = "".join(
        event.part.text for event in events if isinstance(event, PartStarted) and isinstance(event.part, Text)
    )
    assert "a🌍 b🌍 \\ud83c" == begun + "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.parametrize("protocol", sorted(CODECS))
def test_a_character_cut_in_two_passes_through_as_it_came(protocol: str) -> None:
    data = stream(protocol, "a\\ud83c", "\\udf0d b")
    passed = codec(protocol).stream_tap(ANSWER).feed(data)

    assert data.replace(b"up-1", b"public/name") == passed


def test_a_half_without_its_other_becomes_a_replacement_character() -> None:
    mender = Mender()

    assert b'{"a":"\xef\xbf\xbd b"}' == mender.mend(b'{"a":"\\ud83c b"}')
    assert b'{"a":"\xef\xbf\xbd"}' == mender.mend(b'{"a":"\\udf0d"}')
    assert b'{"a":"x"}' == mender.mend(b'{"a":"x\\ud83c"}')
    assert b'{"a":"y \xef\xbf\xbd"}' == mender.mend(b'{"a":"y \\udf0d"}')


@pytest.mark.parametrize("data", [b'{"a":"x"}', b'{"a":"\\ud83c\\udf0d \\\\ud83c \\u00e9"}'])
def test_what_holds_no_halves_is_the_same_bytes(data: bytes) -> None:
    assert Mender().mend(data) is data
    assert marked(data) is data


def test_marks_become_the_escapes_they_were() -> None:
    assert b'{"a":"\\ud83c","b":"\\udf0d\xc3\xa9"}' == unmarked(marked(b'{"a":"\\ud83c","b":"\\udf0d\xc3\xa9"}'))
