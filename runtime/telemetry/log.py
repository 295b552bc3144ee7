"""Structured logs: one event name per fact, data as keys, to standard error. Prompts and secrets never come here."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, Processor

__all__ = ["logger"]


def logger(
    level: Literal["debug", "info", "warning", "error"],
    format_: Literal["json", "text"],
    build: str,
    stream: TextIO | None = None,
) -> FilteringBoundLogger:
    """A logger of our own: the process's global logging is left alone. Every record carries the build id."""
    target = stream if stream is not None else sys.stderr
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if format_ == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_dumps))
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=target.isatty()))
    log = structlog.wrap_logger(
        structlog.PrintLogger(target),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    return cast("FilteringBoundLogger", log.bind(build=build))


def _dumps(record: object, **_: object) -> str:
    return orjson.dumps(record, default=str).decode()
