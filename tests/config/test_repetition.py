"""A target that stands twice is called unreachable exactly where its strategy never takes the second one first."""

from __future__ import annotations

from random import Random

import pytest
from typing_extensions import override

from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.routing.base import Choice, View
from runtime.routing.strategies import STRATEGIES, strategy
from tests.config.catalog import CATALOG

TARGETS = ("openai/gpt-5", "deepseek/chat", "openai/gpt-5")


class Moment(View):
    """What is known of two models at one time; a session is at one of the targets, or at none."""

    def __init__(self, rng: Random) -> None:
        self._known = {name: tuple(rng.random() for _ in range(6)) for name in TARGETS}
        self._at = rng.randrange(-1, len(TARGETS))

    @override
    def in_flight(self, choice: Choice) -> int:
        return int(self._known[choice.name][0] * 4)

    @override
    def used(self, choice: Choice) -> int:
        return int(self._known[choice.name][1] * 4)

    @override
    def latency_s(self, choice: Choice) -> float | None:
        return self._known[choice.name][2]

    @override
    def success(self, choice: Choice) -> float:
        return self._known[choice.name][3]

    @override
    def ready(self, choice: Choice) -> bool:
        return self._known[choice.name][4] > 0.3

    @override
    def headroom(self, choice: Choice) -> float:
        return self._known[choice.name][5]

    @override
    def bound(self, choice: Choice) -> bool:
        return choice.key == self._at


def second_is_ever_first(name: str) -> bool:
    """Whether the third target is asked before the first in some of many requests."""
    order, rng = strategy(name), Random(1)
    choices = [
        Choice(key=key, name=each, price_nano_usd=len(each), context_tokens=len(each))
        for key, each in enumerate(TARGETS)
    ]
    for _ in range(300):
        keys = [choice.key for choice in order.order(choices, Moment(rng), rng)]
        if keys.index(2) < keys.index(0):
            return True
        reached = [choice for choice in choices if choice.key != 2]  # where the first was met, the third is passed over
        order.served(rng.choice(reached))
    return False


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_repetition_is_refused_where_it_has_no_turn_and_nowhere_else(name: str) -> None:
    text = f"version: 1\ncombos:\n  smart: {{strategy: {name}, targets: [{', '.join(TARGETS)}]}}\n"

    found = compile_plan([Source(MAIN, text.encode())], CATALOG).diagnostics

    refused = "unreachable-target" in [each.code for each in found]
    # there the larger weight wins, wherever it stands, and what is alike is left alone
    assert refused == (not second_is_ever_first(name) and name != "prefix-affinity")
