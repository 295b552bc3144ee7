"""Estimated token counts: all parts count, images by their size, text near a real vocabulary."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import (
    Base64Source,
    Document,
    Image,
    Message,
    Native,
    Reasoning,
    Request,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolResult,
    UrlSource,
)  # fmt: skip
from runtime.estimate import IMAGE_TOKENS, Estimator, approximate, image_size

SAMPLES = {
    # text: tokens of it in the o200k vocabulary, counted once with that vocabulary
    "The quick brown fox jumps over the lazy dog. However, counting tokens exactly requires the vendor's vocabulary; "
    "we estimate instead, and say so plainly. " * 5: 151,
    "def count(self, request: Request) -> int:\n    total = 0\n    for message in request.messages:\n"
    "        total += self._text(message.content) + OVERHEAD\n    return total\n" * 5: 205,
    "Привет, как дела? Сегодня хорошая погода, и мы идём гулять в парк. " * 5: 106,
    "今天天气很好，我们一起去公园散步吧。编译器会检查所有的配置。" * 5: 110,
    "오늘 날씨가 좋으니 공원에 산책하러 갑시다. " * 5: 91,
    "1234567890 42 3.14159 2026-11-21T00:41:00Z 0xdeadbeef " * 5: 160,
}


@pytest.mark.parametrize(("text", "tokens"), SAMPLES.items())
def test_approximate_is_within_thirty_percent_of_a_real_vocabulary(text: str, tokens: int) -> None:
    assert 0.7 * tokens <= approximate(text) <= 1.3 * tokens


@given(st.text(min_size=1))
def test_any_text_has_at_least_one_token_and_no_more_than_its_bytes_explain(text: str) -> None:
    assert 1 <= approximate(text) <= 1 + 3 * len(text.encode())


@given(st.text(), st.text())
def test_more_text_never_counts_less(text: str, more: str) -> None:
    assert approximate(text) <= approximate(text + " " + more) + 1


def png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height)
    return base64.b64encode(head + bytes(40)).decode()


def ask(*parts: object, tools: tuple[Tool, ...] = ()) -> Request:
    return Request(model="m", messages=(Message(role="user", content=tuple(parts)),), tools=tools)  # type: ignore[arg-type]


def test_every_kind_of_part_adds_to_the_count() -> None:
    empty = Estimator().count(ask())
    parts = [
        Text(text="hello"),
        Reasoning(text="thinking hard"),
        ToolCall(id="1", name="find", arguments='{"a":1}'),
        ToolResult(call_id="1", content=(Text(text="found"), Image(source=UrlSource(url="https://x.example/a.png")))),
        Native(protocol="p", block="b", json='{"x":1}'),
        Document(source=TextSource(text="a page")),
        Document(source=Base64Source(media_type="application/pdf", data="QUFB" * 100)),
        Image(source=Base64Source(media_type="image/png", data=png(100, 100))),
    ]

    for part in parts:
        assert Estimator().count(ask(part)) > empty, part


def test_tools_count_with_their_schemas() -> None:
    small = Estimator().count(ask(tools=(Tool(name="find"),)))
    large = Estimator().count(
        ask(tools=(Tool(name="find", description="Finds things", parameters='{"type":"object"}'),))
    )

    assert Estimator().count(ask()) < small < large


def test_image_costs_by_its_size_and_is_capped() -> None:
    def cost(width: int, height: int) -> int:
        image = Image(source=Base64Source(media_type="image/png", data=png(width, height)))
        return Estimator().count(ask(image)) - Estimator().count(ask())

    assert cost(750, 750) == 750
    assert cost(15_680, 15_680) == cost(1568, 1568)
    assert cost(1, 1) == 1


def test_image_that_cannot_be_read_costs_the_usual() -> None:
    image = Image(source=Base64Source(media_type="image/png", data="####"))

    assert Estimator().count(ask(image)) - Estimator().count(ask()) == IMAGE_TOKENS


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"GIF89a" + struct.pack("<HH", 3, 4) + bytes(10), (3, 4)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + (9).to_bytes(3, "little") + (19).to_bytes(3, "little"), (10, 20)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 7, 5) + bytes(12), (5, 7)),
        (b"\xff\xd8\xff\xe0\x00\x04ab", None),
        (b"BM....", None),
        (b"", None),
    ],
)
def test_image_size_is_read_from_the_first_bytes(head: bytes, size: tuple[int, int] | None) -> None:
    assert size == image_size(head)


@given(st.binary(max_size=64))
def test_image_size_of_any_bytes_never_raises(data: bytes) -> None:
    for magic in (b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8", b"RIFF\0\0\0\0WEBPVP8X"):
        image_size(magic + data)


def test_given_counter_is_used_for_text() -> None:
    counter = Estimator(count_text=len)

    assert counter.count(ask(Text(text="12345"))) - counter.count(ask(Text(text=""))) == 5


class TestRemembering:
    def counter(self) -> tuple[Estimator, list[str]]:
        """An estimator, and the texts that it really counted."""
        counted: list[str] = []

        def count(text: str) -> int:
            counted.append(text)
            return len(text)

        return Estimator(count), counted

    def request(self, *texts: str) -> Request:
        messages = tuple(Message(role="user", content=(Text(text=text),)) for text in texts)
        return Request(model="m", messages=messages)

    def test_a_long_text_is_counted_once_and_a_short_one_each_time(self) -> None:
        estimator, counted = self.counter()
        long, short = "a long text " * 100, "short"

        totals = [estimator.count(self.request(long, short)) for _ in range(3)]

        assert 1 == len(set(totals))
        assert (1, 3) == (counted.count(long), counted.count(short))

    def test_texts_that_differ_anywhere_are_other_texts(self) -> None:
        estimator, counted = self.counter()
        texts = ["x" * 600, "x" * 601, "x" * 599 + "y", "\ud800" + "x" * 600]

        estimator.count(self.request(*texts, *texts))

        assert texts == counted

    def test_only_so_many_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("runtime.estimate.KEPT_COUNTS", 2)
        estimator, counted = self.counter()
        a, b, c = ("a" * 600, "b" * 600, "c" * 600)

        for text in (a, b, a, c, a, b):
            estimator.count(self.request(text))

        assert [a, b, c, b] == counted


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_ascii_is_counted_the_same_alone_and_beside_other_scripts(text: str) -> None:
    """The shorter way for ASCII gives what the general one gives."""
    apart = approximate("\n" + text + "\n") if text else approximate("\n\n")
    beside = approximate("好\n" + text + "\n")
    assert abs(beside - 0.75 - apart) <= 1
