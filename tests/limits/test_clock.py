"""A clock that goes on whatever is done to the system's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.limits.clock import SteadyClock

STEPS = st.lists(
    st.tuples(st.integers(0, 100_000), st.sampled_from([0, 0, 0, 3600, -3600, 86_400, -86_400])), max_size=30
)


class Clocks:
    def __init__(self) -> None:
        self.wall_s = 1_700_000_000.0
        self.monotonic_s = 0.0

    def go(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


def steady(clocks: Clocks) -> SteadyClock:
    return SteadyClock(lambda: clocks.wall_s, lambda: clocks.monotonic_s)


@given(STEPS)
def test_fault_34_it_is_never_set_back_and_never_behind(steps: list[tuple[int, int]]) -> None:
    clocks = Clocks()
    clock, last_ms = steady(clocks), 0
    for passed_s, jump_s in steps:
        clocks.go(passed_s)
        clocks.wall_s += jump_s
        now_ms = clock.now_ms()
        assert now_ms >= max(last_ms, int(clocks.wall_s * 1000) - 1)
        last_ms = now_ms


def test_fault_34_set_back_it_goes_at_half_its_pace_until_it_is_right_again() -> None:
    clocks = Clocks()
    clock = steady(clocks)
    began_ms = clock.now_ms()
    clocks.wall_s -= 100
    clocks.go(50)
    assert began_ms + 25_000 == clock.now_ms()

    clocks.go(150)
    assert began_ms + 100_000 == clock.now_ms() == int(clocks.wall_s * 1000)
    clocks.go(10)
    assert int(clocks.wall_s * 1000) == clock.now_ms()


def test_fault_34_set_forward_it_follows_at_once() -> None:
    clocks = Clocks()
    clock = steady(clocks)
    clocks.wall_s += 86_400

    assert int(clocks.wall_s * 1000) == clock.now_ms()
