"""Failures on Ollama's wire, both ways."""

from __future__ import annotations

import json

import pytest

from runtime import errors
from runtime.errors import GatewayError, InvalidRequest, ModelNotFound, RateLimited, UpstreamTimeout
from tests.protocols.ollama_chat.support import CODEC


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":"invalid options: temperature"}', "invalid_request"),
        (400, b'{"error":"\\"llama3\\" does not support thinking"}', "invalid_request"),
        (400, b'{"error":"the input length exceeds the context length"}', "context_length"),
        (401, b'{"error":"unauthorized","signin_url":"https://ollama.com/connect"}', "upstream_auth"),
        (402, b'{"error":"this model requires a subscription, upgrade for access"}', "upstream_quota"),
        (403, b'{"error":"forbidden"}', "upstream_auth"),
        (404, b'{"error":"model \\"m\\" not found, try pulling it first"}', "model_not_found"),
        (404, b'{"error":"model \'m\' not found"}', "model_not_found"),
        (404, b"404 page not found", "not_found"),
        (413, b"", "too_large"),
        (429, b'{"error":"too many requests"}', "rate_limit"),
        (429, b'{"error":"you have reached your weekly usage limit"}', "upstream_quota"),
        (500, b'{"error":"llama runner process has terminated: exit status 2"}', "unavailable"),
        (500, b'{"error":"model requires more system memory (20.0 GiB) than is available (8.0 GiB)"}', "unavailable"),
        (500, b'{"error":"oops"}', "server_error"),
        (502, b"<html><title>Bad Gateway</title></html>", "unavailable"),
        (503, b'{"error":"server busy, please try again.  maximum pending requests exceeded"}', "overloaded"),
        (504, b'{"error":{"message":"upstream timed out"}}', "timeout"),
    ],
)
def test_a_failed_answer_is_known_for_what_it_is(status: int, body: bytes, kind: str) -> None:
    error = CODEC.decode_error(status, {}, body)

    assert kind == error.kind
    assert error.message


def test_retry_after_is_kept() -> None:
    assert 7 == CODEC.decode_error(429, {"retry-after": "7"}, b'{"error":"too many requests"}').retry_after_s


def test_pitfall_125_a_page_is_told_as_text() -> None:
    error = CODEC.decode_error(502, {}, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")

    assert {"error": "502 Bad Gateway"} == json.loads(CODEC.encode_error(error, "r1").body)


@pytest.mark.parametrize(
    "kind", sorted({c.kind for c in vars(errors).values() if isinstance(c, type) and issubclass(c, GatewayError)})
)
def test_every_error_has_a_status_and_a_text(kind: str) -> None:
    classes = [
        c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, GatewayError) and c.kind == kind
    ]
    reply = CODEC.encode_error(classes[0]("What went wrong."), "r1")

    assert {"error": "What went wrong."} == json.loads(reply.body)
    assert 400 <= reply.status < 600
    assert ("x-request-id", "r1") in reply.headers


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("the model 'a/b' does not exist", "model 'a/b' not found"),
        ("The model 'a' does not exist; did you mean 'b'?", "model 'a' not found"),
        ("the model 'a' serves embeddings, not this endpoint", "the model 'a' serves embeddings, not this endpoint"),
    ],
)
def test_a_model_that_is_not_there_is_told_of_in_the_vendors_words(message: str, told: str) -> None:
    reply = CODEC.encode_error(ModelNotFound(message, param="model"), "r1")

    assert (404, {"error": told}) == (reply.status, json.loads(reply.body))


def test_statuses() -> None:
    assert (400, 429, 504) == tuple(
        CODEC.encode_error(error, "r").status for error in (InvalidRequest("a"), RateLimited("a"), UpstreamTimeout("a"))
    )
    assert ("retry-after", "2") in CODEC.encode_error(RateLimited("a", retry_after_s=1.2), "r").headers
