"""Bytes to frames: the same frames whatever the split, and nothing an upstream can blow up."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import UpstreamProtocolError
from runtime.protocols.framing import Frame, LineReader, SseReader
from tests.support.stream import APART, chop, cut_everywhere, cuts

SSE = (
    b"\xef\xbb\xbf: hello\n\n"
    b"data: one\n\n"
    b"event: named\r\ndata:two\r\n\r\n"
    b"data: three\rdata: lines\rid: 7\rretry: 10\r\r"
    b"\n\n\ndata: \xe2\x80\xa8 \xc2\x85 \x0b \x1c not an end\n\n"
    b"event: silent\n\n"
    b"data\n\n"
    b"data:\n\n"
    b"data:  two blanks\ndata:\n\n"
)
SSE_FRAMES = [
    Frame(b"one"),
    Frame(b"two", "named"),
    Frame(b"three\nlines"),
    Frame(b"\xe2\x80\xa8 \xc2\x85 \x0b \x1c not an end"),
    Frame(b" two blanks\n"),
]
NDJSON = b'{"a":1}\n\r\n{"b":"\xe2\x80\xa8\xc2\x85"}\r\n  \n{"c":3}'
LINES = [Frame(b'{"a":1}'), Frame(b'{"b":"\xe2\x80\xa8\xc2\x85"}'), Frame(b'{"c":3}')]


def read(reader: SseReader | LineReader, reads: list[bytes]) -> list[Frame]:
    return [*(frame for data in reads for frame in reader.feed(data)), *reader.close()]


@pytest.mark.parametrize("length", [0, 1, APART - 1, APART, APART + 1, 3 * APART + 7])
def test_a_stream_is_cut_everywhere_and_short_ones_in_two(length: int) -> None:
    data = bytes(at % 251 for at in range(length))
    cut = [list(accumulate(map(len, reads[:-1]))) for reads in cut_everywhere(data)]

    assert all(data == b"".join(reads) for reads in cut_everywhere(data))
    assert list(range(length + 1)) == sorted(place for places in cut for place in places)
    assert length >= APART or all(len(places) == 1 for places in cut)


def test_sse_reads_all_line_ends_comments_fields_and_mark() -> None:
    assert SSE_FRAMES == read(SseReader(), [SSE])


def test_sse_any_split_gives_the_same_frames() -> None:
    for reads in chop(SSE):
        assert SSE_FRAMES == read(SseReader(), reads)


@given(st.lists(st.integers(0, 10**6), max_size=12))
def test_sse_random_splits_give_the_same_frames(places: list[int]) -> None:
    assert SSE_FRAMES == read(SseReader(), cuts(SSE, places))


@given(
    st.lists(st.sampled_from(["data: a", "data:b", "event: e", ": c", "id", "data", ""]), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_sse_line_end_and_split_do_not_matter(lines: list[str], end: str, places: list[int]) -> None:
    plain = "".join(line + "\n" for line in lines).encode()
    other = "".join(line + end for line in lines).encode()

    assert read(SseReader(), [plain]) == read(SseReader(), cuts(other, places))


@given(
    st.lists(
        st.sampled_from(["data: a", "event: x\ndata: b", "event: y\ndata: c", "data:d", ": e", "data: f\ndata: g"]),
        max_size=8,
    ),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_sse_a_frame_has_its_own_name_whatever_came_before(blocks: list[str], places: list[int]) -> None:
    stream = "".join(block + "\n\n" for block in blocks).encode()
    told = {
        "data: a": Frame(b"a"),
        "event: x\ndata: b": Frame(b"b", "x"),
        "event: y\ndata: c": Frame(b"c", "y"),
        "data:d": Frame(b"d"),
        "data: f\ndata: g": Frame(b"f\ng"),
    }
    expected = [told[block] for block in blocks if block in told]

    assert expected == read(SseReader(), [(block + "\n\n").encode() for block in blocks])
    assert expected == read(SseReader(), cuts(stream, places))


def test_sse_mark_counts_only_at_the_start() -> None:
    assert [Frame(b"a")] == read(SseReader(), [b"data: a\n\n\xef\xbb\xbfdata: b\n\n"])


def test_sse_last_frame_without_its_blank_line_is_given_at_the_end() -> None:
    reader = SseReader()

    assert [] == reader.feed(b"data: last")
    assert [Frame(b"last")] == reader.close()
    assert [] == reader.close()


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_sse_frame_beyond_the_limit_is_refused_under_any_split(size: int) -> None:
    reader = SseReader(max_frame_bytes=64)
    data = b"data: ok\n\n" + b"data: " + b"x" * 59 + b"\n\n"
    frames: list[Frame] = []

    with pytest.raises(UpstreamProtocolError, match="more than 64 bytes"):
        for at in range(0, len(data), size):
            frames += reader.feed(data[at : at + size])
        reader.close()
    assert [Frame(b"ok")] == frames


def test_sse_frame_at_the_limit_is_read() -> None:
    data = b"data: " + b"x" * 58 + b"\r\n\r\n"
    for reads in chop(data):
        assert [Frame(b"x" * 58)] == read(SseReader(max_frame_bytes=64), reads)


def test_sse_endless_line_is_refused_while_it_comes() -> None:
    reader = SseReader(max_frame_bytes=1000)

    with pytest.raises(UpstreamProtocolError):
        for _ in range(12):
            reader.feed(b"x" * 100)


def test_sse_giant_frame_in_small_reads_is_joined_once() -> None:
    reader = SseReader()
    piece = b"y" * 1000
    reader.feed(b"data: ")
    for _ in range(5000):
        assert [] == reader.feed(piece)

    assert [Frame(piece * 5000)] == reader.feed(b"\n\n")


def test_lines_any_split_gives_the_same_frames() -> None:
    for reads in chop(NDJSON):
        assert LINES == read(LineReader(), reads)


def test_lines_a_mark_of_the_byte_order_is_ignored_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    for reads in chop(mark + NDJSON):
        assert LINES == read(LineReader(), reads)

    assert [Frame(b"1"), Frame(mark + b"2")] == read(LineReader(), [b"1\n" + mark + b"2\n"])


@pytest.mark.parametrize("size", [1, 7, 100])
def test_lines_beyond_the_limit_are_refused_after_those_before(size: int) -> None:
    reader = LineReader(max_frame_bytes=10)
    data = b'{"a":1}\n' + b"z" * 11 + b"\n"
    frames: list[Frame] = []

    with pytest.raises(UpstreamProtocolError):
        for at in range(0, len(data), size):
            frames += reader.feed(data[at : at + size])
        reader.close()
    assert [Frame(b'{"a":1}')] == frames
