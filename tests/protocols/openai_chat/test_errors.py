"""Failures: what a provider's mean, and what a Chat client is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from generated.protocols.openai_chat import FACTS
from runtime import errors
from runtime.errors import (
    AuthenticationFailed,
    ContextTooLong,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    UpstreamAuthFailed,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
)  # fmt: skip
from tests.protocols.openai_chat.support import CODEC
from tests.support.openai_errors import TOKENS_PER_MINUTE, envelope


def told(error: GatewayError) -> tuple[int, dict[str, str], dict[str, Any]]:
    reply = CODEC.encode_error(error, "req1")
    return reply.status, dict(reply.headers), msgspec.json.decode(reply.body)["error"]


@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (InvalidRequest("m", param="a.b", code="invalid_type"), 400, "invalid_request_error", "invalid_type"),
        (ContextTooLong("m", code="string_above_max_length"), 400, "invalid_request_error", "context_length_exceeded"),
        (AuthenticationFailed("m"), 401, "invalid_request_error", "invalid_api_key"),
        (ModelNotFound("m", param="model"), 404, "invalid_request_error", "model_not_found"),
        (RateLimited("m"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (UpstreamAuthFailed("m"), 502, "server_error", "upstream_auth"),
        (UpstreamQuotaExceeded("m"), 429, "insufficient_quota", "insufficient_quota"),
        (UpstreamOverloaded("m"), 503, "server_error", "server_is_overloaded"),
        (UpstreamTimeout("m"), 504, "server_error", "timeout"),
        (UpstreamProtocolError("m"), 502, "server_error", "upstream_protocol"),
        (errors.InternalError("m"), 500, "server_error", None),
    ],
)
def test_error_in_the_vendor_s_envelope(error: GatewayError, status: int, type_: str, code: str | None) -> None:
    got, headers, body = told(error)

    assert (status, {"message": "m", "type": type_, "param": error.param, "code": code}) == (got, body)
    assert ("application/json", "req1") == (headers["content-type"], headers["x-request-id"])


def test_every_kind_of_error_has_its_shape() -> None:
    kinds = {
        error.kind
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, GatewayError) and error is not errors.ConfigError
    }

    assert kinds == {shape.kind for shape in FACTS.errors}


@pytest.mark.parametrize(
    ("error", "should_retry"),
    [
        (InvalidRequest("m"), None),
        (RateLimited("m"), None),
        (UpstreamOverloaded("m"), None),
        (errors.Conflict("m"), "false"),
        (UpstreamQuotaExceeded("m"), "false"),
        (UpstreamAuthFailed("m"), "false"),
        (errors.InternalError("m"), "false"),
    ],
)
def test_clients_are_kept_from_trying_in_vain(error: GatewayError, should_retry: str | None) -> None:
    assert should_retry == told(error)[1].get("x-should-retry")


def test_retry_after_is_whole_seconds_rounded_up() -> None:
    assert "3" == told(RateLimited("m", retry_after_s=2.1))[1]["retry-after"]
    assert "retry-after" not in told(RateLimited("m"))[1]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, envelope("m", "invalid_request_error"), "invalid_request"),
        (400, envelope(code="context_length_exceeded"), "context_length"),
        (400, envelope("This model's maximum context length is 8192 tokens"), "context_length"),
        (413, envelope("prompt is too long"), "context_length"),
        (400, envelope(code="content_policy_violation"), "content_policy"),
        (400, envelope("Rate limit reached"), "rate_limit"),
        (401, envelope(code="invalid_api_key"), "upstream_auth"),
        (402, envelope("Insufficient Balance"), "upstream_quota"),
        (403, envelope("Country not supported"), "upstream_auth"),
        (404, envelope(code="model_not_found"), "model_not_found"),
        (404, envelope("The model `x` does not exist"), "model_not_found"),
        (404, b"404 page not found", "not_found"),
        (405, b"", "upstream_protocol"),
        (408, b"", "timeout"),
        (409, envelope(), "conflict"),
        (413, b"<html>too large</html>", "too_large"),
        (422, b'{"detail":[{"loc":["body","messages"],"msg":"field required"}]}', "invalid_request"),
        (429, envelope("slow", "requests", "rate_limit_exceeded"), "rate_limit"),
        *TOKENS_PER_MINUTE,
        (
            429,
            envelope("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
            "upstream_quota",
        ),
        (429, b"", "rate_limit"),
        (500, envelope("oops", "server_error"), "server_error"),
        (502, b"<html><title>502 Bad Gateway</title></html>", "unavailable"),
        (503, envelope(code="server_is_overloaded"), "overloaded"),
        (503, envelope("The server is overloaded"), "overloaded"),
        (503, b"", "unavailable"),
        (504, b"", "timeout"),
        (520, b"<html>", "unavailable"),
        (529, b"", "overloaded"),
    ],
)
def test_failed_answers_are_classified(status: int, body: bytes, kind: str) -> None:
    error = CODEC.decode_error(status, {}, body)

    assert (kind, status) == (error.kind, error.upstream_status)
    assert error.message


def test_message_code_param_and_wait_are_taken_over() -> None:
    error = CODEC.decode_error(
        400, {"retry-after": "7"}, envelope("bad seed", "invalid_request_error", "invalid_value", "seed")
    )

    assert ("bad seed", "invalid_value", "seed", 7.0) == (error.message, error.code, error.param, error.retry_after_s)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"model is loading"}', "model is loading"),
        (b'{"message":"no"}', "no"),
        (b'{"detail":"Not here"}', "Not here"),
        (b'{"object":"error","message":"no","code":500}', "no"),
        (b'[{"error":{"code":500,"message":"wrapped"}}]', "wrapped"),
        (b'{"error":{"message":{"deep":1}}}', '{"deep":1}'),
        (b"<html><head><title>Bad Gateway</title></head><body>x</body></html>", "Bad Gateway"),
        (b"plain words", "plain words"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b'{"weird":true}', '{"weird":true}'),
        (b"", "The provider answered 500."),
    ],
)
def test_bodies_in_other_shapes_are_read_too(body: bytes, message: str) -> None:
    assert message == CODEC.decode_error(500, {}, body).message


def test_a_long_body_is_shown_in_part() -> None:
    assert 500 == len(CODEC.decode_error(500, {}, b"x" * 10_000).message)


@pytest.mark.parametrize("status", [200, 500])
def test_a_code_of_any_number_of_digits_is_read(status: int) -> None:
    error = CODEC.decode_error(status, {}, msgspec.json.encode({"error": {"message": "m", "code": "9" * 5000}}))

    assert ("m", 5) == (error.message, error.http_status // 100)
