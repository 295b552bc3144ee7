"""A circuit breaker opens when calls fail, tries one, and closes when that is answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from generated.config import BreakerSettings
from runtime.resilience.breaker import Breaker

SETTINGS = BreakerSettings(window_ms=10_000, minimum_calls=4, error_percent=50, open_for_ms=1000, max_open_for_ms=4000)


def failed(count: int, now_s: float = 100.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(count):
        breaker.end(False, now_s, trial=breaker.begin())
    return breaker


def test_too_few_calls_do_not_open_it() -> None:
    assert failed(3).due_s(100.0) is None
    assert failed(4).due_s(100.0) == 101.0


@given(good=st.integers(0, 20), bad=st.integers(0, 20))
def test_it_is_open_exactly_when_the_share_is_reached(good: int, bad: int) -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(good):
        breaker.end(True, 100.0, trial=breaker.begin())
    opened = False
    for number in range(1, bad + 1):
        breaker.end(False, 100.0, trial=False)
        opened = opened or (good + number >= 4 and number * 2 >= good + number)

    assert breaker.closed is not opened


def test_failures_of_long_ago_do_not_count() -> None:
    breaker = failed(3, now_s=100.0)

    breaker.end(False, 111.0, trial=False)

    assert breaker.closed


def test_errors_that_say_nothing_do_not_count() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(20):
        breaker.end(None, 100.0, trial=False)

    assert breaker.closed


def test_one_call_is_tried_and_the_others_wait_for_it() -> None:
    breaker = failed(4)
    assert breaker.due_s(100.9) == 101.0
    assert breaker.due_s(101.0) is None

    assert breaker.begin()

    assert breaker.due_s(101.0) is not None


def test_an_answered_trial_closes_it() -> None:
    breaker = failed(4)
    breaker.end(True, 101.5, trial=breaker.begin())

    assert breaker.closed
    assert breaker.due_s(101.5) is None


def test_failed_trials_double_the_time_up_to_its_limit() -> None:
    breaker, now_s, waits = failed(4), 100.0, []
    for _ in range(5):
        due_s = breaker.due_s(now_s)
        assert due_s is not None
        waits.append(due_s - now_s)
        now_s = due_s
        breaker.end(False, now_s, trial=breaker.begin())

    assert [1.0, 2.0, 4.0, 4.0, 4.0] == waits


def test_a_trial_that_was_given_up_leaves_the_next_call_to_try() -> None:
    breaker = failed(4)
    breaker.end(None, 102.0, trial=breaker.begin())

    assert breaker.due_s(102.0) is None
    assert breaker.begin()


def test_calls_from_before_the_opening_are_no_evidence() -> None:
    breaker = failed(4)

    breaker.end(True, 100.5, trial=False)

    assert not breaker.closed


class Machine(RuleBasedStateMachine):
    """Any history: at most one trial at a time, and never open for longer than the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(SETTINGS)
        self.now_s = 0.0
        self.running: list[bool] = []

    @rule(wait_s=st.floats(0, 5))
    def time_passes(self, wait_s: float) -> None:
        self.now_s += wait_s

    @rule()
    def call_begins(self) -> None:
        if self.breaker.due_s(self.now_s) is None:
            self.running.append(self.breaker.begin())

    @precondition(lambda self: bool(self.running))
    @rule(data=st.data(), healthy=st.sampled_from([True, False, None]))
    def call_ends(self, data: st.DataObject, healthy: bool | None) -> None:
        trial = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.breaker.end(healthy, self.now_s, trial=trial)

    @invariant()
    def one_trial_at_a_time(self) -> None:
        assert self.running.count(True) <= 1

    @invariant()
    def never_open_for_longer_than_the_limit(self) -> None:
        due_s = self.breaker.due_s(self.now_s)
        assert due_s is None or due_s <= self.now_s + 4.0


TestMachine = Machine.TestCase
