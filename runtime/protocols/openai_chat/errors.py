"""Failures on Chat's wire, both ways: the vendor's envelope to our errors, and ours to the vendor's envelope."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from generated.protocols.openai_chat import FACTS
from runtime.catalog import ErrorShape
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import ErrorReply
from runtime.protocols.classify import classify, message_of

__all__ = ["error_json", "error_within", "excerpt", "not_json", "read_error", "write_error"]

_SHAPES: Final[Mapping[str, ErrorShape]] = {shape.kind: shape for shape in FACTS.errors}
_RETRIED_BY_CLIENTS: Final = frozenset({408, 409, 429})
"""The vendor's SDKs try again on these and on 5xx unless they are told otherwise."""

_IN_BAND_RULES: Final = tuple(
    msgspec.structs.replace(rule, statuses=()) if rule.texts else rule for rule in FACTS.rules
)
"""For errors whose HTTP status was a success: the words alone must do."""

_EXCERPT_CHARS: Final = 500
_ENVELOPE: Final[msgspec.json.Decoder[dict[str, Any] | list[dict[str, Any]]]] = msgspec.json.Decoder(
    dict[str, Any] | list[dict[str, Any]]
)
_NO_HEADERS: Final[Mapping[str, str]] = {}


def write_error(error: GatewayError, request_id: str) -> ErrorReply:
    """The reply a Chat client gets."""
    shape = _shape(error)
    headers = [("content-type", "application/json"), ("x-request-id", request_id)]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
    if not error.retryable and (shape.status in _RETRIED_BY_CLIENTS or shape.status >= 500):
        headers.append(("x-should-retry", "false"))
    return ErrorReply(shape.status, tuple(headers), error_json(error))


def error_json(error: GatewayError) -> bytes:
    """The envelope: all four keys are always there."""
    shape = _shape(error)
    body = {"message": error.message, "type": shape.type, "param": error.param, "code": shape.code or error.code}
    return msgspec.json.encode({"error": body})


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What a failed answer means, whatever its body is: the envelope, one of its many variants, a page, nothing."""
    said = _envelope(body)
    if said is None:
        return classify(FACTS.rules, status=status, headers=headers, code=None, type=None, message=excerpt(body))
    return _classified(said, status, headers)


def error_within(body: bytes) -> GatewayError | None:
    """The error that an answer with a success status holds instead of an answer; None when it holds none."""
    said = _envelope(body)
    return None if said is None else _classified(said, 200, _NO_HEADERS)


def not_json(body: bytes, error: Exception) -> UpstreamProtocolError:
    """For a success status whose body is no answer: a page, half a document, another shape."""
    if body.lstrip()[:1] in {b"{", b"["}:
        return UpstreamProtocolError(f"The provider's answer is not in its protocol: {error}.")
    shown = excerpt(body)
    return UpstreamProtocolError(f"The provider answered with something else than JSON: {shown or '(nothing)'}")


def excerpt(body: bytes) -> str:
    """At most 500 characters of a body, for people."""
    text = message_of(body)
    return text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 1] + "…"


def _shape(error: GatewayError) -> ErrorShape:
    return _SHAPES.get(error.kind) or _SHAPES["internal"]


def _classified(said: dict[str, Any], status: int, headers: Mapping[str, str]) -> GatewayError:
    code = said.get("code")
    number = code if isinstance(code, int) else int(code) if isinstance(code, str) and code.isdecimal() else None
    rules = FACTS.rules
    if status == 200:  # several servers put the status into the code; without one it was their fault
        status, rules = (number, rules) if number is not None and 400 <= number <= 599 else (500, _IN_BAND_RULES)
    message = said.get("message")
    error = classify(
        rules,
        status=status,
        headers=headers,
        code=code if isinstance(code, str) and number is None else None,
        type=_text(said.get("type")),
        message=message if isinstance(message, str) or message is None else msgspec.json.encode(message).decode(),
    )
    error.param = _text(said.get("param"))
    return error


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _envelope(body: bytes) -> dict[str, Any] | None:
    """The error's own object, from the vendor's envelope or from what compatible servers send; None when there is none."""
    try:
        whole = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    fields = whole if isinstance(whole, dict) else whole[0] if whole else {}  # one known server wraps it in an array
    inner = fields.get("error")
    if isinstance(inner, dict):
        return cast("dict[str, Any]", inner)
    if isinstance(inner, str):
        return {**fields, "message": inner}
    if fields.get("choices"):
        return None
    if "message" in fields or "detail" in fields:
        return {**fields, "message": fields.get("message", fields.get("detail"))}
    return None
