"""Windows of limits: never more in any stretch of one's length, calendars by UTC, clocks that are set."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.window import Calendar, Limit, calendar_start_ms, read_window

LENGTHS = st.sampled_from([1000, 7000, 60_000, 5_400_000, 3_600_000, 86_400_000, 7 * 86_400_000])
CALENDARS = st.sampled_from(["day", "week", "month"])
TIMES = st.integers(0, 4_000_000_000_000)


@given(LENGTHS, st.integers(1, 5), TIMES, st.lists(st.integers(0, 90), max_size=60))
def test_no_stretch_of_a_windows_length_sees_more_than_the_limit(
    length_ms: int, amount: int, start_ms: int, waits: list[int]
) -> None:
    """Nor does a border double it: whatever is let in, any interval of the length holds at most the limit."""
    limit = Limit(of="requests", amount=amount, length_ms=length_ms)
    buckets: dict[int, int] = {}
    let_in: list[int] = []
    now_ms = start_ms
    for wait in waits:
        now_ms += wait * length_ms // 60
        if sum(n for bucket, n in buckets.items() if bucket >= limit.oldest(now_ms)) < amount:
            buckets[limit.bucket(now_ms)] = buckets.get(limit.bucket(now_ms), 0) + 1
            let_in.append(now_ms)

    for first in let_in:
        assert amount >= sum(first <= each < first + length_ms for each in let_in)


@given(LENGTHS, TIMES)
def test_what_was_used_is_let_go_a_sixtieth_late_at_the_most(length_ms: int, now_ms: int) -> None:
    limit = Limit(of="tokens", amount=1, length_ms=length_ms)
    over_ms = limit.over_ms(limit.bucket(now_ms))

    assert now_ms + length_ms < over_ms <= now_ms + length_ms + max(1, length_ms // 60)
    assert limit.oldest(over_ms - 1) <= limit.bucket(now_ms) < limit.oldest(over_ms)


@given(CALENDARS, TIMES)
def test_spans_of_the_calendar_follow_one_another_without_a_gap(calendar: Calendar, now_ms: int) -> None:
    limit = Limit(of="usd", amount=1, calendar=calendar)
    start_ms, end_ms = calendar_start_ms(calendar, now_ms), limit.over_ms(limit.bucket(now_ms))

    assert start_ms <= now_ms < end_ms
    assert limit.bucket(start_ms) == limit.bucket(now_ms) == limit.bucket(end_ms - 1)
    assert limit.bucket(start_ms - 1) + 1 == limit.bucket(now_ms) == limit.bucket(end_ms) - 1
    assert limit.oldest(now_ms) == limit.bucket(now_ms)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("calendar", "now", "start", "end"),
    [
        ("day", "2026-03-01T00:00:00", "2026-03-01", "2026-03-02"),
        ("week", "2026-11-29T23:59:59", "2026-11-23", "2026-11-30"),
        ("week", "2026-11-30T00:00:00", "2026-11-30", "2026-12-07"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_days_weeks_and_months_are_those_of_utc(calendar: Calendar, now: str, start: str, end: str) -> None:
    limit = Limit(of="usd", amount=1, calendar=calendar)

    assert at(start) == calendar_start_ms(calendar, at(now))
    assert at(end) == limit.over_ms(limit.bucket(at(now)))


@given(TIMES, TIMES, st.one_of(LENGTHS.map(lambda ms: (ms, None)), CALENDARS.map(lambda name: (0, name))))
def test_fault_34_a_clock_that_is_set_back_frees_nothing(
    one: int, other: int, window: tuple[int, Calendar | None]
) -> None:
    limit = Limit(of="usd", amount=1, length_ms=window[0], calendar=window[1])
    before, after = sorted((one, other))

    assert limit.bucket(after) >= limit.oldest(before), "what was used ahead of the clock counts"


@pytest.mark.parametrize(
    ("per", "found"),
    [
        ("1m", (60_000, None)), ("minute", (60_000, None)), ("6h", (21_600_000, None)), ("31d", (2_678_400_000, None)),
        ("1s", (1000, None)), ("2w", (1_209_600_000, None)), ("day", (0, "day")), ("month", (0, "month")),
        ("0s", None), ("32d", None), ("5w", None), ("1.5h", None), ("year", None), ("", None), ("-1m", None), ("1 m", None),
        ("60", None), ("1M", None),
    ],
)  # fmt: skip
def test_windows_are_read(per: str, found: object) -> None:
    assert found == read_window(per)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(of="requests", amount=1, length_ms=60_000), "1 request per minute"),
        (Limit(of="requests", amount=60, length_ms=1000), "60 requests per 1 s"),
        (Limit(of="tokens", amount=5000, length_ms=5_400_000), "5000 tokens per 90 minutes"),
        (Limit(of="tokens", amount=5000, length_ms=86_400_000), "5000 tokens per 24 hours"),
        (Limit(of="usd", amount=25_500_000_000, calendar="month"), "$25.50 per month"),
        (Limit(of="usd", amount=1_000, calendar="day"), "$0.000001 per day"),
        (Limit(of="concurrency", amount=1), "1 call at the same time"),
    ],
)
def test_limits_are_said_as_people_say_them(limit: Limit, words: str) -> None:
    assert words == limit.words


def test_every_window_has_a_word_of_its_own() -> None:
    limits = [Limit(of="usd", amount=1, length_ms=ms) for ms in (1000, 60_000, 86_400_000)]
    limits += [Limit(of="usd", amount=1, calendar=name) for name in ("day", "week", "month")]
    limits.append(Limit(of="concurrency", amount=1))
    assert len({limit.span for limit in limits}) == len(limits)
    assert all(one.kept_ms <= other.kept_ms for one, other in pairwise(limits[3:6]))


@given(st.one_of(LENGTHS.map(lambda ms: (ms, None)), CALENDARS.map(lambda name: (0, name))))
def test_a_window_is_written_as_it_is_read(window: tuple[int, Calendar | None]) -> None:
    limit = Limit(of="usd", amount=1, length_ms=window[0], calendar=window[1])
    assert window == read_window(limit.per)
