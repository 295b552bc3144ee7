"""Lines are written together, none is lost and none is torn; what is an error is out at once."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Iterator
from typing import NoReturn, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from runtime.telemetry.lines import MOST_BYTES, PIPE_BUF, Lines
from runtime.telemetry.log import Log, logger


class Stream(io.StringIO):
    """Keeps what was written at once apart."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    @override
    def write(self, s: str, /) -> int:
        self.pieces.append(s)
        return len(s)


class Full(io.StringIO):
    @override
    def write(self, s: str, /) -> NoReturn:
        raise OSError(28, "No space left on device")


async def written(stream: Stream, pieces: int) -> None:
    async with asyncio.timeout(20):
        while len(stream.pieces) < pieces:
            await asyncio.sleep(0.01)


async def test_lines_of_a_moment_are_written_together_after_it() -> None:
    stream = Stream()
    lines = Lines(stream, 0.01)
    lines.write(b"one")
    await asyncio.sleep(0)
    lines.write(b"two")
    assert [] == stream.pieces
    await written(stream, 1)
    assert ["one\ntwo\n"] == stream.pieces
    lines.write(b"three")
    await written(stream, 2)
    assert ["one\ntwo\n", "three\n"] == stream.pieces


async def test_what_fills_a_piece_does_not_wait_and_the_next_one_is_written_in_its_time() -> None:
    stream = Stream()
    lines = Lines(stream, 0.05)
    for size in (PIPE_BUF - 10, 9, 1):
        lines.write(b"x" * size)
    assert [PIPE_BUF - 9] == [len(piece) for piece in stream.pieces]
    await written(stream, 2)
    assert [PIPE_BUF - 9, 12] == [len(piece) for piece in stream.pieces]


async def test_an_error_is_out_at_once_with_what_came_before_it() -> None:
    stream = Stream()
    log = logger("info", "json", "b", Lines(stream, 60.0))
    log.warning("first")
    assert [] == stream.pieces
    log.error("second")
    assert 2 == "".join(stream.pieces).count('"event"')


async def test_at_the_end_nothing_waits_and_nothing_waits_any_more() -> None:
    stream = Stream()
    lines = Lines(stream, 60.0)
    lines.write(b"one")
    await lines.aclose()
    lines.write(b"two")
    assert ["one\n", "two\n"] == stream.pieces


def test_without_a_loop_a_line_is_written_as_it_comes() -> None:
    stream = Stream()
    Lines(stream, 60.0).write(b"one")
    assert ["one\n"] == stream.pieces


@given(st.lists(st.integers(0, PIPE_BUF + 50).map(lambda size: b"x" * size), max_size=30))
def test_no_piece_that_many_lines_share_is_longer_than_a_pipe_takes_whole(said: list[bytes]) -> None:
    stream = Stream()

    async def say() -> None:
        lines = Lines(stream, 60.0)
        for each in said:
            lines.write(each)
        lines.flush()

    asyncio.run(say())
    assert b"".join(each + b"\n" for each in said).decode() == "".join(stream.pieces)
    assert all(len(piece) <= PIPE_BUF or piece.count("\n") == 1 for piece in stream.pieces)


def test_a_stream_that_takes_nothing_costs_its_lines_only() -> None:
    for stream in (Full(), io.StringIO()):
        lines = Lines(stream)
        stream.close()
        lines.write(b"one")


class Pipe:
    """``writes`` is the end that lines are written to; nobody reads the other one until it is `drained`."""

    def __init__(self) -> None:
        self._reads, writes = os.pipe()
        os.set_blocking(self._reads, False)
        self.writes: TextIO = os.fdopen(writes, "w", encoding="utf-8")

    def drained(self) -> bytes:
        found = b""
        while True:
            try:
                found += os.read(self._reads, 1 << 20)
            except BlockingIOError:
                return found

    def close(self) -> None:
        self.writes.close()
        os.close(self._reads)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


async def test_a_pipe_that_nobody_reads_holds_nobody_up_and_gets_its_lines_later(pipe: Pipe) -> None:
    """A reader that stalls, or a terminal that was stopped with Ctrl-S, would stop every call of every worker."""
    lines = Lines(pipe.writes, 0.01)
    said = [f"{number} {'é' * 500}".encode() for number in range(300)]
    said.insert(150, "traceback é".encode() * 2000)
    for each in said:
        lines.write(each, urgent=True)

    found = pipe.drained()
    assert 0 < len(found) < sum(map(len, said))
    async with asyncio.timeout(20):
        while len(found) < sum(len(each) + 1 for each in said):
            await asyncio.sleep(0.01)
            found += pipe.drained()
    assert b"".join(each + b"\n" for each in said) == found


async def test_what_is_held_for_a_pipe_that_nobody_reads_has_a_bound(pipe: Pipe) -> None:
    lines = Lines(pipe.writes, 60.0)
    line = b"x" * 4000
    for _ in range(2 * MOST_BYTES // len(line)):
        lines.write(line, urgent=True)
    await lines.aclose()

    found = b""
    while some := pipe.drained():
        found += some
        lines.flush()
    assert set(found.splitlines()) == {line}
    assert MOST_BYTES // 2 < len(found) < MOST_BYTES * 3 // 2


def events(written: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.splitlines()]


def telling(pipe: Pipe, every_s: float) -> tuple[Lines, Log, list[int]]:
    """A log that says what it lost, and how many lines that were, as they were."""
    lines, lost = Lines(pipe.writes, every_s), list[int]()
    log = logger("error", "json", "b", lines)
    lines.lost = lost.append
    lines.tell = lambda count: log.error("log_lines_lost", lines=count)
    return lines, log, lost


async def test_a_reader_who_comes_back_is_told_once_how_many_lines_were_lost_and_where(pipe: Pipe) -> None:
    """Without another line, too: the first thing that an operator looks for may be the last that was said."""
    _, log, lost = telling(pipe, 0.01)
    for number in range(400):
        log.error("said", number=number, text="x" * 4000)
    assert 0 < sum(lost) < 400

    found = b""
    async with asyncio.timeout(20):
        while b"log_lines_lost" not in found:
            await asyncio.sleep(0.01)
            found += pipe.drained()
    log.error("said", number=400)
    found += pipe.drained()

    *held, told, after = events(found)
    assert list(range(400 - sum(lost))) == [each["number"] for each in held]
    assert ("log_lines_lost", "error", sum(lost)) == (told["event"], told["level"], told["lines"])
    assert 400 == after["number"]


def test_every_line_is_read_or_counted_however_slow_the_reader_is(pipe: Pipe) -> None:
    """Nor is he told anew of each line that was lost while he reads too slowly."""
    lines, log, lost = telling(pipe, 0.0)
    found = b""
    for number in range(4000):
        log.error("said", number=number, text="x" * 2000)
        if number % 30 == 29:
            found += pipe.drained()
    while some := pipe.drained():
        found += some
        lines.flush()

    expected, tellings = 0, 0
    for each in events(found):
        if each["event"] == "said":
            assert expected == each["number"]
            expected += 1
        else:
            expected += int(str(each["lines"]))
            tellings += 1
    assert 4000 == expected
    assert 1 < tellings < len(lost) / 50


def test_one_line_that_is_longer_than_all_that_may_be_held_is_told_of(pipe: Pipe) -> None:
    lines, log, lost = telling(pipe, 0.0)
    log.error("said", text="x" * MOST_BYTES)
    lines.flush()

    assert [1] == lost
    assert [("log_lines_lost", 1)] == [(each["event"], each["lines"]) for each in events(pipe.drained())]
