"""How much text came, from the bytes that came: in every protocol, from any pieces, whole or a part of it."""

from __future__ import annotations

import json
from itertools import product

import pytest

from runtime.accounting.received import WINDOW_BYTES, Received
from runtime.canonical import Reasoning, Refusal, Text, ToolCall, collect
from runtime.estimate import approximate
from runtime.protocols import codec
from runtime.protocols.base import Outgoing
from tests.routing.test_rescue import frames
from tests.support.dialect import DIALECT
from tests.support.each import each
from tests.support.vendor import WIRE

NAMES = ("plain", "two-tools", "thinking-text", "unicode", "world")
OUTGOING = Outgoing("/", (), b"", stream=True)


def said(protocol: str, name: str) -> int:
    """The tokens of all that the answer says, by the same rule."""
    decoder = codec(protocol).stream_decoder(OUTGOING)
    answer = collect([*decoder.feed(b"".join(frames(protocol, name))), *decoder.close()])
    texts = [
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in answer.choices[0].content
        if isinstance(part, Text | Reasoning | Refusal | ToolCall)
    ]
    return approximate("".join(texts))


@each([*product(DIALECT, NAMES, (1, 100, 1 << 20))])
def test_of_a_stream_its_text_is_counted(protocol: str, name: str, size: int) -> None:
    data, received = b"".join(frames(protocol, name)), Received(protocol)
    for at in range(0, len(data), size):
        received.note(data[at : at + size])

    assert said(protocol, name) == pytest.approx(received.tokens(), rel=0.25, abs=6)


@each([*product(DIALECT, NAMES)])
def test_of_a_whole_answer_its_text_is_counted(protocol: str, name: str) -> None:
    body = json.dumps(json.loads((WIRE / protocol / f"{name}.json").read_bytes())).encode()

    assert said(protocol, name) == pytest.approx(Received(protocol, body).tokens(), rel=0.25, abs=6)


def test_of_a_long_answer_the_end_stands_for_all_of_it_and_little_is_held() -> None:
    received = Received("openai_chat")
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"word word "}}]}\n\n'
    for _ in range(10_000):
        received.note(piece)

    assert 20_000 == pytest.approx(received.tokens(), rel=0.02)
    assert sum(map(len, received._held)) <= WINDOW_BYTES


def test_of_nothing_there_is_nothing() -> None:
    assert 0 == Received("openai_chat").tokens()
    assert 0 == Received("anthropic_messages", b"").tokens()
