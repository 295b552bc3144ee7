"""Failures on Ollama's wire, both ways: a text in an object, as a body or as a line of a stream."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from generated.protocols.ollama_chat import FACTS
from runtime.catalog import ErrorShape
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import ErrorReply
from runtime.protocols.classify import classify, message_of

__all__ = ["error_json", "error_within", "excerpt", "read_error", "unreadable", "write_error"]

_SHAPES: Final[Mapping[str, ErrorShape]] = {shape.kind: shape for shape in FACTS.errors}
_IN_BAND_RULES: Final = tuple(
    msgspec.structs.replace(rule, statuses=()) if rule.texts else rule for rule in FACTS.rules
)
"""For errors whose HTTP status was a success: the words alone must do."""

_EXCERPT_CHARS: Final = 500
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_UNKNOWN_MODEL: Final = re.compile(r"the model (?P<name>'[^']+'|\"[^\"]+\") does not exist", re.IGNORECASE)
_NO_HEADERS: Final[Mapping[str, str]] = {}


def write_error(error: GatewayError, request_id: str) -> ErrorReply:
    """The reply a client gets."""
    headers = [("content-type", "application/json"), ("x-request-id", request_id)]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
    shape = _SHAPES.get(error.kind) or _SHAPES["internal"]
    return ErrorReply(shape.status, tuple(headers), error_json(error))


def error_json(error: GatewayError) -> bytes:
    """A model that is not there is told of in the vendor's own words: clients look for them, and then offer to pull it."""
    unknown = _UNKNOWN_MODEL.match(error.message) if error.kind == "model_not_found" else None
    return msgspec.json.encode({"error": f"model {unknown['name']} not found" if unknown else error.message})


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What a failed answer means, whatever its body is."""
    said = _said(body)
    return classify(FACTS.rules, status=status, headers=headers, code=None, type=None, message=said or excerpt(body))


def error_within(body: bytes) -> GatewayError | None:
    """The error that an answer with a success status, or a line of one, holds; None when it holds none."""
    said = _said(body)
    if said is None:
        return None
    return classify(_IN_BAND_RULES, status=500, headers=_NO_HEADERS, code=None, type=None, message=said)


def unreadable(body: bytes, error: Exception) -> GatewayError:
    """For what is no answer of this protocol: the error that it tells of all the same, or that it cannot be read."""
    return error_within(body) or UpstreamProtocolError(
        f"The provider sent something that is not in its protocol ({error}): {excerpt(body) or '(nothing)'}"
    )


def excerpt(body: bytes) -> str:
    """At most 500 characters of a body, for people."""
    text = message_of(body)
    return text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 1] + "…"


def _said(body: bytes) -> str | None:
    """The text of the error in ``body``; None where there is none. Servers in front of Ollama put it into an object."""
    try:
        error: object = _OBJECT.decode(body).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(error, dict):
        fields = cast("dict[str, object]", error)
        error = fields.get("message") or msgspec.json.encode(fields).decode()
    return error if isinstance(error, str) and error else None
