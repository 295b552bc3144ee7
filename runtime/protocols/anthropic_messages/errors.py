"""Errors in this protocol's envelope, both ways.

Clients are told whether to try again: the gateway has tried already, so only where waiting helps. The request's id
stands in the body and in the `request-id` header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from generated.protocols.anthropic_messages import FACTS
from generated.types.anthropic_messages import ErrorDetail, ErrorResponse, ReceivedAnswer, ReceivedError
from runtime.errors import ContextTooLong, GatewayError, UpstreamError
from runtime.protocols.absent import present
from runtime.protocols.base import ErrorReply
from runtime.protocols.classify import classify, message_of

__all__ = ["encode_error", "error_body", "error_in_stream", "error_of"]

_SHAPES: Final = MappingProxyType({shape.kind: shape for shape in FACTS.errors})
_INTERNAL: Final = _SHAPES["internal"]
_ANSWER: Final = msgspec.json.Decoder(ReceivedAnswer)
_TOO_LONG: Final = "prompt is too long"
"""Clients of this protocol look for these words and then shorten the conversation."""
_UNKNOWN_MODEL: Final = re.compile(r"the model (?P<quote>['\"])(?P<name>.+?)(?P=quote) does not exist", re.IGNORECASE)
"""The vendor names a model that is not there, and nothing else."""


def encode_error(error: GatewayError, request_id: str) -> ErrorReply:
    shape = _SHAPES.get(error.kind, _INTERNAL)
    waiting_helps = error.retryable and (error.retry_after_s is not None or not isinstance(error, UpstreamError))
    headers = [
        ("content-type", "application/json"),
        ("request-id", request_id),
        ("x-should-retry", "true" if waiting_helps else "false"),
    ]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
    return ErrorReply(status=shape.status, headers=tuple(headers), body=error_body(error, request_id))


def error_body(error: GatewayError, request_id: str) -> bytes:
    shape = _SHAPES.get(error.kind, _INTERNAL)
    message = error.message
    if isinstance(error, ContextTooLong) and not message.startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"
    unknown = _UNKNOWN_MODEL.match(message) if error.kind == "model_not_found" else None
    if unknown:
        message = f"model: {unknown['name']}"
    detail = ErrorDetail(type=shape.type, message=message)
    return msgspec.json.encode(ErrorResponse(error=detail, request_id=request_id))


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error in a provider's answer, whatever shape it has."""
    try:
        found = present(_ANSWER.decode(body).error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if found is None:
        return classify(FACTS.rules, status=status, headers=headers, code=None, type=None, message=message_of(body))
    return _classified(found, status, headers)


def error_in_stream(found: ReceivedError | None) -> GatewayError:
    return _classified(found or ReceivedError(), 200, {})


def _classified(found: ReceivedError, status: int, headers: Mapping[str, str]) -> GatewayError:
    details = present(found.details)
    return classify(
        FACTS.rules,
        status=status,
        headers=headers,
        code=present(details.error_code) if details else None,
        type=present(found.type),
        message=present(found.message),
    )
