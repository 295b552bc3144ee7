"""Failures on this protocol's wire, both ways: answers, events of a stream, and what a failed answer tells its client."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from generated.protocols.openai_responses import FACTS
from runtime.catalog import ErrorShape
from runtime.errors import GatewayError, UpstreamFailed, UpstreamProtocolError
from runtime.protocols.base import ErrorReply
from runtime.protocols.classify import classify, message_of
from runtime.protocols.openai_responses.wire import encode

__all__ = ["broken", "error_within", "failed_error", "failure_json", "not_an_answer", "read_error", "write_error"]

_SHAPES: Final[Mapping[str, ErrorShape]] = MappingProxyType({shape.kind: shape for shape in FACTS.errors})
_RETRIED_BY_CLIENTS: Final = frozenset({408, 409, 429})
"""The vendor's SDKs try again on these and on 5xx unless they are told otherwise."""

_IN_BAND_RULES: Final = tuple(
    msgspec.structs.replace(rule, statuses=()) if rule.texts else rule for rule in FACTS.rules
)
"""For errors whose HTTP status was a success: the words alone must do."""

_CODES: Final = frozenset({
    "server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy",
    "misalignment_policy_violation", "vector_store_timeout", "invalid_image", "invalid_image_format",
    "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small", "image_parse_error",
    "image_content_policy_violation", "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type",
    "empty_image_file", "failed_to_download_image", "image_file_not_found", "context_length_exceeded",
})  # fmt: skip
"""What a failed answer may name. SDKs know a closed list; `context_length_exceeded` is not on it, but coding agents act on
it."""

_CODE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "context_length": "context_length_exceeded",
        "rate_limit": "rate_limit_exceeded",
        "content_policy": "invalid_prompt",
        "invalid_request": "invalid_prompt",
    }
)

_EXCERPT_CHARS: Final = 500
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_ENVELOPE: Final[msgspec.json.Decoder[dict[str, Any] | list[dict[str, Any]]]] = msgspec.json.Decoder(
    dict[str, Any] | list[dict[str, Any]]
)
_OBJECT: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any])


def write_error(error: GatewayError, request_id: str) -> ErrorReply:
    """The reply a client gets instead of an answer."""
    shape = _SHAPES.get(error.kind) or _SHAPES["internal"]
    headers = [("content-type", "application/json"), ("x-request-id", request_id)]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
    if not error.retryable and (shape.status in _RETRIED_BY_CLIENTS or shape.status >= 500):
        headers.append(("x-should-retry", "false"))
    body = {"message": error.message, "type": shape.type, "param": error.param, "code": shape.code or error.code}
    return ErrorReply(shape.status, tuple(headers), encode({"error": body}))


def failure_json(error: GatewayError) -> bytes:
    """The ``error`` of a failed answer. Agents read from a rate limit's words how long to wait."""
    code = error.code if error.code in _CODES else _CODE_OF.get(error.kind, "server_error")
    message = error.message
    if code == "rate_limit_exceeded" and error.retry_after_s is not None and "try again in" not in message.lower():
        message = f"{message} Please try again in {error.retry_after_s:g}s."
    return encode({"code": code, "message": message})


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What a failed answer means, whatever its body is: the envelope, one of its variants, a page, nothing."""
    said = _envelope(body)
    if said is None:
        return classify(FACTS.rules, status=status, headers=headers, code=None, type=None, message=_excerpt(body))
    return _classified(said, status, headers)


def error_within(body: bytes) -> GatewayError | None:
    """The error that a body or an event holds instead of what it should; None when it holds none."""
    said = _envelope(body)
    return None if said is None else _classified(said, 200, _NO_HEADERS)


def failed_error(error: msgspec.Raw | msgspec.UnsetType | None) -> GatewayError:
    """The error that a failed answer tells of."""
    said: dict[str, Any] = {}
    if isinstance(error, msgspec.Raw):
        try:
            said = _OBJECT.decode(error)
        except msgspec.DecodeError:
            said = {"message": _excerpt(bytes(error)) if bytes(error) != b"null" else None}
    if not said.get("message") and not said.get("code"):
        return UpstreamFailed("The provider says that its answer failed, and not why.")
    return _classified(said, 200, _NO_HEADERS)


def not_an_answer(body: bytes, error: Exception) -> UpstreamProtocolError:
    """For a success status whose body is no answer: a page, half a document, another shape."""
    if body.lstrip()[:1] in {b"{", b"["}:
        return UpstreamProtocolError(f"The provider's answer is not in its protocol: {error}.")
    return UpstreamProtocolError(
        f"The provider answered with something else than JSON: {_excerpt(body) or '(nothing)'}"
    )


def broken(data: bytes, error: Exception) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The provider sent a stream event that cannot be read ({error}): {_excerpt(data)}")


def _excerpt(body: bytes) -> str:
    text = message_of(body)
    return text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 1] + "…"


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
        message=message if isinstance(message, str) or message is None else encode(message).decode(),
    )
    error.param = _text(said.get("param"))
    return error


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _envelope(body: bytes) -> dict[str, Any] | None:
    """The error's own object: from the vendor's envelope, from an `error` event, or from what compatible servers send."""
    try:
        whole = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    fields = whole if isinstance(whole, dict) else whole[0] if whole else {}
    inner = fields.get("error")
    if isinstance(inner, dict):
        return cast("dict[str, Any]", inner)
    if isinstance(inner, str):
        return {**fields, "message": inner}
    if fields.get("output") is not None or fields.get("response") is not None:
        return None
    if fields.get("type") == "error":
        return {name: value for name, value in fields.items() if name != "type"}
    if "message" in fields or "detail" in fields:
        return {**fields, "message": fields.get("message", fields.get("detail"))}
    return None
