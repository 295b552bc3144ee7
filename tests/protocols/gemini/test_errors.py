"""Errors in Google's envelope, both ways."""

from __future__ import annotations

import msgspec
import pytest

from runtime.errors import ContextTooLong, GatewayError, InternalError, InvalidRequest, RateLimited, UpstreamOverloaded
from tests.protocols.gemini.given import ANSWER, CODEC

RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
QUOTA = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}


def read(status: int, word: str, message: str = "x", *details: object) -> GatewayError:
    body = {"error": {"code": status, "message": message, "status": word, "details": list(details)}}
    return CODEC.decode_error(status, {}, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("status", "word", "message", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Bad field.", "invalid_request"),
        (400, "INVALID_ARGUMENT", "The input token count (5) exceeds the maximum number of tokens allowed (4).", "context_length"),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "upstream_auth"),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", "upstream_auth"),
        (400, "FAILED_PRECONDITION", "Nope.", "invalid_request"), (401, "UNAUTHENTICATED", "x", "upstream_auth"),
        (403, "PERMISSION_DENIED", "x", "upstream_auth"),
        (403, "PERMISSION_DENIED", "You do not have permission to access the File x or it may not exist.", "not_found"),
        (403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)", "not_found"), (404, "NOT_FOUND", "models/x is not found", "model_not_found"),
        (409, "ABORTED", "x", "conflict"), (429, "RESOURCE_EXHAUSTED", "x", "rate_limit"), (499, "CANCELLED", "x", "unavailable"),
        (429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0, model: x", "upstream_quota"), (500, "INTERNAL", "x", "server_error"),
        (503, "UNAVAILABLE", "The model is overloaded.", "overloaded"), (503, "UNAVAILABLE", "x", "unavailable"),
        (504, "DEADLINE_EXCEEDED", "x", "timeout"),
    ],
)  # fmt: skip
def test_a_vendors_error_is_recognised(status: int, word: str, message: str, kind: str) -> None:
    error = read(status, word, message)

    assert kind == error.kind
    assert status == error.upstream_status


def test_how_long_to_wait_stands_in_the_body() -> None:
    assert 34.07 == read(429, "RESOURCE_EXHAUSTED", "x", RETRY).retry_after_s
    assert 5 == CODEC.decode_error(429, {"retry-after": "5"}, b"{}").retry_after_s


def test_pitfall_128_a_quota_of_a_day_is_no_short_wait() -> None:
    assert "upstream_quota" == read(429, "RESOURCE_EXHAUSTED", "x", QUOTA, RETRY).kind


def test_pitfall_125_what_is_no_json_is_an_error_all_the_same() -> None:
    error = CODEC.decode_error(502, {}, b"<html><title>Bad Gateway</title></html>")

    assert ("unavailable", "Bad Gateway") == (error.kind, error.message)
    assert (
        "x"
        == CODEC.decode_error(400, {}, b'[{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}]').message
    )


def test_a_client_is_told_in_googles_envelope() -> None:
    reply = CODEC.encode_error(RateLimited("Slow down.", retry_after_s=3.5), "req1")

    assert 429 == reply.status
    assert ("x-request-id", "req1") in reply.headers
    assert ("retry-after", "4") in reply.headers
    assert {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED",
                      "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]}} == (
        msgspec.json.decode(reply.body)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [(InvalidRequest("x"), 400, "INVALID_ARGUMENT"), (ContextTooLong("x"), 400, "INVALID_ARGUMENT"), (UpstreamOverloaded("x"), 503, "UNAVAILABLE"),
     (InternalError("x"), 500, "INTERNAL")],
)  # fmt: skip
def test_status_words(error: GatewayError, status: int, word: str) -> None:
    reply = CODEC.encode_error(error, "r")
    body = msgspec.json.decode(reply.body)["error"]

    assert (status, status, word) == (reply.status, body["code"], body["status"])
    if isinstance(error, ContextTooLong):
        assert body["message"].startswith("The input token count exceeds the maximum number of tokens allowed")


def test_an_error_in_a_stream_is_a_frame_of_its_own() -> None:
    assert b'data: {"error":{"code":503,"message":"Busy.","status":"UNAVAILABLE"}}\r\n\r\n' == CODEC.stream_encoder(
        ANSWER
    ).fail(UpstreamOverloaded("Busy."))


def test_an_error_in_a_list_is_an_item_and_closes_it() -> None:
    answer = msgspec.structs.replace(ANSWER, variant="array")

    assert b',\n{"error":{"code":503,"message":"Busy.","status":"UNAVAILABLE"}}\n]' == CODEC.stream_encoder(
        answer
    ).fail(UpstreamOverloaded("Busy."))
