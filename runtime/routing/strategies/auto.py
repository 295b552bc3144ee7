"""The best by declared factors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Final

import msgspec
from typing_extensions import override

from generated.config import AutoFactors
from runtime.routing.base import Choice, Strategy, View

__all__ = ["Auto"]

_EVEN: Final = AutoFactors(success=1, latency=1, load=1, cost=1, context=1, order=1)

_LITTLE: Final = 1e-6


class Auto(Strategy):
    """The largest sum of weight times factor first; each factor is at most 1, which is the best. Else as written.

    What is not known counts as the best for latency, so that it gets measured, and as nothing for cost and context.
    Choices that cannot be asked now come last.
    """

    def __init__(self, factors: AutoFactors | None = None) -> None:
        weights: Mapping[str, float] = msgspec.structs.asdict(factors if factors is not None else _EVEN)
        self._weights = {name: weight for name, weight in weights.items() if weight}

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        scores = dict.fromkeys((choice.key for choice in choices), 0.0)
        for name, weight in self._weights.items():
            for choice, value in zip(choices, _FACTORS[name](choices, view), strict=True):
                scores[choice.key] += weight * value
        return sorted(choices, key=lambda choice: (not view.ready(choice), -scores[choice.key]))


def _success(choices: Sequence[Choice], view: View) -> list[float]:
    return [view.success(choice) for choice in choices]


def _latency(choices: Sequence[Choice], view: View) -> list[float]:
    return _smallest_best([view.latency_s(choice) for choice in choices], unknown=1.0)


def _load(choices: Sequence[Choice], view: View) -> list[float]:
    return [1 / (1 + view.in_flight(choice)) for choice in choices]


def _cost(choices: Sequence[Choice], _: View) -> list[float]:
    return _smallest_best([choice.price_nano_usd for choice in choices], unknown=0.0)


def _context(choices: Sequence[Choice], _: View) -> list[float]:
    largest = max(choice.context_tokens or 0 for choice in choices) or 1
    return [(choice.context_tokens or 0) / largest for choice in choices]


def _order(choices: Sequence[Choice], _: View) -> list[float]:
    return [1 - index / len(choices) for index in range(len(choices))]


def _smallest_best(values: Sequence[float | None], unknown: float) -> list[float]:
    """The smallest is 1, one twice as large a half. Beside a smallest of 0 the others still differ."""
    best = min((value for value in values if value is not None), default=0.0)
    return [unknown if value is None else (best + _LITTLE) / (value + _LITTLE) for value in values]


_FACTORS: Final[Mapping[str, Callable[[Sequence[Choice], View], list[float]]]] = MappingProxyType(
    {
        "success": _success,
        "latency": _latency,
        "load": _load,
        "cost": _cost,
        "context": _context,
        "order": _order,
    }
)
