"""Structured logs: one event name per fact, data as keys, to standard error. Prompts and secrets never come here."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

__all__ = ["logger"]

_LEVELS: Final = {"warn": "warning", "exception": "error"}
"""What structlog calls otherwise."""


def logger(
    level: Literal["debug", "info", "warning", "error"],
    format_: Literal["json", "text"],
    build: str,
    stream: TextIO | None = None,
) -> FilteringBoundLogger:
    """A logger of our own: the process's global logging is left alone. Every record carries the build id."""
    target = stream if stream is not None else sys.stderr
    processors: list[Processor]
    if format_ == "json":
        processors = [_line]
    else:
        processors = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=target.isatty()),
        ]
    log = structlog.wrap_logger(
        structlog.PrintLogger(target) if stream is not None else _Lines(target),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    return cast("FilteringBoundLogger", log.bind(build=build))


class _Lines:
    """Writes what one turn of the loop has to say at once, at its end; without a loop, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def msg(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self._write)
        except RuntimeError:
            self._write()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._stream.write("\n".join((*lines, "")))
        self._stream.flush()


def _line(_: object, level: str, event: EventDict) -> str:
    """One record as JSON; all that is done to it in one step."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(None, level, event)
    event["level"] = _LEVELS.get(level, level)
    event["timestamp"] = f"{datetime.now(UTC).isoformat(timespec='microseconds')[:-6]}Z"
    return orjson.dumps(event, default=str).decode()
