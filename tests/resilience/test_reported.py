"""Quotas in the headers of answers: read as each vendor writes them, and never a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.resilience.reported import Reported, read_reports

DATE = {"date": "Sun, 29 Nov 2026 07:00:00 GMT"}
NOON_S = 1_795_935_600  # that moment
NOTHING: set[Reported] = set()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "x-ratelimit-limit-requests": "200", "x-ratelimit-remaining-requests": "50", "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms",
            },
            {Reported("-requests", 0.25, 360.0), Reported("-tokens", 0.0, 0.12)},
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "400", "anthropic-ratelimit-input-tokens-remaining": "100",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-29T07:00:30Z",
            },
            {Reported("input-tokens", 0.25, 30.0)},
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m3.5s"}, {Reported("-requests", 0.0, 3723.5)}),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, {Reported("", 0.0, 7.0)}),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON_S + 9)}, {Reported("", 0.0, 9.0)}),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOON_S + 9}000"}, {Reported("", 0.0, 9.0)}),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "7"}, {Reported("", 1.0, 7.0)}),
        ({"x-ratelimit-remaining": "0"}, NOTHING),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON_S - 9)}, NOTHING),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, NOTHING),
        ({"x-ratelimit-remaining": "many", "x-ratelimit-reset": "7"}, NOTHING),
        ({"x-ratelimit-remaining": "nan", "x-ratelimit-reset": "7"}, NOTHING),
        ({"x-ratelimit-remaining": "9" * 400, "x-ratelimit-reset": "7"}, NOTHING),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-29T07:00:30"}, NOTHING),
        ({"x-ratelimit-used": "0", "retry-after": "7"}, NOTHING),
    ],
)  # fmt: skip
def test_what_vendors_write_is_read(headers: dict[str, str], expected: set[Reported]) -> None:
    assert expected == set(read_reports(DATE | headers))


def test_a_moment_is_not_believed_without_the_answers_own_date() -> None:
    assert () == read_reports({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON_S)})


@given(
    left=st.text(max_size=20),
    limit=st.text(max_size=20),
    reset=st.text("0123456789hmsd.T:-+Z ", max_size=40),
    date=st.text(),
)
def test_nothing_in_a_header_is_a_fault(left: str, limit: str, reset: str, date: str) -> None:
    for kind in ("x-ratelimit-{}-tokens", "anthropic-ratelimit-tokens-{}"):
        headers = {
            kind.format("remaining"): left,
            kind.format("limit"): limit,
            kind.format("reset"): reset,
            "date": date,
        }
        for report in read_reports(headers):
            assert 0 <= report.left <= 1
            assert report.reset_s > 0
