"""What can be seen of health, changed and reset while it runs."""

from __future__ import annotations

from generated.config import BreakerSettings, CooldownSettings
from runtime.errors import RateLimited, UpstreamFailed
from runtime.resilience import Health
from runtime.resilience.snapshot import HealthSnapshot, merged


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def health(clock: Clock) -> Health:
    return Health(BreakerSettings(minimum_calls=2), CooldownSettings(), {"p/one": 1}, clock)


def fail(known: Health, times: int, error: Exception | None = None) -> None:
    for _ in range(times):
        ticket = known.enter("p/m", "p/one")
        assert ticket is not None
        ticket.end(error if isinstance(error, RateLimited) else UpstreamFailed("x"))


def test_a_snapshot_tells_breakers_rests_lanes_and_places() -> None:
    clock = Clock()
    known = health(clock)
    fail(known, 1, RateLimited("x", retry_after_s=7.0))
    fail(known, 2)
    known.enter("p/n", "p/one")
    told = known.snapshot()

    assert [("p/m", "open", 5.0), ("p/n", "closed", None)] == [
        (each.model, each.state, each.due_s) for each in told.breakers
    ]
    assert [("p/one", "p/m", "rate_limit", 7.0)] == [
        (each.connection, each.model, each.kind, each.left_s) for each in told.rests
    ]
    assert {"p/m": (0, 3), "p/n": (1, 1)} == {each.model: (each.in_flight, each.used) for each in told.lanes}
    assert [(1, 1, 0)] == [(each.limit, each.taken, each.waiting) for each in told.places]
    clock.now_s += 5.0
    assert "half_open" == known.snapshot().breakers[0].state


def test_a_reset_lets_everybody_be_asked_again() -> None:
    known = health(Clock())
    fail(known, 1, RateLimited("x", retry_after_s=7.0))
    fail(known, 2)
    assert known.hindrance("p/m", "p/one") is not None

    was = known.reset()
    assert (["p/m"], ["p/one"]) == ([each.model for each in was.breakers], [each.connection for each in was.rests])
    assert (None, HealthSnapshot()) == (known.hindrance("p/m", "p/one"), known.reset())


def test_other_settings_hold_for_breakers_that_exist() -> None:
    known = health(Clock())
    fail(known, 1)
    known.configure(BreakerSettings(minimum_calls=5), CooldownSettings(rate_limit_ms=9000))
    fail(known, 3)
    assert known.hindrance("p/m", "p/one") is None
    fail(known, 1)
    assert known.hindrance("p/m", "p/one") is not None

    known.configure(BreakerSettings(mode="ignore"), CooldownSettings(rate_limit_ms=9000))
    assert known.hindrance("p/m", "p/one") is None
    fail(known, 1, RateLimited("x"))
    assert 9.0 == known.snapshot().rests[0].left_s


def test_of_several_workers_the_worst_and_the_sum() -> None:
    clock = Clock()
    one, other = health(clock), health(clock)
    fail(one, 2)
    fail(other, 1)
    fail(other, 1, RateLimited("x", retry_after_s=3.0))
    told = merged((one.snapshot(), other.snapshot()))

    assert [("p/m", "open")] == [(each.model, each.state) for each in told.breakers]
    assert [4] == [each.used for each in told.lanes]
    assert ([3.0], [2]) == ([each.left_s for each in told.rests], [each.limit for each in told.places])
