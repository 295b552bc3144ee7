"""One record of the log is one line, whatever the facts hold; what is below the level is not said."""

from __future__ import annotations

import io
from typing import Literal, get_args

import msgspec
import orjson
import pytest
from typing_extensions import override

from runtime.telemetry.lines import Lines
from runtime.telemetry.log import Level, Log, logger

LEVELS: tuple[Level, ...] = get_args(Level)


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def written(
    format_: Literal["json", "text"], level: Level = "debug", sink: io.StringIO | None = None
) -> tuple[Log, io.StringIO]:
    sink = io.StringIO() if sink is None else sink
    return logger(level, format_, "build-1", Lines(sink)), sink


def test_a_record_in_json_has_its_time_level_event_build_and_facts() -> None:
    log, sink = written("json")
    log.info("call_ended", status=200, losses=["top_k"])

    record = orjson.loads(sink.getvalue())
    assert {"level": "info", "event": "call_ended", "build": "build-1", "status": 200, "losses": ["top_k"]} == {
        name: value for name, value in record.items() if name != "timestamp"
    }
    assert record["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_below_the_level_is_not_said(level: Level) -> None:
    log, sink = written("json", level)
    for each in (log.debug, log.info, log.warning, log.error):
        each("seen")

    said = [orjson.loads(line)["level"] for line in sink.getvalue().splitlines()]
    assert list(LEVELS[LEVELS.index(level) :]) == said == [each for each in LEVELS if log.says(each)]


@pytest.mark.parametrize("format_", ["json", "text"])
def test_facts_cannot_begin_a_line_of_their_own(format_: Literal["json", "text"]) -> None:
    log, sink = written(format_)
    log.warning("refused", path="/a\n2026-01-01 info admin_logged_in", odd=object(), bell="\x1b[2J")

    (line,) = sink.getvalue().splitlines()
    assert "\x1b" not in line


def test_a_record_as_text_names_facts_that_are_plain_words_plainly() -> None:
    log, sink = written("text")
    log.info("call_ended", model="alpha/small", cost=None, said="two words")

    _, _, rest = sink.getvalue().partition(" ")
    assert [
        "info",
        "call_ended",
        "build=build-1",
        "model=alpha/small",
        "cost=null",
        'said="two',
        'words"',
    ] == rest.split()


def test_a_fault_is_shown_with_its_traceback() -> None:
    try:
        raise ValueError("broken")
    except ValueError as fault:
        for log, sink in (written("json"), written("text")):
            log.error("call_failed_inside", fault=fault, request_id="r")
            assert "Traceback" in sink.getvalue()
            assert "ValueError: broken" in sink.getvalue()


def test_only_a_terminal_gets_colours() -> None:
    log, sink = written("text", sink=Terminal())
    log.error("store_lost")
    assert "\x1b[31;1merror  \x1b[0m store_lost" in sink.getvalue()


def test_the_time_of_a_record_has_its_microseconds_always() -> None:
    moments = iter((1_796_000_000_000_000_000, 1_796_000_000_000_042_999, 1_796_000_001_500_000_000))
    sink = io.StringIO()
    log = Log("info", "b", msgspec.json.encode, Lines(sink), moments.__next__)
    for _ in range(3):
        log.info("tick")

    told = [orjson.loads(line)["timestamp"] for line in sink.getvalue().splitlines()]
    assert ["2026-11-30T00:53:20.000000Z", "2026-11-30T00:53:20.000042Z", "2026-11-30T00:53:21.500000Z"] == told
