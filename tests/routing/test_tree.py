"""Trees of combos: whatever is inside whatever, every target is reached, once."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import BreakerSettings, CooldownSettings, TargetConditions
from runtime.canonical import Base64Source, Image, JsonSchema, Message, ReasoningConfig, Request, Text, Tool, ToolResult
from runtime.catalog import Endpoint
from runtime.resilience import Health
from runtime.routing import Needs, RouteTable, read_needs
from runtime.routing.base import Choice
from runtime.routing.needs import meets
from runtime.routing.ordering import Chance, Noting
from runtime.routing.planting import MAX_UNLISTED
from runtime.routing.strategies import STRATEGIES
from runtime.routing.view import LATENCY_AGE_S, LiveView
from tests.support.pipeline import compiled
from tests.support.routing import Time

MODELS = tuple("abcd")


def table(combos: str) -> RouteTable:
    models = ", ".join(f"{model}: {{}}" for model in MODELS)
    plan = compiled(
        "providers: {p: {base_url: 'https://p.example', surfaces: {openai_chat: {}}, auth: {scheme: none}, "
        f"connections: [{{id: one}}, {{id: two}}], models: {{{models}}}}}}}\ncombos:\n{combos}"
    )
    return RouteTable(plan, dict.fromkeys(plan.connections))


def walked(routes: RouteTable, seed: int = 1) -> list[tuple[str, str]]:
    view = LiveView(Health(BreakerSettings(), CooldownSettings(), {}, Time().clock))
    prepared = routes.prepared("c0", "openai_chat", Endpoint.CHAT)
    needs = Needs(uses=frozenset(), input_tokens=1, key="k")
    places = prepared.places(lambda: needs, Noting(view, Chance(Random(seed)), []).order)
    return [(place.candidate.id, place.candidate.connection) for place in places]


MEMBERS = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)
SHAPES = st.lists(st.tuples(st.sampled_from(sorted(STRATEGIES)), MEMBERS), min_size=1, max_size=5)


@given(shape=SHAPES, seed=st.integers(0, 99))
def test_every_target_below_is_reached_exactly_once(shape: list[tuple[str, list[int]]], seed: int) -> None:
    """A member below 4 is a model, another one the combo so many further on, if there is one."""
    lines = ""
    below: dict[int, set[str]] = {}
    for number, (name, members) in reversed(list(enumerate(shape))):
        further = [number + member - 3 for member in members if member > 3 and number + member - 3 < len(shape)]
        models = [MODELS[member] for member in members if member < 4] or ([] if further else ["a"])
        below[number] = {*models, *(model for inner in further for model in below[inner])}
        targets = ", ".join([f"p/{model}" for model in models] + [f"c{inner}" for inner in further])
        lines += f"  c{number}: {{strategy: {name}, targets: [{targets}]}}\n"

    found = walked(table(lines), seed)

    assert sorted(found) == sorted((f"p/{model}", f"p/{way}") for model in below[0] for way in ("one", "two"))


def test_combos_that_share_combos_cost_no_more_than_what_they_hold() -> None:
    """Twenty-five levels, each holding the next one twice: 2**25 ways to one model."""
    lines = "".join(f"  c{level}: {{targets: [c{level + 1}, {{model: c{level + 1}}}]}}\n" for level in range(25))

    assert [("p/a", "p/one"), ("p/a", "p/two")] == walked(table(lines + "  c25: {targets: [p/a]}\n"))


def test_a_connection_that_an_outer_combo_demands_holds_for_all_below() -> None:
    lines = "  c0: {targets: [{model: c1, connection: two}]}\n  c1: {targets: [p/a, p/b]}\n"

    assert [("p/a", "p/two"), ("p/b", "p/two")] == walked(table(lines))


# -- what conditions look at

IMAGE = Image(source=Base64Source(media_type="image/png", data="aGk="))


@pytest.mark.parametrize(
    ("changes", "uses"),
    [
        ({}, set()),
        ({"tools": (Tool(name="f"),)}, {"tools"}),
        ({"stream": True}, {"streaming"}),
        ({"response_format": JsonSchema(schema="{}")}, {"json_schema"}),
        ({"reasoning": ReasoningConfig(effort="high")}, {"reasoning"}),
        ({"reasoning": ReasoningConfig(mode="off")}, set()),
        ({"messages": (Message(role="user", content=(IMAGE,)),)}, {"vision"}),
        ({"messages": (Message(role="tool", content=(ToolResult(call_id="1", content=(IMAGE,)),)),)}, {"vision"}),
    ],
)
def test_needs_are_what_a_request_uses(changes: dict[str, object], uses: set[str]) -> None:
    fields = {"model": "m", "messages": (Message(role="user", content=(Text(text="hi"),)),)} | changes

    assert uses == read_needs(Request(**fields), 1, "k").uses  # type: ignore[arg-type]


@given(tokens=st.integers(0, 100), least=st.none() | st.integers(1, 100), most=st.none() | st.integers(1, 100))
def test_all_conditions_of_a_target_must_hold(tokens: int, least: int | None, most: int | None) -> None:
    when = TargetConditions(needs=("tools",), min_input_tokens=least, max_input_tokens=most, keys=("k",))
    fits = (least is None or tokens >= least) and (most is None or tokens <= most)

    assert fits is meets(Needs(uses=frozenset({"tools", "vision"}), input_tokens=tokens, key="k"), when)
    assert not meets(Needs(uses=frozenset({"vision"}), input_tokens=tokens, key="k"), when)
    assert not meets(Needs(uses=frozenset({"tools"}), input_tokens=tokens, key="other"), when)


# -- what strategies look at


def test_a_choice_of_several_lanes_is_as_busy_as_all_and_as_good_as_the_best() -> None:
    time = Time()
    health = Health(BreakerSettings(), CooldownSettings(), {}, time.clock)
    view, choice = LiveView(health), Choice(key=0, name="c", lanes=(("m", "x"), ("n", "x")))
    for model, took_s in (("m", 2.0), ("n", 0.5)):
        ticket = health.enter(model, "x")
        assert ticket is not None
        time.now_s += took_s
        ticket.answered()

    assert (2, 2, 0.5, 1.0) == (view.in_flight(choice), view.used(choice), view.latency_s(choice), view.success(choice))
    assert view.ready(choice)
    time.now_s += LATENCY_AGE_S + 1
    assert view.latency_s(choice) is None


def test_models_that_nobody_listed_have_their_own_health_up_to_a_number() -> None:
    plan = compiled(
        "providers: {p: {base_url: 'https://p.example', surfaces: {openai_chat: {}}, auth: {scheme: none}, "
        "open_models: true, models: {listed: {}}}}"
    )
    routes = RouteTable(plan, dict.fromkeys(plan.connections))

    def names(model: str) -> tuple[str, str]:
        (found,) = routes.candidates(model, "openai_chat", Endpoint.CHAT)
        return found.lane, found.label

    assert ("p/first", "p/*") == names("p/first")
    for number in range(MAX_UNLISTED):
        names(f"p/made-up-{number}")
    assert ("p/*", "p/*") == names("p/one-more")
    assert ("p/first", "p/*") == names("p/first")
    assert ("p/listed", "p/listed") == names("p/listed")
