"""Errors in Google's envelope, both ways.

How long to wait stands in a `RetryInfo`, in seconds with a fraction; a quota that lasts until tomorrow in a `QuotaFailure`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from generated.protocols.gemini import FACTS
from generated.types.gemini import ErrorStatus
from runtime.errors import ContextTooLong, GatewayError
from runtime.protocols.absent import present
from runtime.protocols.base import ErrorReply
from runtime.protocols.classify import classify, message_of
from runtime.protocols.gemini.wire import text_of

__all__ = ["encode_error", "error_body", "error_in_stream", "error_of"]

_SHAPES: Final = MappingProxyType({shape.kind: shape for shape in FACTS.errors})
_INTERNAL: Final = _SHAPES["internal"]
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"
_TOO_LONG: Final = "The input token count exceeds the maximum number of tokens allowed"
_PER_DAY: Final = "PerDay"


class _Envelope(msgspec.Struct):
    error: ErrorStatus | str


_ENVELOPES: Final = msgspec.json.Decoder(_Envelope | list[_Envelope], strict=False)
_STATUS: Final = msgspec.json.Decoder(ErrorStatus | str, strict=False)


def encode_error(error: GatewayError, request_id: str) -> ErrorReply:
    headers = [("content-type", "application/json"), ("x-request-id", request_id)]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
    shape = _SHAPES.get(error.kind, _INTERNAL)
    return ErrorReply(status=shape.status, headers=tuple(headers), body=error_body(error))


def error_body(error: GatewayError) -> bytes:
    shape = _SHAPES.get(error.kind, _INTERNAL)
    message = error.message
    if isinstance(error, ContextTooLong) and "exceeds the maximum number of tokens" not in message:
        message = f"{_TOO_LONG}: {message}"
    body: dict[str, object] = {"code": shape.status, "message": message, "status": shape.type}
    if error.retry_after_s is not None:
        body["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{error.retry_after_s:g}s"}]
    return msgspec.json.encode({"error": body})


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error in a provider's answer, whatever shape it has."""
    found: _Envelope | list[_Envelope]
    try:
        found = _ENVELOPES.decode(body)
    except (msgspec.DecodeError, RecursionError):
        found = _Envelope(message_of(body))
    # a list is what a stream that is a JSON list is answered with
    first = found if isinstance(found, _Envelope) else found[0] if found else _Envelope(message_of(body))
    return _classified(first.error, status, headers)


def error_in_stream(raw: msgspec.Raw) -> GatewayError:
    try:
        found = _STATUS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        found = text_of(raw)
    return _classified(found, 200, {})


def _classified(found: ErrorStatus | str, status: int, headers: Mapping[str, str]) -> GatewayError:
    if isinstance(found, str):
        return classify(FACTS.rules, status=status, headers=headers, code=None, type=None, message=found)
    if status == 200:
        status = present(found.code) or status
    wait = _delay_s(found)
    if wait is not None and "retry-after" not in headers:
        headers = {**headers, "retry-after": wait}
    message = present(found.message)
    code = _reason(found)
    return classify(FACTS.rules, status=status, headers=headers, code=code, type=present(found.status), message=message)


def _delay_s(found: ErrorStatus) -> str | None:
    for detail in present(found.details) or ():
        delay = present(detail.retryDelay)
        if delay:
            return delay.removesuffix("s")
    return None


def _reason(found: ErrorStatus) -> str | None:
    for detail in present(found.details) or ():
        violations = present(detail.violations)
        if violations is not None and _PER_DAY in text_of(violations):
            return "PER_DAY"
    return next((reason for detail in present(found.details) or () if (reason := present(detail.reason))), None)
