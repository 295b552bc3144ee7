"""The better of two drawn at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["PowerOfTwo"]


class PowerOfTwo(Strategy):
    """Two are drawn among those that can be asked, and the better one is first, the other second; then the rest, at random.

    Better is the smaller product of load, latency and failures. Two draws spread load nearly as well as a look at all,
    and do not send every request to the one that was best a moment ago.
    """

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        drawn = rng.sample(choices, len(choices))
        drawn.sort(key=view.ready, reverse=True)  # stable: those that are ready stay in their random order
        first = sorted(drawn[:2], key=lambda choice: (not view.ready(choice), _cost(choice, view)))
        return (*first, *drawn[2:])


def _cost(choice: Choice, view: View) -> float:
    """Smaller is better. One that was never measured is taken to be fast, so that it gets measured."""
    latency_s = view.latency_s(choice) or 0.001
    return (view.in_flight(choice) + 1) * latency_s / max(view.success(choice), 0.01)
