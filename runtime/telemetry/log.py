"""Structured logs: one event name per fact, data as keys, to standard error. Prompts and secrets never come here."""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

import orjson

__all__ = ["Level", "Log", "logger"]

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

RANKS: Final[Mapping[Level, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
COLOURS: Final[Mapping[Level, str]] = {"debug": "2", "info": "32", "warning": "33", "error": "31;1"}
"""Of a terminal (ECMA-48, section 8.3.117)."""
PLAIN: Final = re.compile(r"[\w.:/@%+*,-]+")


class Log:
    """Says events that are of ``level`` or above. Every record carries ``build``.

    Attributes:
        render: one record as a line, from time, level, event and facts; a fault's traceback is the fact `exception`.
        write: takes each line, without its end.
    """

    def __init__(
        self,
        level: Level,
        build: str,
        render: Callable[[str, Level, str, Mapping[str, object]], str],
        write: Callable[[str], None],
    ) -> None:
        self._least = RANKS[level]
        self._build = build
        self._render = render
        self._write = write

    def says(self, level: Level) -> bool:
        """Whether events of ``level`` are written."""
        return RANKS[level] >= self._least

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
        if RANKS[level] < self._least:
            return
        at = f"{datetime.now(UTC).isoformat(timespec='microseconds')[:-6]}Z"
        self._write(self._render(at, level, event, {"build": self._build, **facts}))


def logger(level: Level, format_: Literal["json", "text"], build: str, stream: TextIO | None = None) -> Log:
    """A log of our own: the process's global logging is left alone. Without ``stream`` it goes to standard error."""
    target = stream if stream is not None else sys.stderr
    write = _Lines(target, together=stream is None).write
    if format_ == "json":
        return Log(level, build, _json, write)
    return Log(level, build, _coloured if target.isatty() else _text, write)


class _Lines:
    """Writes lines as they come, or ``together`` what one turn of the loop has to say, at its end."""

    def __init__(self, stream: TextIO, *, together: bool) -> None:
        self._stream = stream
        self._together = together
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) > 1:
            return
        if not self._together:
            self._flush()
            return
        try:
            asyncio.get_running_loop().call_soon(self._flush)
        except RuntimeError:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        self._stream.write("\n".join((*lines, "")))
        self._stream.flush()


def _json(at: str, level: Level, event: str, facts: Mapping[str, object]) -> str:
    return orjson.dumps({"timestamp": at, "level": level, "event": event, **facts}, default=str).decode()


def _text(at: str, level: str, event: str, facts: Mapping[str, object]) -> str:
    """For people: time, level, event, then the rest as `name=value`; what is no plain word is JSON."""
    said = " ".join(f"{name}={_word(value)}" for name, value in facts.items() if name != "exception")
    line = f"{at} {level:<7} {event:<20} {said}"
    return f"{line}\n{facts['exception']}" if "exception" in facts else line


def _coloured(at: str, level: Level, event: str, facts: Mapping[str, object]) -> str:
    return _text(at, f"\x1b[{COLOURS[level]}m{level:<7}\x1b[0m", event, facts)


def _word(value: object) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return orjson.dumps(value, default=str).decode()
