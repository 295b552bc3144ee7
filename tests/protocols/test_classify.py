"""What a provider's failed answer means: by the protocol's rules, by status, by texts; and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.catalog import ErrorRule
from runtime.errors import (
    Conflict,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    RateLimited,
    TooLarge,
    UnsupportedMedia,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
    UpstreamUnavailable,
)  # fmt: skip
from runtime.protocols import codec
from runtime.protocols.classify import classify, message_of, retry_after_s
from runtime.resilience import Step, judge

RULES = (
    ErrorRule(kind="upstream_quota", codes=("insufficient_quota",)),
    ErrorRule(kind="context_length", statuses=(400, 413), texts=("maximum context", "too long")),
    ErrorRule(kind="content_policy", types=("policy",)),
)


def found(
    status: int = 400, *, code: str | None = None, type_: str | None = None, message: str | None = "x", **headers: str
) -> GatewayError:
    return classify(RULES, status=status, headers=headers, code=code, type=type_, message=message)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InvalidRequest), (401, UpstreamAuthFailed), (402, UpstreamQuotaExceeded), (403, UpstreamAuthFailed),
        (404, NotFound), (405, UpstreamProtocolError), (408, UpstreamTimeout), (409, Conflict), (413, TooLarge),
        (415, UnsupportedMedia), (418, InvalidRequest), (422, InvalidRequest), (429, RateLimited), (500, UpstreamFailed),
        (501, UpstreamUnavailable), (502, UpstreamUnavailable), (503, UpstreamUnavailable), (504, UpstreamTimeout),
        (522, UpstreamUnavailable), (529, UpstreamOverloaded), (200, UpstreamProtocolError), (302, UpstreamProtocolError),
    ],
)  # fmt: skip
def test_the_status_alone_decides_where_no_rule_fits(status: int, expected: type[GatewayError]) -> None:
    error = found(status)

    assert (expected, None if status == 200 else status) == (type(error), error.upstream_status)


def test_rules_decide_before_the_status_and_the_first_that_fits_wholly() -> None:
    assert type(found(429, code="insufficient_quota")) is UpstreamQuotaExceeded
    assert type(found(400, message="This is TOO LONG.")) is ContextTooLong
    assert type(found(500, message="This is too long.")) is UpstreamFailed
    assert type(found(400, type_="policy")) is ContentRefused
    assert type(found(404, message="The model `x` does not exist")) is ModelNotFound


def test_the_vendors_code_is_kept() -> None:
    assert found(429, code="insufficient_quota").code == "insufficient_quota"


def test_a_refused_credential_of_ours_is_not_told_in_the_vendors_words() -> None:
    message = found(401, message="Incorrect API key provided: sk-abcdefghijklmnop").message

    assert message == "The provider refused the credential that the gateway is configured with."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("key sk-ant-REDACTED_0123456789abcd is bad", "key [hidden] is bad"),
        ("in organization org-Ab12Cd34Ef on", "in organization [hidden] on"),
        ("header Bearer abc.def.ghi refused", "header [hidden] refused"),
        ("see https://api.vendor.example/v1/x?key=1 now", "see [address] now"),
        ("x" * 501, "x" * 499 + "…"),
        ("x" * 500, "x" * 500),
        ("  trimmed \n", "trimmed"),
        ("", "The provider answered 400."),
        (None, "The provider answered 400."),
    ],
)
def test_messages_are_short_and_hold_no_secret(said: str | None, expected: str) -> None:
    assert expected == found(message=said).message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html><head><title>502 Bad\n Gateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        (b"  <p>No <b>title</b><script>var x = 1;</script> here</p>", "No title here"),
        (b"plain  text\n", "plain text"),
        (b"", ""),
        (b"\xff", "\ufffd"),
    ],
)
def test_pages_are_read_for_what_they_show(body: bytes, expected: str) -> None:
    assert expected == message_of(body)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None), ({"retry-after": "7"}, 7.0), ({"retry-after": "1.5"}, 1.5), ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0), ({"retry-after": "nan"}, None), ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None), ({"retry-after-ms": "250", "retry-after": "9"}, 0.25), ({"retry-after-ms": "x"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0), ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
    ],
)  # fmt: skip
def test_the_wait_is_read_from_numbers_and_dates(headers: dict[str, str], expected: float | None) -> None:
    assert expected == retry_after_s(headers, datetime(2026, 11, 21, 12, tzinfo=UTC))


def test_a_date_without_a_clock_is_held_against_the_answers_own() -> None:
    later = {"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}

    assert retry_after_s(later) is None
    assert retry_after_s({**later, "date": "Sat, 21 Nov 2026 12:00:10 GMT"}) == 20.0


@given(st.integers(200, 599), st.none() | st.text(max_size=30), st.none() | st.text(max_size=600))
def test_anything_is_classified(status: int, code: str | None, message: str | None) -> None:
    error = found(status, code=code, type_=code, message=message)

    assert 0 < len(error.message) <= 500


@pytest.mark.parametrize(("header", "seconds"), [("18000", 18_000), ("604800", 604_800)])
def test_pitfall_128_a_long_wait_stays_long(header: str, seconds: float) -> None:
    assert seconds == retry_after_s({"retry-after": header})


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic_messages", "gemini", "ollama_chat"])
def test_a_page_that_forbids_says_nothing_of_the_account(protocol: str) -> None:
    """A firewall before the provider sends it, for what a prompt holds: other prompts, and other clients', pass."""
    page = b"<html><title>Attention Required! | Cloudflare</title><body>Sorry, you have been blocked</body></html>"
    read = codec(protocol).decode_error
    blocked = read(403, {"content-type": "text/html; charset=UTF-8"}, page)
    refused = read(401, {"content-type": "text/html"}, page)

    assert (UpstreamProtocolError, 403) == (type(blocked), blocked.upstream_status)
    assert "Attention Required!" in blocked.message
    assert (Step.ELSEWHERE, None, None) == ((said := judge(blocked)).step, said.healthy, said.rests)
    assert "credential" == judge(refused).rests
    assert "credential" == judge(read(403, {"content-type": "application/json"}, b'{"error":{"message":"no"}}')).rests
