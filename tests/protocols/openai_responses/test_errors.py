"""Failures: what a provider's mean, in answers and in the middle of streams, and what a client of this dialect is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from generated.protocols.openai_responses import FACTS
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
from tests.protocols.openai_responses.support import ANSWER, CODEC, OUTGOING
from tests.support.openai_errors import TOKENS_PER_MINUTE, envelope
from tests.support.stream import decode_stream, tap_stream, transcript

STARTED: dict[str, object] = {
    "type": "response.created",
    "sequence_number": 0,
    "response": {"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "up-1", "output": []},
}  # fmt: skip
DELTA: dict[str, object] = {
    "type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Half",
    "logprobs": [],
}  # fmt: skip


def told(error: GatewayError) -> tuple[int, dict[str, str], dict[str, Any]]:
    reply = CODEC.encode_error(error, "req1")
    return reply.status, dict(reply.headers), msgspec.json.decode(reply.body)["error"]


@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (InvalidRequest("m", param="input[0].type", code="invalid_value"), 400, "invalid_request_error", "invalid_value"),
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
)  # fmt: skip
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
        (400, envelope(code="invalid_prompt"), "content_policy"),
        (400, envelope(code="previous_response_not_found"), "invalid_request"),
        (401, envelope(code="invalid_api_key"), "upstream_auth"),
        (402, envelope("Insufficient Balance"), "upstream_quota"),
        (403, envelope("Country not supported"), "upstream_auth"),
        (404, envelope(code="model_not_found"), "model_not_found"),
        (404, b"404 page not found", "not_found"),
        (405, b"", "upstream_protocol"),
        (413, b"<html>too large</html>", "too_large"),
        (422, b'{"detail":[{"loc":["body","input"],"msg":"field required"}]}', "invalid_request"),
        (429, envelope("slow", "requests", "rate_limit_exceeded"), "rate_limit"),
        *TOKENS_PER_MINUTE,
        (429, envelope("You exceeded your current quota", code="insufficient_quota"), "upstream_quota"),
        (500, envelope("oops", "server_error"), "server_error"),
        (502, b"<html><title>502 Bad Gateway</title></html>", "unavailable"),
        (503, envelope(code="server_is_overloaded"), "overloaded"),
        (504, b"", "timeout"),
        (529, b"", "overloaded"),
    ],
)
def test_failed_answers_are_classified(status: int, body: bytes, kind: str) -> None:
    error = CODEC.decode_error(status, {}, body)

    assert (kind, status) == (error.kind, error.upstream_status)
    assert error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"model is loading"}', "model is loading"),
        (b'{"message":"no"}', "no"),
        (b'{"detail":"Not here"}', "Not here"),
        (b'{"type":"error","code":"server_error","message":"no","param":null}', "no"),
        (b'[{"error":{"code":500,"message":"wrapped"}}]', "wrapped"),
        (b"plain words", "plain words"),
        (b"", "The provider answered 500."),
    ],
)
def test_bodies_in_other_shapes_are_read_too(body: bytes, message: str) -> None:
    assert message == CODEC.decode_error(500, {}, body).message


def test_message_code_param_and_wait_are_taken_over() -> None:
    body = envelope("bad", "invalid_request_error", "invalid_value", "input[0]")
    error = CODEC.decode_error(400, {"retry-after": "7"}, body)

    assert ("bad", "invalid_value", "input[0]", 7.0) == (error.message, error.code, error.param, error.retry_after_s)


# -- behind a success status


IN_BAND: dict[str, tuple[dict[str, object], str]] = {
    "bare": ({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None, "sequence_number": 2}, "rate_limit"),
    "nested": ({"type": "error", "error": {"code": "server_is_overloaded", "message": "m"}}, "overloaded"),
    "nameless": ({"error": {"code": "context_length_exceeded", "message": "m"}}, "context_length"),
    "by-status": ({"error": {"code": 429, "message": "m"}}, "rate_limit"),
    "failed": (
        {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": {"code": "invalid_prompt", "message": "m"}, "output": []}},
        "content_policy",
    ),
    "server": (
        {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "m"}, "output": []}},
        "server_error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_BAND)
def test_an_error_in_a_stream_is_raised_once_what_came_before_was_told(case: str) -> None:
    event, kind = IN_BAND[case]
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [transcript(STARTED, DELTA, event)])

    assert error is not None
    assert kind == error.kind
    assert "Half" in [getattr(event, "text", None) for event in events]


@pytest.mark.parametrize("case", IN_BAND)
def test_a_first_event_that_is_an_error_is_raised_before_anything_is_forwarded(case: str) -> None:
    event, kind = IN_BAND[case]
    tap = CODEC.stream_tap(ANSWER)
    with pytest.raises(GatewayError) as caught:
        tap.feed(transcript(event))

    assert (kind, False) == (caught.value.kind, tap.complete)


@pytest.mark.parametrize("case", IN_BAND)
def test_what_passes_through_is_forwarded_up_to_its_error(case: str) -> None:
    event, kind = IN_BAND[case]
    out, error = tap_stream(CODEC.stream_tap(ANSWER), [transcript(STARTED, DELTA, event)])

    assert error is not None
    assert kind == error.kind
    assert transcript(STARTED, DELTA).replace(b'"up-1"', b'"public/name"') == out


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (envelope("m", code="rate_limit_exceeded"), "rate_limit"),
        (b'{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}', "server_error"),
        (b'{"id":"r","object":"response","status":"cancelled","output":[]}', "server_error"),
        (b'{"id":"r","object":"response","status":"in_progress","output":[]}', "upstream_protocol"),
        (b'{"id":"r"}', "upstream_protocol"),
        (b'{"output":"x"}', "upstream_protocol"),
        (b"<html>hello</html>", "upstream_protocol"),
        (b"", "upstream_protocol"),
        (b'{"output":[', "upstream_protocol"),
    ],
)  # fmt: skip
def test_a_success_that_holds_no_answer_is_none(body: bytes, kind: str) -> None:
    with pytest.raises(GatewayError) as caught:
        CODEC.decode_response(body, OUTGOING)

    assert kind == caught.value.kind
