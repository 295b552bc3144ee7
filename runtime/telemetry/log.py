"""Structured logs: one event name per fact, data as keys, to standard error. Prompts and secrets never come here."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from runtime.telemetry.lines import Lines

__all__ = ["Level", "Log", "Record", "logger"]

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

RANKS: Final[Mapping[Level, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
COLOURS: Final[Mapping[str, str]] = {"debug": "2", "info": "32", "warning": "33", "error": "31;1"}
"""Of a terminal (ECMA-48, section 8.3.117)."""
_SECOND_NS: Final = 1_000_000_000
PLAIN: Final = re.compile(r"[\w.:/@%+*,-]+")

_JSON: Final = msgspec.json.Encoder(enc_hook=str)


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every record begins with. One that is made often adds its facts as fields; what has its default is not said."""

    timestamp: str
    level: Level
    event: str
    build: str


class Log:
    """Says events that are of ``level`` or above. Every record carries ``build``.

    Attributes:
        said: the levels of events that are written.
        render: one record as a line without its end; a fault's traceback is the fact `exception`.
        lines: takes each line. What is an error does not wait there.
        now: Unix nanoseconds.
    """

    def __init__(
        self,
        level: Level,
        build: str,
        render: Callable[[Mapping[str, object] | Record], bytes],
        lines: Lines,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.build = build
        self.said: Final = frozenset(each for each, rank in RANKS.items() if rank >= RANKS[level])
        self._render = render
        self._lines = lines
        self._now = now
        self._second_ns = -_SECOND_NS
        self._told_second = ""

    def says(self, level: Level) -> bool:
        """Whether events of ``level`` are written."""
        return level in self.said

    def debug(self, event: str, /, **facts: object) -> None:
        self.say("debug", event, facts)

    def info(self, event: str, /, **facts: object) -> None:
        self.say("info", event, facts)

    def warning(self, event: str, /, **facts: object) -> None:
        self.say("warning", event, facts)

    def error(self, event: str, /, *, fault: BaseException | None = None, **facts: object) -> None:
        """``fault`` is shown with its traceback."""
        if fault is not None:
            facts["exception"] = "".join(traceback.format_exception(fault)).rstrip()
        self.say("error", event, facts)

    def say(self, level: Level, event: str, facts: Mapping[str, object]) -> None:
        if level in self.said:
            record = {"timestamp": self.timestamp(), "level": level, "event": event, "build": self.build, **facts}
            self._lines.write(self._render(record), urgent=level == "error")

    def write(self, record: Record) -> None:
        """A record that was made because `says` said so."""
        if record.level == "error":
            self._lines.write(self._render(record), urgent=True)
        else:
            self._lines.write(self._render(record))

    def timestamp(self) -> str:
        """Now, as records tell it. Only its last digits are made anew: the rest is the same for a whole second."""
        now_ns = self._now()
        passed_ns = now_ns - self._second_ns
        if not 0 <= passed_ns < _SECOND_NS:
            second, passed_ns = divmod(now_ns, _SECOND_NS)
            self._second_ns = now_ns - passed_ns
            self._told_second = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return self._told_second + str(passed_ns // 1000).zfill(6) + "Z"


def logger(level: Level, format_: Literal["json", "text"], build: str, lines: Lines) -> Log:
    """A log of our own: the process's global logging is left alone."""
    if format_ == "json":
        return Log(level, build, _JSON.encode, lines)
    return Log(level, build, _coloured if lines.on_terminal else _text, lines)


def _text(record: Mapping[str, object] | Record) -> bytes:
    """For people: time, level, event, then the rest as `name=value`; what is no plain word is JSON."""
    return _written(record, "{:<7}")


def _coloured(record: Mapping[str, object] | Record) -> bytes:
    level = record.level if isinstance(record, Record) else str(record["level"])
    return _written(record, f"\x1b[{COLOURS[level]}m{{:<7}}\x1b[0m")


def _written(record: Mapping[str, object] | Record, shown: str) -> bytes:
    facts: dict[str, object] = msgspec.to_builtins(record, enc_hook=str)
    at, level, event, fault = (facts.pop(name, "") for name in ("timestamp", "level", "event", "exception"))
    said = " ".join(f"{name}={_word(value)}" for name, value in facts.items())
    line = f"{at} {shown.format(level)} {event:<20} {said}"
    return (f"{line}\n{fault}" if fault else line).encode()


def _word(value: object) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return _JSON.encode(value).decode()
