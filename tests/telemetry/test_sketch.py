"""Quantiles within the error that is stated, and merging that loses nothing."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from runtime.telemetry import CallRecord
from runtime.telemetry.latencies import FRESH, MAX_WINDOW_S, SLICE_S, TOGETHER, Latencies, merge_measures
from runtime.telemetry.sketch import RELATIVE_ERROR, Sketch
from runtime.telemetry.trail import AttemptRecord

VALUES = st.lists(st.floats(1e-6, 1e9, allow_nan=False), min_size=1, max_size=200)
SHARE = st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0])


def sketch(values: list[float]) -> Sketch:
    made = Sketch()
    for value in values:
        made.add(value)
    return made


@given(values=VALUES, share=SHARE)
def test_a_quantile_is_the_exact_one_within_the_error(values: list[float], share: float) -> None:
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    (told,) = sketch(values).quantiles([share])

    assert abs(told - exact) <= exact * RELATIVE_ERROR


@given(one=VALUES, other=VALUES)
def test_merged_is_as_if_it_had_been_one(one: list[float], other: list[float]) -> None:
    merged = sketch(one)
    merged.merge(Sketch(sketch(other).buckets))

    assert (sketch(one + other).buckets, len(one + other)) == (merged.buckets, merged.count)


def test_nothing_has_no_quantiles_and_what_is_no_time_is_the_shortest() -> None:
    assert [0.0, 0.0] == Sketch().quantiles([0.5, 0.99])
    assert sketch([0.0, -1.0]).quantiles([0.5])[0] < 1.01e-9


def ended(label: str, at_s: float, took_s: float, *, outcome: str = "ok", first_s: float | None = None) -> CallRecord:
    call = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=at_s - took_s, ended_s=at_s)
    call.outcome = "error" if outcome == "error" else "client_closed" if outcome == "client_closed" else "ok"
    call.first_token_s = None if first_s is None else at_s - took_s + first_s
    call.attempted(AttemptRecord(target=label, label=label, connection="p/one", started_s=at_s))
    return call


def test_the_last_minutes_of_several_workers_are_told_by_model() -> None:
    now_s = [1000.0]
    one, other = Latencies(lambda: now_s[0]), Latencies(lambda: now_s[0])
    one.add(ended("p/a", 1000.0, 0.1, first_s=0.05))
    other.add(ended("p/a", 1000.0, 0.3, outcome="error"))
    other.add(ended("p/b", 1000.0, 9.0, outcome="client_closed"))
    now_s[0] = 1055.0
    one.add(ended("p/b", 1055.0, 1.0))

    found = merge_measures([*one.within(60), *other.within(60)])
    late = merge_measures([*one.within(20), *other.within(20)])

    assert {"p/a": (2, 1, 1), "p/b": (1, 0, 0)} == {
        label: (each.total_ms.count, each.first_ms.count, each.errors) for label, each in found.items()
    }
    assert {"p/b"} == late.keys()
    (slowest,) = found["p/a"].total_ms.quantiles([1.0])
    assert abs(slowest - 300) <= 300 * RELATIVE_ERROR


def test_memory_is_bounded_by_an_hour() -> None:
    latencies = Latencies(lambda: 50_000.0)
    for second in range(0, 50_000, 10):
        latencies.add(ended("p/a", float(second), 0.1))

    (measured,) = latencies.within(1e9)
    assert MAX_WINDOW_S / SLICE_S <= sum(measured.total_ms.values()) <= MAX_WINDOW_S / SLICE_S + TOGETHER + 1


@given(
    ends_s=st.lists(st.floats(0, MAX_WINDOW_S - 60), min_size=1, max_size=40).map(sorted),
    window_s=st.floats(1, MAX_WINDOW_S),
)
def test_a_window_has_all_that_ended_in_it_and_little_more(ends_s: list[float], window_s: float) -> None:
    latencies = Latencies(lambda: ends_s[-1])
    for end_s in ends_s:
        latencies.add(ended("p/a", end_s, 0.1))

    told = sum(sum(each.total_ms.values()) for each in latencies.within(window_s))
    since_s = ends_s[-1] - window_s
    slice_s = SLICE_S if window_s < FRESH * SLICE_S else TOGETHER * SLICE_S
    assert sum(end_s >= since_s for end_s in ends_s) <= told <= sum(end_s > since_s - slice_s for end_s in ends_s)


def test_a_call_that_asked_nobody_is_no_measure() -> None:
    latencies = Latencies(lambda: 10.0)
    latencies.add(CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=1.0, ended_s=2.0))
    assert [] == latencies.within(100)
