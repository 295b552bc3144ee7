"""What one worker learns of a provider, the others know: over every shared state, with a clock that the test turns on."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import BreakerSettings, CooldownSettings
from runtime.errors import GatewayError, RateLimited, UpstreamAuthFailed, UpstreamFailed
from runtime.resilience import Health
from runtime.resilience.sharing import TOPIC, Sharing
from runtime.shared import SharedError, SharedState
from runtime.shared.memory import MemoryState
from tests.support.shared import Backend, Clock

MODEL, CONNECTION = "acme/large", "acme/main"
BREAKERS = BreakerSettings(minimum_calls=3, open_for_ms=5_000, max_open_for_ms=60_000)


class Worker:
    """``skew_s`` is how wrong its time of day is; its other clock has an origin of its own in any case."""

    def __init__(
        self,
        name: str,
        state: SharedState,
        clock: Clock,
        skew_s: float = 0.0,
        credential: str = "same",
        since_s: float = inf,
    ) -> None:
        origin_s = 1000.0 * len(name)
        self.health = Health(BREAKERS, CooldownSettings(), {}, lambda: clock() - origin_s)
        self.sharing = Sharing(self.health, state, name, lambda: clock() + skew_s, {CONNECTION: credential}, since_s)

    def call(self, error: GatewayError | None = None) -> None:
        ticket = self.health.enter(MODEL, CONNECTION)
        assert ticket is not None
        ticket.end(error)

    def fail(self, times: int = 3) -> None:
        for _ in range(times):
            self.call(UpstreamFailed("500"))

    def hindrance(self) -> tuple[str, float] | None:
        """The reason, and for how many seconds."""
        found = self.health.hindrance(MODEL, CONNECTION)
        return None if found is None else (found.reason, round(found.due_s - self.health.clock(), 3))


async def met(place: Backend, **second: object) -> tuple[Worker, Worker]:
    """Two workers that have begun to listen."""
    one = Worker("one", place.handle(), place.clock)
    two = Worker("other", place.handle(), place.clock, **second)  # type: ignore[arg-type]
    await exchange(one, two)
    return one, two


async def exchange(*workers: Worker) -> None:
    for worker in (*workers, workers[0]):
        await worker.sharing.exchange()


async def test_who_comes_late_hears_what_still_holds(place: Backend) -> None:
    """A worker that starts after the others, or in the place of one that died."""
    one, _ = await met(place)
    one.fail()
    await exchange(one)
    await place.later(2)
    late = Worker("late", place.handle(), place.clock, since_s=0)
    await exchange(late)
    assert ("circuit_open", 3.5) == late.hindrance()  # with half a second of standing back

    await place.later(10)
    later = Worker("later", place.handle(), place.clock, since_s=0)
    await exchange(later)
    assert later.hindrance() is None


async def test_a_breaker_that_one_opens_is_open_for_the_other(place: Backend) -> None:
    one, two = await met(place)
    one.fail()
    assert two.hindrance() is None
    await exchange(one, two)

    assert ("circuit_open", 5.0) == one.hindrance()
    assert ("circuit_open", 5.5) == two.hindrance()


async def test_who_opened_it_tries_first_and_a_success_closes_it_for_all(place: Backend) -> None:
    one, two = await met(place)
    one.fail()
    await exchange(one, two)
    place.clock.at_s += 5.1
    assert one.hindrance() is None
    assert two.hindrance() is not None
    trial = one.health.enter(MODEL, CONNECTION)
    assert trial is not None
    await exchange(one, two)
    place.clock.at_s += 0.6
    assert ("circuit_open", 0.4) == two.hindrance()
    trial.end()
    await exchange(one, two)

    assert one.hindrance() is None
    assert two.hindrance() is None
    two.fail(2)
    assert two.hindrance() is None


async def test_a_trial_that_fails_keeps_it_open_for_all_and_longer(place: Backend) -> None:
    one, two = await met(place)
    one.fail()
    await exchange(one, two)
    place.clock.at_s += 5.1
    one.call(UpstreamFailed("still"))
    await exchange(one, two)

    assert ("circuit_open", 10.0) == one.hindrance()
    assert ("circuit_open", 10.5) == two.hindrance()


async def test_where_who_opened_it_has_no_calls_another_tries(place: Backend) -> None:
    one, two = await met(place)
    one.fail()
    await exchange(one, two)
    place.clock.at_s += 5.6
    assert two.hindrance() is None
    two.call()
    await exchange(two, one)

    assert one.hindrance() is None


async def test_a_close_does_not_undo_an_opening_that_came_after_it(place: Backend) -> None:
    one, two = await met(place)
    one.fail()
    await exchange(one, two)
    place.clock.at_s += 5.6
    one.call()
    place.clock.at_s += 0.1
    two.health.reset()
    two.fail()
    await one.sharing.exchange()
    await two.sharing.exchange()

    assert ("circuit_open", 5.0) == two.hindrance()


@pytest.mark.parametrize("skew_s", [0.0, 3600.0, -3600.0])
async def test_a_cooldown_is_everybodys_for_as_long_as_it_has_left_whatever_the_time_of_day(
    place: Backend, skew_s: float
) -> None:
    one, two = await met(place, skew_s=skew_s)
    one.call(RateLimited("slow", retry_after_s=20.0))
    place.clock.at_s += 4.0
    await exchange(one, two)

    found = two.hindrance()
    assert found is not None
    assert "rate_limit" == found[0]
    assert 12.0 - 0.25 <= found[1] <= 16.0
    error = two.health.hindrance(MODEL, CONNECTION)
    assert error is not None
    assert "slow" == str(error.error)


async def test_a_refused_credential_rests_for_those_who_have_it(place: Backend) -> None:
    one, two = await met(place, credential="another")
    three = Worker("third", place.handle(), place.clock)
    await exchange(three)
    one.call(UpstreamAuthFailed("who"))
    await exchange(one, two, three)

    assert two.hindrance() is None
    assert three.hindrance() is not None


async def test_what_was_told_before_its_gateway_was_started_is_not_a_workers_business(place: Backend) -> None:
    one = Worker("one", place.handle(), place.clock)
    await exchange(one)
    one.fail()
    await exchange(one)
    await place.later(1)
    two = Worker("other", place.handle(), place.clock, since_s=place.clock())
    await exchange(two)

    assert two.hindrance() is None


async def test_news_of_another_release_are_passed_over(place: Backend) -> None:
    one, two = await met(place)
    await place.handle().tell(TOPIC, b"\xc1 something else")
    one.fail()
    await exchange(one, two)

    assert two.hindrance() is not None


class Gone(MemoryState):
    gone = False

    async def tell(self, topic: str, message: bytes) -> None:
        if self.gone:
            raise SharedError("gone")
        await super().tell(topic, message)


async def test_what_could_not_be_told_is_told_when_the_state_is_back() -> None:
    clock = Clock()
    state = Gone(clock)
    one, two = Worker("one", state, clock), Worker("other", state, clock)
    await exchange(one, two)
    state.gone = True
    one.fail()
    with pytest.raises(SharedError):
        await one.sharing.exchange()
    assert ("circuit_open", 5.0) == one.hindrance()
    state.gone = False
    clock.at_s += 2.0
    await exchange(one, two)

    assert ("circuit_open", 3.5) == two.hindrance()


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(["good", "bad", "slow", "hear", "later"])), max_size=60
    )
)
async def test_workers_that_have_heard_everything_agree_on_what_can_be_asked(steps: list[tuple[int, str]]) -> None:
    """Once all openings and rests are over and heard, nobody is held up by what another one said."""
    clock = Clock()
    state = MemoryState(clock)
    workers = [Worker(name, state, clock) for name in ("a", "bb", "ccc")]
    await exchange(*workers)
    for number, step in steps:
        worker = workers[number]
        if step == "later":
            clock.at_s += 1.5
        elif step == "hear":
            await worker.sharing.exchange()
        elif worker.hindrance() is None:
            worker.call({"good": None, "bad": UpstreamFailed("500"), "slow": RateLimited("slow")}[step])
    await exchange(*workers)
    held = [worker.hindrance() is not None for worker in workers]
    if any(held):
        for worker in workers:
            found = worker.hindrance()
            assert found is None or found[1] <= 61.0
    clock.at_s += 62.0
    await exchange(*workers)

    assert [None] * 3 == [worker.hindrance() for worker in workers]
