"""Every strategy keeps its rule, whatever the choices and whatever is known of them."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import AutoFactors, ComboSettings, ProviderSettings
from runtime.routing.base import Choice, Strategy
from runtime.routing.strategies import STRATEGIES, strategy
from tests.support.examples import few


class Known(msgspec.Struct):
    in_flight: int = 0
    used: int = 0
    latency_s: float | None = None
    success: float = 1.0
    ready: bool = True
    headroom: float = 1.0
    bound: bool = False


class FakeView:
    def __init__(self, known: Mapping[int, Known]) -> None:
        self.known = known

    def in_flight(self, choice: Choice) -> int:
        return self.known[choice.key].in_flight

    def used(self, choice: Choice) -> int:
        return self.known[choice.key].used

    def latency_s(self, choice: Choice) -> float | None:
        return self.known[choice.key].latency_s

    def success(self, choice: Choice) -> float:
        return self.known[choice.key].success

    def ready(self, choice: Choice) -> bool:
        return self.known[choice.key].ready

    def headroom(self, choice: Choice) -> float:
        return self.known[choice.key].headroom

    def bound(self, choice: Choice) -> bool:
        return self.known[choice.key].bound


KNOWN = st.builds(
    Known,
    in_flight=st.integers(0, 5),
    used=st.integers(0, 20),
    latency_s=st.none() | st.floats(0.001, 10),
    success=st.floats(0, 1),
    ready=st.booleans(),
    headroom=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    bound=st.booleans(),
)
ABOUT = st.tuples(st.integers(0, 5), st.booleans(), st.none() | st.integers(0, 9), st.none() | st.integers(1, 9), KNOWN)
SCENES = st.lists(ABOUT, min_size=1, max_size=6)
Scene = Sequence[tuple[int, bool, int | None, int | None, Known]]


def choices(scene: Scene) -> tuple[tuple[Choice, ...], FakeView]:
    made = tuple(
        Choice(key=key, name=f"m{key}", weight=weight, conditional=when, price_nano_usd=price, context_tokens=context)
        for key, (weight, when, price, context, _) in enumerate(scene)
    )
    return made, FakeView({key: item[4] for key, item in enumerate(scene)})


def plain(count: int) -> tuple[tuple[Choice, ...], FakeView]:
    return choices([(1, False, None, None, Known())] * count)


def keys(ordered: Iterable[Choice]) -> list[int]:
    return [choice.key for choice in ordered]


def firsts(made: Strategy, scene: tuple[tuple[Choice, ...], FakeView], count: int, seed: int = 7) -> list[int]:
    rng = Random(seed)
    return [keys(made.order(*scene, rng))[0] for _ in range(count)]


def test_the_configuration_offers_exactly_these() -> None:
    offered = typing.get_args(typing.get_type_hints(ComboSettings)["strategy"])

    assert sorted(STRATEGIES) == sorted(offered)
    assert set(typing.get_args(typing.get_type_hints(ProviderSettings)["connections_strategy"])) <= set(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
@few()
@given(scene=SCENES, seed=st.integers(0, 99))
def test_every_choice_comes_exactly_once(name: str, scene: Scene, seed: int) -> None:
    made, rng = strategy(name), Random(seed)

    for _ in range(3):
        assert sorted(keys(made.order(*choices(scene), rng))) == list(range(len(scene)))


@pytest.mark.parametrize("name", STRATEGIES)
@few()
@given(scene=SCENES, seed=st.integers(0, 99), data=st.data())
def test_choices_may_come_and_go_between_requests(name: str, scene: Scene, seed: int, data: st.DataObject) -> None:
    """Conditions hold for one request and not for the next."""
    made, rng = strategy(name), Random(seed)
    every, view = choices(scene)

    for _ in range(4):
        some = [choice for choice in every if data.draw(st.booleans())] or every[:1]
        ordered = list(made.order(tuple(some), view, rng))
        assert sorted(keys(ordered)) == keys(some)
        made.served(ordered[0])


@pytest.mark.parametrize("name", ["priority", "fill-first"])
@given(scene=SCENES)
def test_priority_is_the_order_written(name: str, scene: Scene) -> None:
    assert keys(strategy(name).order(*choices(scene), Random(1))) == list(range(len(scene)))


@given(scene=SCENES)
def test_weighted_never_draws_weight_nothing_before_weight(scene: Scene) -> None:
    weights = [scene[key][0] for key in keys(strategy("weighted").order(*choices(scene), Random(1)))]

    assert [weight > 0 for weight in weights] == sorted((weight > 0 for weight in weights), reverse=True)


def test_weighted_shares_by_weight_also_when_the_first_is_out() -> None:
    scene = choices([(weight, False, None, None, Known()) for weight in (6, 3, 1)])
    rng = Random(3)
    orders = [keys(strategy("weighted").order(*scene, rng)) for _ in range(4000)]
    first = Counter(order[0] for order in orders)
    second = Counter(next(key for key in order if key != 0) for order in orders)

    assert [0.6, 0.3, 0.1] == pytest.approx([first[key] / 4000 for key in range(3)], abs=0.03)
    assert [0.75, 0.25] == pytest.approx([second[key] / 4000 for key in (1, 2)], abs=0.03)


@given(count=st.integers(1, 6))
def test_round_robin_goes_round(count: int) -> None:
    made = strategy("round-robin")

    assert firsts(made, plain(count), 3 * count) == list(range(count)) * 3


def test_random_gives_each_an_equal_share() -> None:
    first = Counter(firsts(strategy("random"), plain(4), 4000))

    assert [0.25] * 4 == pytest.approx([first[key] / 4000 for key in range(4)], abs=0.03)


@given(count=st.integers(2, 6), seed=st.integers(0, 999))
def test_strict_random_deals_each_once_per_round_and_none_twice_running(count: int, seed: int) -> None:
    dealt = firsts(strategy("strict-random"), plain(count), 4 * count, seed)

    for start in range(0, len(dealt), count):
        assert sorted(dealt[start : start + count]) == list(range(count))
    assert all(one != other for one, other in pairwise(dealt))


@given(scene=SCENES)
def test_least_used_is_the_least_busy_then_the_least_used(scene: Scene) -> None:
    made, view = choices(scene)
    loads = [(view.in_flight(each), view.used(each)) for each in strategy("least-used").order(made, view, Random(1))]

    assert loads == sorted(loads)


@given(scene=SCENES, seed=st.integers(0, 99))
def test_p2c_never_puts_the_worse_of_its_two_first(scene: Scene, seed: int) -> None:
    made, view = choices(scene)
    ordered = list(strategy("p2c").order(made, view, Random(seed)))

    if any(view.ready(choice) for choice in made):
        assert view.ready(ordered[0])
    if len(ordered) > 1 and view.ready(ordered[0]) == view.ready(ordered[1]):
        assert _cost(view, ordered[0]) <= _cost(view, ordered[1])


def _cost(view: FakeView, choice: Choice) -> float:
    return (view.in_flight(choice) + 1) * (view.latency_s(choice) or 0.001) / max(view.success(choice), 0.01)


def test_p2c_spreads_over_all_of_equal_worth() -> None:
    first = Counter(firsts(strategy("p2c"), plain(5), 5000))

    assert [0.2] * 5 == pytest.approx([first[key] / 5000 for key in range(5)], abs=0.03)


@given(scene=SCENES)
def test_cost_optimized_is_cheapest_first_and_unknown_last(scene: Scene) -> None:
    prices = [scene[key][2] for key in keys(strategy("cost-optimized").order(*choices(scene), Random(1)))]

    assert prices == sorted(prices, key=lambda price: (price is None, price or 0))


@given(scene=SCENES)
def test_context_optimized_is_largest_first_and_unknown_last(scene: Scene) -> None:
    contexts = [scene[key][3] or 0 for key in keys(strategy("context-optimized").order(*choices(scene), Random(1)))]

    assert contexts == sorted(contexts, reverse=True)


@given(scene=SCENES)
def test_lowest_latency_measures_the_unmeasured_and_then_takes_the_fastest(scene: Scene) -> None:
    made, view = choices(scene)
    latencies = [view.latency_s(each) for each in strategy("lowest-latency").order(made, view, Random(1))]

    assert latencies == sorted(latencies, key=lambda latency_s: latency_s or 0.0)


@given(count=st.integers(1, 6), data=st.data())
def test_last_known_good_is_who_answered_last(count: int, data: st.DataObject) -> None:
    made, (every, view) = strategy("last-known-good"), plain(count)
    good = data.draw(st.integers(0, count - 1))
    assert keys(made.order(every, view, Random(1))) == list(range(count))

    made.served(every[good])

    assert keys(made.order(every, view, Random(1))) == [good, *(key for key in range(count) if key != good)]


@given(scene=SCENES)
def test_conditional_puts_targets_whose_conditions_hold_before_the_catch_alls(scene: Scene) -> None:
    ordered = keys(strategy("conditional").order(*choices(scene), Random(1)))

    assert ordered == sorted(range(len(scene)), key=lambda key: not scene[key][1])


FACTORS: Mapping[str, Callable[[Any], float]] = {
    "cost": lambda item: 9 - item[2] if item[2] is not None else -1,
    "context": lambda item: item[3] or 0,
    "load": lambda item: -item[4].in_flight,
    "success": lambda item: item[4].success,
}


@pytest.mark.parametrize("factor", FACTORS)
@given(scene=SCENES)
def test_auto_with_one_factor_puts_its_best_first(factor: str, scene: Scene) -> None:
    made, view = choices(scene)
    factors = AutoFactors(**{factor: 2.0})
    first = next(iter(strategy("auto", factors).order(made, view, Random(1))))
    able = [item for item in scene if item[4].ready] or scene
    of = FACTORS[factor]

    assert of(scene[first.key]) == max(of(item) for item in able)


@given(scene=SCENES)
def test_auto_by_latency_prefers_the_fastest_and_the_unmeasured(scene: Scene) -> None:
    made, view = choices(scene)
    first = next(iter(strategy("auto", AutoFactors(latency=1)).order(made, view, Random(1))))
    able = [item[4].latency_s for item in scene if item[4].ready] or [item[4].latency_s for item in scene]
    known = [latency_s for latency_s in able if latency_s is not None]

    assert view.latency_s(first) in {None, min(known, default=None)}


def test_auto_weighs_its_factors() -> None:
    """Twice the price against half the context: the heavier weight decides."""
    scene = choices([(1, False, 10, 100, Known()), (1, False, 5, 50, Known())])

    assert 0 == firsts(strategy("auto", AutoFactors(context=2, cost=1)), scene, 1)[0]
    assert 1 == firsts(strategy("auto", AutoFactors(context=1, cost=2)), scene, 1)[0]


@pytest.mark.parametrize("name", ["auto", "p2c"])
def test_what_cannot_be_asked_now_comes_after_what_can(name: str) -> None:
    scene = choices([(1, False, 1, 9, Known(ready=False)), (1, False, 9, 1, Known(in_flight=5))])

    assert [1] * 20 == firsts(strategy(name), scene, 20)


# -- conversations


def affine(weights: Mapping[str, int], conversation: int) -> list[str]:
    made = [Choice(key=key, name=name, weight=weight) for key, (name, weight) in enumerate(weights.items())]
    view = FakeView({choice.key: Known() for choice in made})
    return [choice.name for choice in strategy("prefix-affinity").order(made, view, Random(conversation))]


NAMES = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=8, unique=True)


@given(names=NAMES, gone=st.integers(0, 7), conversations=st.lists(st.integers(), min_size=1, max_size=20))
def test_one_that_leaves_moves_only_its_own_conversations(
    names: list[str], gone: int, conversations: list[int]
) -> None:
    """The others keep their order among themselves, for every conversation: what one loses goes to who was second."""
    left = [name for name in names if name != names[gone % len(names)]]
    for conversation in conversations:
        before = affine(dict.fromkeys(names, 1), conversation)
        assert [name for name in before if name in left] == affine(dict.fromkeys(left, 1), conversation)
        assert before == affine(dict.fromkeys(reversed(names), 1), conversation)


def test_conversations_spread_by_weight() -> None:
    counted = Counter(affine({"a": 1, "b": 2, "c": 1, "never": 0}, conversation)[0] for conversation in range(4000))

    assert {"a", "b", "c"} == counted.keys()
    assert 1850 < counted["b"] < 2150
    assert 850 < counted["a"] < 1150


@given(
    count=st.integers(1, 6),
    percent=st.integers(1, 100),
    steps=st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=6, max_size=6), min_size=1, max_size=12),
)
def test_a_relay_keeps_its_session_until_its_quota_ends_and_never_comes_back_by_itself(
    count: int, percent: int, steps: list[list[float]]
) -> None:
    """Whoever answers is where the session is next time. It moves only off one that is used up, to the next that is not."""
    made, at = strategy("context-relay", handoff_percent=percent), 0
    for headrooms in steps:
        chosen = tuple(Choice(key=key, name=f"m{key}") for key in range(count))
        known = {key: Known(headroom=headrooms[key], bound=key == at) for key in range(count)}
        ordered = keys(made.order(chosen, FakeView(known), Random(0)))
        fit = [round(headrooms[key] * 100) > 100 - percent for key in range(count)]
        round_ = [(at + step) % count for step in range(count)]

        assert next((key for key in round_ if fit[key]), at) == ordered[0]
        at = ordered[0]


def test_a_relay_without_a_session_begins_as_written() -> None:
    assert [0, 1, 2] == keys(strategy("context-relay").order(*plain(3), Random(0)))
