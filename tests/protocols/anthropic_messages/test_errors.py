"""Errors in this protocol's envelope: every kind a client can get, and every shape a provider can send."""

from __future__ import annotations

import msgspec
import pytest
from anthropic.types import ErrorResponse

from generated.protocols.anthropic_messages import FACTS
from runtime import errors
from runtime.errors import (
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    RateLimited,
    ShuttingDown,
    TooLarge,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
    UpstreamUnavailable,
)  # fmt: skip
from tests.protocols.anthropic_messages.given import CODEC

KINDS = sorted(
    {
        error for name in errors.__all__
        if isinstance(error := getattr(errors, name), type) and issubclass(error, GatewayError)
        and name not in {"GatewayError", "ConfigError", "RequestError", "UpstreamError", "Refused"}
    },
    key=lambda error: error.__name__,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_shape_of_its_own_in_the_table(kind: type[GatewayError]) -> None:
    reply = CODEC.encode_error(kind("What happened."), "r1")
    body = msgspec.json.decode(reply.body)

    assert kind.kind in {shape.kind for shape in FACTS.errors}
    assert {"type", "error", "request_id"} == set(body)
    assert ("error", "r1") == (body["type"], body["request_id"])
    assert ("request-id", "r1") in reply.headers
    assert ("content-type", "application/json") in reply.headers
    if body["error"]["type"] not in {
        "conflict_error",
        "request_too_large",
    }:  # documented, but not in the SDK's closed types
        ErrorResponse.model_validate(body)


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (InvalidRequest("x"), 400, "invalid_request_error"), (errors.AuthenticationFailed("x"), 401, "authentication_error"),
        (errors.PermissionDenied("x"), 403, "permission_error"), (ModelNotFound("x"), 404, "not_found_error"),
        (TooLarge("x"), 413, "request_too_large"), (RateLimited("x"), 429, "rate_limit_error"),
        (UpstreamQuotaExceeded("x"), 429, "rate_limit_error"), (UpstreamAuthFailed("x"), 502, "api_error"),
        (UpstreamOverloaded("x"), 529, "overloaded_error"), (UpstreamTimeout("x"), 504, "timeout_error"),
        (UpstreamFailed("x"), 500, "api_error"), (UpstreamUnavailable("x"), 503, "api_error"),
    ],
)  # fmt: skip
def test_clients_get_the_vendors_status_and_type(error: GatewayError, status: int, type_: str) -> None:
    reply = CODEC.encode_error(error, "r1")

    assert (status, type_) == (reply.status, msgspec.json.decode(reply.body)["error"]["type"])


def test_a_context_that_is_too_long_is_said_in_words_clients_look_for() -> None:
    def message(error: GatewayError) -> str:
        return str(msgspec.json.decode(CODEC.encode_error(error, "r1").body)["error"]["message"])

    assert message(ContextTooLong("200 tokens do not fit.")) == "prompt is too long: 200 tokens do not fit."
    assert message(ContextTooLong("prompt is too long: 3 > 2")) == "prompt is too long: 3 > 2"


@pytest.mark.parametrize(
    ("error", "again", "wait"),
    [
        (RateLimited("x", retry_after_s=1.2), "true", "2"), (RateLimited("x"), "true", None), (ShuttingDown("x"), "true", None),
        (UpstreamOverloaded("x"), "false", None), (UpstreamOverloaded("x", retry_after_s=30), "true", "30"),
        (InvalidRequest("x"), "false", None), (UpstreamQuotaExceeded("x", retry_after_s=3600), "false", "3600"),
        (InternalError("x"), "false", None),
    ],
)  # fmt: skip
def test_clients_are_told_to_try_again_only_where_waiting_helps(
    error: GatewayError, again: str, wait: str | None
) -> None:
    headers = dict(CODEC.encode_error(error, "r1").headers)

    assert (again, wait) == (headers["x-should-retry"], headers.get("retry-after"))


@pytest.mark.parametrize(
    ("status", "type_", "message", "expected"),
    [
        (400, "invalid_request_error", "messages: at least one message is required", InvalidRequest),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2", ContextTooLong),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", UpstreamQuotaExceeded),
        (400, "invalid_request_error", "Output blocked by content filtering policy", ContentRefused),
        (400, "invalid_request_error", "You have hit a rate limit", RateLimited),
        (401, "authentication_error", "invalid x-api-key", UpstreamAuthFailed),
        (402, "billing_error", "Pay.", UpstreamQuotaExceeded),
        (403, "permission_error", "Your API key may not use this.", UpstreamAuthFailed),
        (404, "not_found_error", "model: claude-nope", ModelNotFound),
        (404, "not_found_error", "Not found", errors.NotFound),
        (409, "conflict_error", "Busy.", errors.Conflict),
        (413, "request_too_large", "Request exceeds the maximum size", TooLarge),
        (429, "rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit", RateLimited),
        (500, "api_error", "Internal server error", UpstreamFailed),
        (503, "api_error", "Unavailable", UpstreamUnavailable),
        (504, "timeout_error", "Timed out", UpstreamTimeout),
        (529, "overloaded_error", "Overloaded", UpstreamOverloaded),
        (200, "api_error", "Internal server error", UpstreamFailed),
        (418, "brand_new_error", "?", InvalidRequest),
    ],
)
def test_pitfall_126_pitfall_127_a_providers_error_keeps_its_class(
    status: int, type_: str, message: str, expected: type[GatewayError]
) -> None:
    body = msgspec.json.encode({"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"})
    error = CODEC.decode_error(status, {"retry-after": "7"}, body)

    assert expected is type(error)
    assert (7.0, None if status == 200 else status) == (error.retry_after_s, error.upstream_status)


def test_the_vendors_code_decides_before_its_type() -> None:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}'
    error = CODEC.decode_error(429, {}, body)

    assert (UpstreamQuotaExceeded, "enforced_spend_limit_reached") == (type(error), error.code)


@pytest.mark.parametrize(
    ("status", "body", "expected", "message"),
    [
        (502, b"<html><head><title>502 Bad Gateway</title></head></html>", UpstreamUnavailable, "502 Bad Gateway"),
        (500, b"", UpstreamFailed, "The provider answered 500."),
        (429, b"slow down", RateLimited, "slow down"),
        (400, b'{"error":"plain text"}', InvalidRequest, '{"error":"plain text"}'),
        (400, b'{"detail":[1]}', InvalidRequest, '{"detail":[1]}'),
        (400, b"\xff\xfe", InvalidRequest, "\ufffd\ufffd"),
        (302, b"", UpstreamProtocolError, "The provider answered 302."),
    ],
)
def test_pitfall_125_bodies_in_no_known_shape_are_wrapped(
    status: int, body: bytes, expected: type[GatewayError], message: str
) -> None:
    error = CODEC.decode_error(status, {}, body)

    assert (expected, message) == (type(error), error.message)


@pytest.mark.parametrize("type_", ["not_found_error", "invalid_request_error", None])
@pytest.mark.parametrize(
    ("message", "kind"),
    [("model: claude-9", ModelNotFound), ("The model `x` does not exist.", ModelNotFound), ("Not found", NotFound)],
)
def test_a_missing_model_is_known_by_its_words_whatever_type_a_server_gives_it(
    type_: str | None, message: str, kind: type[GatewayError]
) -> None:
    body = msgspec.json.encode({"type": "error", "error": {"type": type_, "message": message}})

    assert type(CODEC.decode_error(404, {}, body)) is kind
