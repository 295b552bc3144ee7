"""The short way of plain pieces and plain texts: all the difference that it makes is what it costs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import Response
from runtime.errors import GatewayError
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.gemini import decode_stream, encode_stream, tap
from runtime.protocols.gemini.plain import Renaming, read_plain
from tests.protocols.anthropic_messages.given import told
from tests.protocols.gemini.given import CODEC
from tests.support.canonical import responses
from tests.support.each import each
from tests.support.vendor import WIRE

TRANSCRIPTS = sorted(
    [*(WIRE / "gemini").glob("*.sse"), *(Path(__file__).parents[2] / "fixtures/wire/gemini").glob("*.sse")]
)
OUTGOING = Outgoing("/", (), b"", stream=True)


def answer(variant: str = "sse") -> Answer:
    return Answer('public/"name"', "req1", 5, {}, None, variant)


def outcome(feed: Callable[[bytes], Any], close: Callable[[], Any], data: bytes, size: int) -> tuple[list[Any], str]:
    """All that comes, and the error that it ends with."""
    got: list[Any] = []
    try:
        got += [feed(data[at : at + size]) for at in range(0, len(data), size)]
        got.append(close())
    except GatewayError as error:
        return got, f"{error.kind} {error.message}"
    return got, ""


def seen(data: bytes, size: int, variant: str = "sse") -> tuple[Any, ...]:
    """What comes of a provider's stream, translated and passed on."""
    decoder, watching = CODEC.stream_decoder(OUTGOING), CODEC.stream_tap(answer(variant))
    events = outcome(decoder.feed, decoder.close, data, size)
    passed = outcome(watching.feed, watching.close, data, size)
    return events, passed, watching.usage, watching.started, watching.complete


def seen_the_long_way(data: bytes, size: int, variant: str = "sse") -> tuple[Any, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_stream, "read_plain", lambda _: None)
        patch.setattr(tap, "read_plain", lambda _: None)
        return seen(data, size, variant)


def test_plain_pieces_are_taken_by_the_short_way() -> None:
    piece = read_plain((WIRE / "gemini/plain.sse").read_bytes().split(b"\r\n\r\n")[1].removeprefix(b"data: "))

    assert piece is not None
    assert " the capital" == piece.candidates[0].content.parts[0].text


@each(TRANSCRIPTS)
def test_every_transcript_comes_out_the_same(path: Path) -> None:
    data = path.read_bytes()

    for size, variant in product((1 << 20, 200, 7), ("sse", "array")):
        assert seen_the_long_way(data, size, variant) == seen(data, size, variant)


TEXTS = st.sampled_from(["", " a", "é\U0001f600", 'a"modelVersion":"m-1"', "\\", "\u2028", "<b>", "\n"])
PARTS = st.one_of(
    st.builds(lambda text: {"text": text}, TEXTS),
    st.builds(lambda text: {"text": text, "thought": True}, TEXTS),
    st.builds(lambda text: {"text": text, "thoughtSignature": "c2ln"}, TEXTS),
    st.sampled_from(
        [{"functionCall": {"name": "f", "args": {}}}, {"text": None}, {"text": "x", "new": 1}, {"text": 5}]
    ),
)
USAGES = st.fixed_dictionaries(
    {"promptTokenCount": st.integers(-1, 9)},
    optional={
        "candidatesTokenCount": st.sampled_from([None, 0, 3, "4"]), "totalTokenCount": st.integers(0, 30), "thoughtsTokenCount": st.integers(0, 5),
        "trafficType": st.sampled_from(["ON_DEMAND_FLEX", "x"]), "modelVersion": st.just("m-1"),
        "promptTokensDetails": st.just([{"modality": "AUDIO", "tokenCount": 2}, {}]),
    },
)  # fmt: skip
CANDIDATES = st.fixed_dictionaries(
    {"content": st.fixed_dictionaries({"parts": st.lists(PARTS, max_size=3)}, optional={"role": st.just("model")})},
    optional={
        "index": st.sampled_from([0, 0, 0, 1, None]), "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", None]),
        "safetyRatings": st.just([{"modelVersion": "m-1"}]), "avgLogprobs": st.just(-1.5),
        "groundingMetadata": st.just({"webSearchQueries": ["q"], "groundingChunks": [{"web": {"uri": "u"}}]}),
    },
)  # fmt: skip
PIECES = st.fixed_dictionaries(
    {"candidates": st.lists(CANDIDATES, max_size=2)},
    optional={
        "usageMetadata": USAGES, "modelVersion": st.sampled_from(["m-1", "m-2", "", None]), "responseId": st.just("r"),
        "promptFeedback": st.just({}), "createTime": st.just("2026-01-01T00:00:00Z"),
    },
)  # fmt: skip


@given(
    st.lists(PIECES, min_size=1, max_size=5), st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans(),
    st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\r\n\n"]), st.sampled_from([1 << 20, 40, 3]), st.randoms(use_true_random=False),
)  # fmt: skip
def test_any_stream_comes_out_the_same(
    pieces: list[dict[str, Any]],
    separators: tuple[str, str],
    ascii_only: bool,
    end: str,
    size: int,
    draw: random.Random,
) -> None:
    frames = [f"data: {json.dumps(each, separators=separators, ensure_ascii=ascii_only)}{end}" for each in pieces]
    data = "".join(frame if draw.random() < 0.9 else f": comment\n{frame}" for frame in frames).encode()

    assert seen_the_long_way(data, size) == seen(data, size)


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b'{"modelVersion":"m","a":1}', "m", b'{"modelVersion":"new","a":1}'),
        (b'{"a":1,"modelVersion":"m"}', "m", b'{"a":1,"modelVersion":"new"}'),
        (b'{"a":"\\"modelVersion\\":\\"m\\"","modelVersion":"m"}', "m", b'{"a":"\\"modelVersion\\":\\"m\\"","modelVersion":"new"}'),
        (b'{"a":1}', "", b'{"a":1}'), (b'{"\\u006dodelVersion":"m"}', "m", None), (b'{"modelVersion": "m"}', "m", None),
        (b'{"modelVersion" :"m"}', "m", None), (b'{"modelVersion":"\\u006d"}', "m", None),
        (b'{"modelVersion":"m","a":{"modelVersion":"m"}}', "m", None), (b'{"modelVersion":""}', "", None),
    ],
)  # fmt: skip
def test_a_name_is_replaced_where_it_stands_as_usual(data: bytes, name: str, expected: bytes | None) -> None:
    assert expected == Renaming(msgspec.Raw(b'"new"')).apply(data, name)


@given(responses(), st.randoms(use_true_random=False), st.sampled_from(["sse", "array"]))
def test_texts_are_written_the_same(response: Response, draw: random.Random, variant: str) -> None:
    events = told(response, draw)
    encoder = CODEC.stream_encoder(answer(variant))
    short = [encoder.feed([event]) for event in events]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode_stream._Line, "goes_on", lambda *_: False)
        encoder = CODEC.stream_encoder(answer(variant))
        assert [encoder.feed([event]) for event in events] == short
