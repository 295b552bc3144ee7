"""What is remembered of providers, and for how long."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import BreakerSettings, CooldownSettings, RetrySettings
from runtime.errors import (
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    OutOfFiles,
    RateLimited,
    TooLarge,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from runtime.resilience import Health, Step, backoff_s, judge
from tests.support.routing import Time


def health(time: Time, **breakers: object) -> Health:
    return Health(BreakerSettings(**breakers), CooldownSettings(), {"busy": 1}, time.clock)  # type: ignore[arg-type]


def call(made: Health, model: str, connection: str, error: GatewayError | None = None) -> None:
    ticket = made.enter(model, connection)
    assert ticket is not None
    ticket.end(error)
    ticket.end(UpstreamFailed("a second end is no event"))


STEPS = [
    (OutOfFiles("none"), Step.STOP), (InvalidRequest("bad"), Step.STOP), (TooLarge("big"), Step.STOP), (ContextTooLong("long"), Step.LARGER),
    (ContentRefused("no"), Step.REFUSED), (RateLimited("slow"), Step.LATER), (ModelNotFound("who"), Step.ELSEWHERE),
    (UpstreamAuthFailed("who"), Step.ELSEWHERE), (UpstreamQuotaExceeded("empty"), Step.ELSEWHERE),
    (UpstreamUnavailable("reset"), Step.AGAIN), (UpstreamFailed("500"), Step.AGAIN),
    (UpstreamOverloaded("529"), Step.AGAIN), (UpstreamProtocolError("html"), Step.AGAIN),
    (UpstreamProtocolError("405", upstream_status=405), Step.ELSEWHERE), (UpstreamTimeout("silent"), Step.BEYOND), (UpstreamTimeout("it said 504", upstream_status=504), Step.AGAIN),
]  # fmt: skip


@pytest.mark.parametrize(("error", "step"), STEPS, ids=lambda item: getattr(item, "kind", None))
def test_every_error_says_how_a_request_goes_on(error: GatewayError, step: Step) -> None:
    assert step is judge(error).step


def test_fault_43_our_own_lack_of_files_opens_no_breaker() -> None:
    made = health(Time(), minimum_calls=3)
    for _ in range(20):
        call(made, "a/m", "a/c", OutOfFiles("none left"))

    assert made.hindrance("a/m", "a/c") is None
    assert 1.0 == made.lane("a/m", "a/c").success


def test_a_model_that_fails_is_left_alone_over_every_connection_and_its_neighbour_is_not() -> None:
    time = Time()
    made = health(time, minimum_calls=3)
    for _ in range(3):
        call(made, "p/m", "p/a", UpstreamFailed("500"))

    found = made.hindrance("p/m", "p/b")
    assert found is not None
    assert "circuit_open" == found.reason
    assert made.hindrance("p/n", "p/a") is None
    time.now_s = found.due_s
    assert made.hindrance("p/m", "p/b") is None


def test_breakers_that_are_to_be_ignored_never_open() -> None:
    made = health(Time(), mode="ignore", minimum_calls=1)
    for _ in range(50):
        call(made, "p/m", "p/a", UpstreamFailed("500"))

    assert made.hindrance("p/m", "p/a") is None


@pytest.mark.parametrize("error", [InvalidRequest("bad"), ContextTooLong("long"), RateLimited("slow"), None])
def test_clients_faults_and_limits_open_no_breaker(error: GatewayError | None) -> None:
    made = health(Time(), minimum_calls=1)
    for _ in range(20):
        call(made, "p/m", "p/a", error)

    found = made.hindrance("p/m", "p/a")
    assert found is None or "circuit_open" != found.reason


def test_a_refused_credential_rests_the_connection_and_a_refused_permission_the_model() -> None:
    made = health(Time())
    call(made, "p/m", "p/a", UpstreamAuthFailed("401", upstream_status=401))
    call(made, "p/m", "p/b", UpstreamAuthFailed("403", upstream_status=403))

    assert made.hindrance("p/n", "p/a") is not None
    assert made.hindrance("p/n", "p/b") is None
    assert made.hindrance("p/m", "p/b") is not None


def test_calls_that_were_given_up_say_nothing_about_the_provider() -> None:
    made = health(Time(), minimum_calls=1)
    for _ in range(20):
        ticket = made.enter("p/m", "p/a")
        assert ticket is not None
        ticket.abandon()

    assert made.hindrance("p/m", "p/a") is None
    assert (0, 1.0) == (made.lane("p/m", "p/a").in_flight, made.lane("p/m", "p/a").success)


def test_an_answer_that_begins_passes_the_trial_before_it_ends() -> None:
    time = Time()
    made = health(time, minimum_calls=1, open_for_ms=1000)
    call(made, "p/m", "p/a", UpstreamFailed("500"))
    time.now_s += 1
    ticket = made.enter("p/m", "p/a")
    assert ticket is not None
    assert made.hindrance("p/m", "p/a") is not None

    ticket.answered()

    assert made.hindrance("p/m", "p/a") is None


def test_breakers_that_are_put_off_and_on_again_are_those_of_targets_that_were_asked_before() -> None:
    made = health(Time(), minimum_calls=1)
    call(made, "p/m", "p/a")
    made.configure(BreakerSettings(mode="ignore"), CooldownSettings())
    call(made, "p/m", "p/a", UpstreamFailed("500"))
    assert made.hindrance("p/m", "p/a") is None

    made.configure(BreakerSettings(minimum_calls=1), CooldownSettings())
    call(made, "p/m", "p/a", UpstreamFailed("500"))

    assert made.hindrance("p/m", "p/a") is not None
    assert made.hindrance("p/m", "p/b") is not None, "the model's, whatever the connection"


def test_latency_is_the_time_to_the_first_byte() -> None:
    time = Time()
    made = health(time)
    ticket = made.enter("p/m", "p/a")
    assert ticket is not None
    time.now_s += 0.25
    ticket.answered()
    time.now_s += 9
    ticket.end()

    assert 0.25 == made.lane("p/m", "p/a").latency_s


def test_places_are_given_back_however_a_call_ends() -> None:
    made = health(Time())
    for end in ("end", "abandon"):
        ticket = made.enter("p/m", "busy")
        assert ticket is not None
        assert made.enter("p/m", "busy") is None
        getattr(ticket, end)()
    assert made.enter("p/m", "busy") is not None


@given(retry=st.integers(1, 50), seed=st.integers(0, 99))
def test_backoff_is_a_part_of_a_wait_that_doubles_up_to_its_limit(retry: int, seed: int) -> None:
    wait_s = backoff_s(RetrySettings(backoff_ms=100, max_backoff_ms=2000), retry, Random(seed))

    assert 0 <= wait_s <= min(0.1 * 2 ** (retry - 1), 2.0)
