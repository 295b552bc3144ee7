"""A decision is a function of what was noted: the same again gives the same order, whatever the strategy."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import BreakerSettings, CooldownSettings
from generated.types.explain import Decision, DecisionInputs
from runtime.canonical import Usage
from runtime.catalog import Endpoint
from runtime.config.plan import Artefact
from runtime.errors import RateLimited, UpstreamFailed
from runtime.resilience import Health
from runtime.routing import Needs, RouteTable
from runtime.routing.deriving import NoDecisionError, derive
from runtime.routing.drawing import Draws
from runtime.routing.kept import kept_first
from runtime.routing.ordering import Chance, Noting
from runtime.routing.reasons import explain_call
from runtime.routing.steering import Steering
from runtime.routing.strategies import STRATEGIES
from runtime.routing.view import LiveView
from runtime.telemetry import CallRecord, Skipped
from tests.support.examples import few
from tests.support.pipeline import compiled
from tests.support.routing import Time

MODELS = tuple("abcde")


@cache
def artefact(strategy: str, connections: str = "random") -> Artefact:
    models = ", ".join(f"{model}: {{context: {1000 * (at + 1)}}}" for at, model in enumerate(MODELS))
    targets = ", ".join(f"{{model: p/{model}, weight: {at}}}" for at, model in enumerate(MODELS))
    plan = compiled(
        "providers: {p: {base_url: 'https://p.example', surfaces: {openai_chat: {}}, auth: {scheme: none}, "
        f"connections_strategy: {connections}, connections: [{{id: one}}, {{id: two}}], models: {{{models}}}}}}}\n"
        f"combos: {{inner: {{strategy: {strategy}, targets: [p/c, p/d]}}, "
        f"c0: {{strategy: {strategy}, targets: [{targets}, inner]}}}}"
    )
    return Artefact(build="b", compiler="c", plan=plan)


def no_needs() -> Needs:
    return Needs(uses=frozenset(), input_tokens=1, key="k")


def busy(health: Health, clock: Time, rng: Random) -> None:
    """Some calls on some lanes, ended in some way."""
    for _ in range(rng.randrange(30)):
        lane, connection = f"p/{rng.choice(MODELS)}", f"p/{rng.choice(('one', 'two'))}"
        ticket = health.enter(lane, connection)
        assert ticket is not None
        clock.now_s += rng.random()
        if rng.random() < 0.6:
            ticket.answered()
        if rng.random() < 0.7:
            ticket.end(rng.choice((None, None, UpstreamFailed("x"), RateLimited("x", retry_after_s=3.0))))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@few()
@given(seed=st.integers(0, 10**6), requests=st.integers(1, 5), taken=st.integers(0, 12))
def test_the_same_inputs_give_the_same_order(name: str, seed: int, requests: int, taken: int) -> None:
    made = artefact(name)
    rng, clock = Random(seed), Time()
    health = Health(BreakerSettings(), CooldownSettings(), {}, clock.clock)
    lit = dict.fromkeys(made.plan.connections)
    prepared = RouteTable(made.plan, lit).prepared("c0", "openai_chat", Endpoint.CHAT)
    chance = Chance(rng)
    for _ in range(requests):
        busy(health, clock, rng)
        record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0, key="k")
        record.model, record.surface, record.endpoint = "c0", "openai_chat", "chat"
        places = prepared.places(no_needs, Noting(LiveView(health), chance, record.trail).order)
        for place, _ in zip(places, range(taken), strict=False):
            place.served()

        told = msgspec.json.decode(
            msgspec.json.encode(explain_call(made, lit.keys(), record, lambda at_s: at_s)), type=Decision
        )
        derived = derive(made.plan, told.inputs)

        assert len(told.inputs.orderings) == len(derived)
        assert [each.noted for each in derived] == [each.now for each in derived]


def test_another_configuration_gives_another_order_and_says_so() -> None:
    inputs = DecisionInputs(
        build="b", name="gone", protocol="openai_chat", endpoint="chat", connections=[], orderings=[]
    )
    made = artefact("priority").plan
    assert () == derive(made, inputs)

    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0)
    record.model, record.surface, record.endpoint = "c0", "openai_chat", "chat"
    lit = dict.fromkeys(made.connections)
    health = Health(BreakerSettings(), CooldownSettings(), {}, Time().clock)
    order = Noting(LiveView(health), Chance(Random(1)), record.trail).order
    prepared = RouteTable(made, lit).prepared("c0", "openai_chat", Endpoint.CHAT)
    next(prepared.places(no_needs, order))
    told = explain_call(artefact("priority"), lit.keys(), record, lambda at_s: at_s)

    (changed, *_) = derive(artefact("p2c").plan, told.inputs)
    assert not changed.same
    assert "p2c" in (changed.problem or "")
    renamed = msgspec.structs.replace(told.inputs, name="none")
    assert "'none' does not exist" in (derive(made, renamed)[0].problem or "")


def test_what_happened_is_told_in_its_order() -> None:
    made = artefact("priority")
    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=10.0, key="k", decision="d-1")
    record.model, record.surface, record.endpoint = "c0", "openai_chat", "chat"
    record.note("session", "its session is at p/a", "p/a", "p/one")
    record.skip(Skipped("p/a", "p/a", "p/one", "rate_limit", 12.0))
    record.usage = Usage()
    record.served, record.connection, record.ended_s, record.status = "p/b", "p/two", 11.5, 200

    told = explain_call(made, {"p/one"}, record, lambda at_s: at_s + 1000)

    dark = [reason for reason in told.reasons if "dark" in reason.text]
    after = [reason.kind for reason in told.reasons if reason not in dark]
    assert ["resolve", "session", "left_out", "served"] == after
    assert {"p/two"} == {reason.connection for reason in dark}
    left = next(reason for reason in told.reasons if reason.kind == "left_out" and reason not in dark)
    assert ("p/a", "p/one", 1012.0) == (left.target, left.connection, left.until)
    assert (1010.0, 1500.0, "ok") == (told.at, told.duration_ms, told.outcome)


STEERINGS = st.builds(
    Steering,
    connections=st.sampled_from([{}, {"p": "p/one"}, {"p": "p/two"}, {"p": "p/gone"}]),
    target=st.sampled_from([None, "p/a", "p/c", "p/gone"]),
    keeps_target=st.booleans(),
)


def steered(name: str, steering: Steering, seed: int, *, session: str = "s-1") -> tuple[Artefact, Decision]:
    """A request of a session, told as a client reads it."""
    made, lit = artefact(name), dict.fromkeys(artefact(name).plan.connections)
    health = Health(BreakerSettings(), CooldownSettings(), {}, Time().clock)
    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0, key="k", session=session)
    record.model, record.surface, record.endpoint = "c0", "openai_chat", "chat"
    record.remembered = steering
    noting = Noting(LiveView(health, steering), Chance(Random(seed)), record.trail)
    order = kept_first(noting.order, steering, noting.kept)
    prepared = RouteTable(made.plan, lit).prepared("c0", "openai_chat", Endpoint.CHAT)
    for _ in prepared.places(no_needs, order):
        pass
    told = msgspec.json.encode(explain_call(made, lit.keys(), record, lambda at_s: at_s))
    return made, msgspec.json.decode(told, type=Decision)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@few()
@given(steering=STEERINGS, seed=st.integers(0, 99))
def test_what_a_session_decided_follows_again_from_its_inputs(name: str, steering: Steering, seed: int) -> None:
    made, told = steered(name, steering, seed)

    for derived in derive(made.plan, told.inputs):
        assert derived.same, derived
    if steering.connections.get("p") in {"p/one", "p/two"}:
        (first, *_) = [each for each in told.reasons if each.kind == "session" and each.connection]
        assert steering.connections["p"] == first.connection
        assert "the session s-1 " in first.text


def test_another_session_decides_otherwise() -> None:
    made, told = steered("priority", Steering(connections={"p": "p/two"}), 1)
    assert not isinstance(told.inputs.session, msgspec.UnsetType)
    elsewhere = msgspec.structs.replace(told.inputs.session, connections=["p/one"])
    changed = derive(made.plan, msgspec.structs.replace(told.inputs, session=elsewhere))
    without = derive(made.plan, msgspec.structs.replace(told.inputs, session=msgspec.UNSET))

    assert [(("p/two",), ("p/one",))] == list({(each.noted, each.now) for each in changed if not each.same})
    assert {((), False)} == {(each.now, each.same) for each in without if each.strategy == "session"}


EDITS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "p/a", "c0", "inner", "session", "priority", "in_flight"]), st.just([]), st.just({}),
)  # fmt: skip


def edited(draw: st.DrawFn, value: Any) -> Any:
    """``value`` with one place of it changed, put twice, or taken out."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: edited(draw, value[key])}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        match draw(st.sampled_from(["change", "drop", "twice"])):
            case "drop":
                return [*value[:at], *value[at + 1 :]]
            case "twice":
                return [*value, value[at]]
            case _:
                return [*value[:at], edited(draw, value[at]), *value[at + 1 :]]
    return draw(EDITS)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@few()
@given(data=st.data(), times=st.integers(1, 3))
def test_an_edited_decision_is_another_one_or_none(name: str, data: st.DataObject, times: int) -> None:
    made, told = steered(name, Steering(connections={"p": "p/two"}), 7)
    raw = msgspec.json.decode(msgspec.json.encode(told.inputs))
    for _ in range(times):
        raw = data.draw(st.composite(edited)(raw))
    try:
        inputs = msgspec.convert(raw, DecisionInputs)
    except msgspec.ValidationError:
        return
    with suppress(NoDecisionError):
        derive(made.plan, inputs)


@given(seed=st.integers(0, 2**64 - 1), bits=st.integers(1, 200))
def test_draws_are_the_same_for_a_seed(seed: int, bits: int) -> None:
    one, other = Draws(), Draws()
    one.begin(seed)
    other.random()
    other.begin(seed)
    assert one.getrandbits(bits) == other.getrandbits(bits)
    assert one.sample(range(9), 9) == other.sample(range(9), 9)
    assert 0.0 <= one.random() < 1.0


def test_draws_are_even() -> None:
    draws = Draws()
    counts = [0] * 8
    for seed in range(8000):
        draws.begin(seed)
        counts[draws.randrange(8)] += 1
    assert all(850 < count < 1150 for count in counts), counts
