"""Errors in OpenAI's envelope, both ways, as Chat and Responses have it: the vendor's to ours, and ours to the vendor's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from runtime.catalog import ErrorRule, ErrorShape, WireProtocol
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import ErrorReply
from runtime.protocols.classify import classify, message_of

__all__ = ["OpenAIErrors", "excerpt", "not_json"]

_RETRIED_BY_CLIENTS: Final = frozenset({408, 409, 429})
"""The vendor's SDKs try again on these and on 5xx unless they are told otherwise."""

_EXCERPT_CHARS: Final = 500
_ENVELOPE: Final[msgspec.json.Decoder[dict[str, Any] | list[dict[str, Any]]]] = msgspec.json.Decoder(
    dict[str, Any] | list[dict[str, Any]]
)
_JSON: Final = msgspec.json.Encoder()
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class OpenAIErrors(msgspec.Struct, frozen=True):
    """Errors of one protocol. ``answers`` are fields that only an answer has: beside them stands no error.

    ``in_band_rules`` are for errors whose HTTP status was a success: the words alone must do.
    """

    shapes: Mapping[str, ErrorShape]
    rules: tuple[ErrorRule, ...]
    in_band_rules: tuple[ErrorRule, ...]
    answers: tuple[str, ...]

    @staticmethod
    def of(facts: WireProtocol, *answers: str) -> OpenAIErrors:
        return OpenAIErrors(
            MappingProxyType({shape.kind: shape for shape in facts.errors}),
            facts.rules,
            tuple(msgspec.structs.replace(rule, statuses=()) if rule.texts else rule for rule in facts.rules),
            answers,
        )

    def write(self, error: GatewayError, request_id: str) -> ErrorReply:
        """The reply that a client gets instead of an answer."""
        shape = self._shape(error)
        status = shape.status
        headers = [("content-type", "application/json"), ("x-request-id", request_id)]
        if error.retry_after_s is not None:
            headers.append(("retry-after", str(math.ceil(error.retry_after_s))))
        if not error.retryable and (status in _RETRIED_BY_CLIENTS or status >= 500):
            headers.append(("x-should-retry", "false"))
        return ErrorReply(status, tuple(headers), _envelope(shape, error))

    def envelope(self, error: GatewayError) -> bytes:
        """All four keys are always there."""
        return _envelope(self._shape(error), error)

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """What a failed answer means, whatever its body is: the envelope, one of its many variants, a page, nothing."""
        said = self._said(body)
        if said is None:
            return classify(self.rules, status=status, headers=headers, code=None, type=None, message=excerpt(body))
        return self.classified(said, status, headers)

    def within(self, body: bytes) -> GatewayError | None:
        """The error that a body or an event holds instead of what it should; None when it holds none."""
        said = self._said(body)
        return None if said is None else self.classified(said)

    def classified(
        self, said: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = _NO_HEADERS
    ) -> GatewayError:
        """What the error's own object means."""
        code = said.get("code")
        number = code if isinstance(code, int) else _number(code)
        rules = self.rules
        if status == 200:  # several servers put the status into the code; without one it was their fault
            known = number is not None and 400 <= number <= 599
            status, rules = (number or 0, rules) if known else (500, self.in_band_rules)
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

    def _shape(self, error: GatewayError) -> ErrorShape:
        return self.shapes.get(error.kind) or self.shapes["internal"]

    def _said(self, body: bytes) -> dict[str, Any] | None:
        """The error's own object: of the vendor's envelope, an `error` event, or what compatible servers send; or None."""
        try:
            whole = _ENVELOPE.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        fields = whole if isinstance(whole, dict) else whole[0] if whole else {}  # one known server sends an array
        inner = fields.get("error")
        if isinstance(inner, dict):
            return cast("dict[str, Any]", inner)
        if isinstance(inner, str):
            return {**fields, "message": inner}
        if any(fields.get(name) for name in self.answers):
            return None
        if fields.get("type") == "error":
            return {name: value for name, value in fields.items() if name != "type"}
        if "message" in fields or "detail" in fields:
            return {**fields, "message": fields.get("message", fields.get("detail"))}
        return None


def _envelope(shape: ErrorShape, error: GatewayError) -> bytes:
    body = {"message": error.message, "type": shape.type, "param": error.param, "code": shape.code or error.code}
    return _JSON.encode({"error": body})


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


def _number(code: Any) -> int | None:
    return int(code) if isinstance(code, str) and code.isdecimal() and len(code) < 19 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
