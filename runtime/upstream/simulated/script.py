"""What a user's words make the simulated provider do: which fault, what pace.

Words of `sim/error`, anywhere in the last message, the first that fits:

    error STATUS [quota] [retry-after SECONDS]   an error answer: 400 401 402 403 404 408 409 413 422 429 500 502 503 504 529
    error STATUS after N                 the same inside a stream, after N pieces
    cut after N                          the connection breaks after N pieces
    end after N                          the answer ends cleanly after N pieces, with no finish reason and no terminator
    stall [after N]                      silence, before the status line or after N pieces, until a limit passes
    garbage                              status 200 and what is not JSON
    html [STATUS]                        a web page, as a proxy would send it

Words of `sim/slow`: `every 100ms` between pieces, `first after 2s` before the first.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Literal

import msgspec

from runtime.upstream.simulated.refusal import Refused

__all__ = ["Fault", "Pace", "fault_in", "pace_in", "refusal_for"]

DEFAULT_PAUSE_S = 0.3
LONGEST_PAUSE_S = 3_600.0

HELP = "Say what shall fail: 'error 429 retry-after 3', 'cut after 5', 'end after 5', 'stall', 'garbage' or 'html'."

FAULT = re.compile(
    r"\b(?:(?P<error>error)\s+(?P<status>[45]\d\d)\b(?P<quota>\s+quota)?(?:\s+retry-after\s+(?P<retry>\d{1,6}))?"
    r"|(?P<html>html)(?:\s+(?P<page>[2-5]\d\d))?"
    r"|(?P<kind>stall|garbage|(?:cut|end)(?=\s+after\s+\d)))\b(?:\s+after\s+(?P<after>\d{1,6}))?",
    re.IGNORECASE,
)
EVERY = re.compile(r"\bevery\s+(?P<number>\d{1,6}(?:\.\d{1,3})?)\s*(?P<unit>ms|s)\b", re.IGNORECASE)
FIRST = re.compile(r"\bfirst\s+after\s+(?P<number>\d{1,6}(?:\.\d{1,3})?)\s*(?P<unit>ms|s)\b", re.IGNORECASE)

ERRORS: MappingProxyType[int, tuple[str, str | None, str]] = MappingProxyType({
    400: ("invalid_request_error", None, "The request was refused, as asked."),
    401: ("invalid_request_error", "invalid_api_key", "The API key was refused, as asked."),
    402: ("insufficient_quota", "insufficient_quota", "The balance is used up, as asked."),
    403: ("permission_error", None, "The key may not do this, as asked."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist, as asked."),
    408: ("timeout", None, "The request took too long, as asked."),
    409: ("invalid_request_error", None, "There was a conflict, as asked."),
    413: ("invalid_request_error", "request_too_large", "The request is too large, as asked."),
    422: ("invalid_request_error", None, "The request cannot be processed, as asked."),
    429: ("rate_limit_error", "rate_limit_exceeded", "The rate limit was reached, as asked."),
    500: ("server_error", None, "The server failed, as asked."),
    502: ("server_error", None, "The gateway behind failed, as asked."),
    503: ("service_unavailable_error", "server_is_overloaded", "The service is overloaded, as asked."),
    504: ("server_error", None, "The gateway behind timed out, as asked."),
    529: ("overloaded_error", None, "The service is overloaded, as asked."),
})  # fmt: skip


class Fault(msgspec.Struct, frozen=True):
    """``after`` counts pieces; None means before the status line, where that makes sense."""

    kind: Literal["error", "cut", "end", "stall", "garbage", "html"]
    status: int = 200
    retry_after_s: int | None = None
    quota: bool = False
    after: int | None = None


class Pace(msgspec.Struct, frozen=True):
    """Pauses before the first piece and before each other."""

    first_s: float = 0.0
    every_s: float = 0.0


def fault_in(text: str) -> Fault:
    """The fault that ``text`` asks for. Raises Refused, with what can be asked for, when it asks for none."""
    match = FAULT.search(text)
    if match is None or (match["error"] and int(match["status"]) not in ERRORS):
        raise Refused(400, f"{HELP} This is Gatewright's simulated provider.", "messages", "invalid_value")
    after = None if match["after"] is None else int(match["after"])
    if match["error"]:
        retry = None if match["retry"] is None else int(match["retry"])
        return Fault("error", int(match["status"]), retry, match["quota"] is not None, after)
    if match["html"]:
        return Fault("html", int(match["page"] or 200))
    match match["kind"].lower():
        case "cut":
            return Fault("cut", after=after)
        case "end":
            return Fault("end", after=after)
        case "stall":
            return Fault("stall", after=after)
        case _:
            return Fault("garbage")


def refusal_for(fault: Fault) -> Refused:
    type_, code, message = ERRORS[fault.status]
    if fault.quota:
        type_ = code = "insufficient_quota"
    headers = () if fault.retry_after_s is None else (("retry-after", str(fault.retry_after_s)),)
    return Refused(fault.status, f"{message} (simulated)", None, code, type_=type_, headers=headers)


def pace_in(text: str) -> Pace:
    every_s = _seconds(EVERY.search(text), DEFAULT_PAUSE_S)
    return Pace(_seconds(FIRST.search(text), every_s), every_s)


def _seconds(match: re.Match[str] | None, default_s: float) -> float:
    if match is None:
        return default_s
    return min(float(match["number"]) / (1000 if match["unit"].lower() == "ms" else 1), LONGEST_PAUSE_S)
