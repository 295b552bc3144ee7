"""What vendors say an answer took, as it comes over the wire, and what it costs to the nano-dollar.

Every row is worked out by hand from the vendor's documentation of its counts: which are inside which. The document goes
through the real codec as a whole answer and as a stream, passed through and translated, with the vendor's own transcript
around it.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from runtime.accounting.price import Cost, price
from runtime.canonical import Usage
from runtime.catalog import Prices
from runtime.protocols import codec
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.relay import Passing, Relay, Translating
from tests.support.vendor import SPEECH, WIRE

PRICES = Prices(
    source="s",
    date="2026-01-01",
    input=3_000_000_001,
    output=15_000_000_003,
    cache_read=300_000_007,
    cache_write_5m=3_750_000_009,
    cache_write_1h=6_000_000_011,
    reasoning=16_000_000_013,
    audio_input=40_000_000_017,
    audio_output=80_000_000_019,
    search=10_000_000_021,
)
"""About what models cost, and odd in the last digits, so that every count shows in the sum."""


def usd_of(**tokens: int) -> int:
    """Nano-dollars of so many tokens at each price; searches are by the thousand."""
    searches = tokens.pop("search", 0)
    exact = sum((Fraction(count * getattr(PRICES, name), 10**6) for name, count in tokens.items()), Fraction())
    return round(exact + Fraction(searches * (PRICES.search or 0), 1000))


# protocol, what the vendor says, what is to be paid at which price
CASES: dict[str, list[tuple[str, dict[str, Any], dict[str, int]]]] = {
    "openai_chat": [
        ("plain", {"prompt_tokens": 1001, "completion_tokens": 207, "total_tokens": 1208}, {"input": 1001, "output": 207}),
        (
            "cached, written, thought, spoken",
            {
                "prompt_tokens": 2000,
                "completion_tokens": 500,
                "total_tokens": 2500,
                "prompt_tokens_details": {"cached_tokens": 1200, "cache_write_tokens": 300, "audio_tokens": 101},
                "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 53},
            },
            {
                "input": 399, "audio_input": 101, "cache_read": 1200, "cache_write_5m": 300, "output": 247,
                "reasoning": 200, "audio_output": 53,
            },
        ),
        (
            "predicted: what was rejected is paid as output, and counted there",
            {
                "prompt_tokens": 10,
                "completion_tokens": 90,
                "total_tokens": 100,
                "completion_tokens_details": {"accepted_prediction_tokens": 20, "rejected_prediction_tokens": 40},
            },
            {"input": 10, "output": 90},
        ),
        (
            "Google's: thinking is in the total alone",
            {"completion_tokens": 424, "prompt_tokens": 20, "total_tokens": 1016},
            {"input": 20, "output": 424, "reasoning": 572},
        ),
        (
            "Google's, where nothing but thinking came",
            {"completion_tokens": 0, "prompt_tokens": 21, "total_tokens": 81},
            {"input": 21, "reasoning": 60},
        ),
        (
            "xAI's: thinking is counted beside the answer",
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 6},
                "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
            },
            {"input": 26, "cache_read": 6, "output": 9, "reasoning": 94},
        ),
        (
            "cached tokens that the total holds and the prompt does not",
            {
                "prompt_tokens": 500,
                "completion_tokens": 20,
                "total_tokens": 720,
                "prompt_tokens_details": {"cached_tokens": 200},
            },
            {"input": 500, "cache_read": 200, "output": 20},
        ),
        ("a total without the prompt", {"completion_tokens": 9, "total_tokens": 30}, {"input": 21, "output": 9}),
        ("a total that is less", {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 3}, {"input": 21, "output": 9}),
    ],
    "openai_responses": [
        (
            "cached, written, thought",
            {
                "input_tokens": 2000,
                "input_tokens_details": {"cached_tokens": 1200, "cache_write_tokens": 300},
                "output_tokens": 500,
                "output_tokens_details": {"reasoning_tokens": 200},
                "total_tokens": 2500,
            },
            {"input": 500, "cache_read": 1200, "cache_write_5m": 300, "output": 300, "reasoning": 200},
        ),
    ],
    "anthropic_messages": [
        (
            "cached, written for five minutes and for an hour, searched",
            {
                "input_tokens": 401,
                "cache_creation_input_tokens": 700,
                "cache_read_input_tokens": 1203,
                "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 400},
                "output_tokens": 509,
                "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1},
            },
            {
                "input": 401, "cache_read": 1203, "cache_write_5m": 300, "cache_write_1h": 400, "output": 509,
                "search": 3,
            },
        ),
        (
            "written, without saying for how long",
            {"input_tokens": 5, "cache_creation_input_tokens": 700, "cache_read_input_tokens": 0, "output_tokens": 9},
            {"input": 5, "cache_write_5m": 700, "output": 9},
        ),
    ],
    "gemini": [
        (
            "cached, thought, heard",
            {
                "promptTokenCount": 2000,
                "cachedContentTokenCount": 1200,
                "candidatesTokenCount": 300,
                "thoughtsTokenCount": 200,
                "totalTokenCount": 2500,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 1500},
                    {"modality": "AUDIO", "tokenCount": 500},
                ],
                "cacheTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 1100},
                    {"modality": "AUDIO", "tokenCount": 100},
                ],
            },
            {"input": 400, "audio_input": 400, "cache_read": 1200, "output": 300, "reasoning": 200},
        ),
        (
            "spoken, after a tool was used",
            {
                "promptTokenCount": 100,
                "toolUsePromptTokenCount": 50,
                "candidatesTokenCount": 300,
                "totalTokenCount": 450,
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 250}],
            },
            {"input": 150, "output": 50, "audio_output": 250},
        ),
    ],
    "ollama_chat": [
        ("plain", {"prompt_eval_count": 1001, "eval_count": 207}, {"input": 1001, "output": 207}),
    ],
}  # fmt: skip
EVERY = [
    pytest.param(protocol, said, paid, id=f"{protocol}: {name}")
    for protocol, cases in CASES.items()
    for name, said, paid in cases
]
OUTGOING = Outgoing("/", (), b"", stream=True)
ANSWER = Answer(model="public", id="id", created=0, headers={})


def whole(protocol: str, said: dict[str, Any]) -> bytes:
    """The vendor's whole answer, with these counts."""
    document = json.loads((WIRE / protocol / "plain.json").read_bytes())
    match protocol:
        case "gemini":
            document["usageMetadata"] = said
        case "ollama_chat":
            document |= said
        case _:
            document["usage"] = said
    return json.dumps(document).encode()


def stream(protocol: str, said: dict[str, Any]) -> bytes:
    """The vendor's stream, with these counts where it says them last."""
    text = (WIRE / protocol / f"plain.{SPEECH[protocol].ending}").read_text()
    new = json.dumps(said, separators=(",", ":"))
    if protocol == "ollama_chat":
        for name, count in said.items():
            text = re.sub(rf'"{name}":\d+', f'"{name}":{count}', text)
        return text.encode()
    if protocol == "anthropic_messages":
        start = {**said, "output_tokens": 1}
        text = _with(text, '"usage":{"input_tokens"', json.dumps(start, separators=(",", ":")))
        return re.sub(r'("type":"message_delta".*?"usage":)\{.*?\}(?=\}\n)', rf"\g<1>{new}", text).encode()
    mark = {"openai_chat": '"usage":{', "openai_responses": '"usage":{', "gemini": '"usageMetadata":{'}[protocol]
    return _with(text, mark, new, last=True).encode()


def _with(text: str, mark: str, new: str, *, last: bool = False) -> str:
    """``text`` with ``new`` for the object that stands at ``mark``."""
    at = text.rindex(mark) if last else text.index(mark)
    begin = text.index("{", at)
    depth, end = 0, begin
    for end in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            break
    return text[:begin] + new + text[end + 1 :]


def relayed(relay: Relay, data: bytes, size: int) -> Usage | None:
    """What a stream was learnt to have taken, in pieces of ``size``; it is known before the last bytes are handed out."""
    known = None
    for at in range(0, len(data), size):
        relay.feed(data[at : at + size])
        if relay.finished and known is None:
            known = relay.usage
    relay.close()
    assert known is None or known == relay.usage
    return relay.usage


@pytest.mark.parametrize(("protocol", "said", "paid"), EVERY)
def test_a_whole_answer_costs_what_its_vendor_s_counts_say(
    protocol: str, said: dict[str, Any], paid: dict[str, int]
) -> None:
    speaks, body = codec(protocol), whole(protocol, said)
    passed, translated = speaks.splice_response(body, "public")[1], speaks.decode_response(body, OUTGOING).usage

    assert passed is not None
    assert [Cost(usd_of(**paid))] * 2 == [price(passed, PRICES), price(translated, PRICES)]


@pytest.mark.parametrize("size", [1, 97, 1 << 20])
@pytest.mark.parametrize(("protocol", "said", "paid"), EVERY)
def test_a_stream_costs_what_its_vendor_s_counts_say(
    protocol: str, said: dict[str, Any], paid: dict[str, int], size: int
) -> None:
    speaks, data = codec(protocol), stream(protocol, said)
    passing = Passing(speaks.stream_tap(ANSWER), speaks.stream_encoder(ANSWER))
    translating = Translating(speaks.stream_decoder(OUTGOING), codec("openai_chat").stream_encoder(ANSWER))

    for relay in (passing, translating):
        usage = relayed(relay, data, size)
        assert usage is not None
        assert Cost(usd_of(**paid)) == price(usage, PRICES)


TRANSCRIPTS = [
    pytest.param(path, id=f"{path.parent.name}/{path.stem}")
    for path in sorted(WIRE.glob("*/*.json"))
    if path.stem != "empty"
]


@pytest.mark.parametrize("path", TRANSCRIPTS)
def test_every_transcript_costs_the_same_whole_and_streamed_passed_and_translated(path: Path) -> None:
    protocol = path.parent.name
    speaks, streamed = codec(protocol), path.with_suffix("." + SPEECH[protocol].ending).read_bytes()
    body = path.read_bytes()
    costs = [
        price(speaks.splice_response(body, "public")[1] or Usage(), PRICES),
        price(speaks.decode_response(body, OUTGOING).usage, PRICES),
        price(
            relayed(Passing(speaks.stream_tap(ANSWER), speaks.stream_encoder(ANSWER)), streamed, 1 << 20) or Usage(),
            PRICES,
        ),
        price(
            relayed(
                Translating(speaks.stream_decoder(OUTGOING), codec("openai_chat").stream_encoder(ANSWER)),
                streamed,
                1 << 20,
            )
            or Usage(),
            PRICES,
        ),
    ]

    assert costs[0].nano_usd > 0
    assert [costs[0]] * 4 == costs


@pytest.mark.parametrize(
    ("start", "end", "counted"),
    [
        ({"input_tokens": 120, "cache_read_input_tokens": 30}, {"input_tokens": 0}, (120, 30, 5)),
        (
            {"input_tokens": 120},
            {"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
            (120, 0, 5),
        ),
        ({"input_tokens": 0}, {"input_tokens": 120, "cache_read_input_tokens": 30}, (120, 30, 5)),
        ({"input_tokens": 150}, {"input_tokens": 0, "cache_read_input_tokens": 150}, (0, 150, 5)),
        ({"input_tokens": 150}, {}, (150, 0, 5)),
    ],
)
def test_what_was_sent_is_paid_whether_a_stream_says_it_at_its_start_or_at_its_end(
    start: dict[str, int], end: dict[str, int], counted: tuple[int, int, int]
) -> None:
    text = (WIRE / "anthropic_messages/plain.sse").read_text()
    text = _with(text, '"usage":{"input_tokens"', json.dumps({**start, "output_tokens": 0}, separators=(",", ":")))
    last = json.dumps({**end, "output_tokens": 5}, separators=(",", ":"))
    data = re.sub(r'("type":"message_delta".*?"usage":)\{.*?\}(?=\}\n)', rf"\g<1>{last}", text).encode()
    speaks = codec("anthropic_messages")
    passing = Passing(speaks.stream_tap(ANSWER), speaks.stream_encoder(ANSWER))
    translating = Translating(speaks.stream_decoder(OUTGOING), codec("openai_chat").stream_encoder(ANSWER))

    for relay in (passing, translating):
        usage = relayed(relay, data, 1 << 20)
        assert usage is not None
        assert counted == (usage.input, usage.cache_read, usage.output)
