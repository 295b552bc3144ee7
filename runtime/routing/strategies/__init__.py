"""The strategies by the words of the configuration, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from generated.config import AutoFactors
from runtime.routing.base import Strategy
from runtime.routing.strategies.auto import Auto
from runtime.routing.strategies.conditional import Conditional
from runtime.routing.strategies.context_optimized import ContextOptimized
from runtime.routing.strategies.context_relay import ContextRelay
from runtime.routing.strategies.cost_optimized import CostOptimized
from runtime.routing.strategies.last_known_good import LastKnownGood
from runtime.routing.strategies.least_used import LeastUsed
from runtime.routing.strategies.lowest_latency import LowestLatency
from runtime.routing.strategies.p2c import PowerOfTwo
from runtime.routing.strategies.prefix_affinity import PrefixAffinity
from runtime.routing.strategies.priority import Priority
from runtime.routing.strategies.random_order import RandomOrder
from runtime.routing.strategies.round_robin import RoundRobin
from runtime.routing.strategies.strict_random import StrictRandom
from runtime.routing.strategies.weighted import Weighted

__all__ = ["STRATEGIES", "strategy"]

STRATEGIES: Final[Mapping[str, Callable[[], Strategy]]] = MappingProxyType(
    {
        "priority": Priority,
        "fill-first": Priority,
        "weighted": Weighted,
        "round-robin": RoundRobin,
        "random": RandomOrder,
        "strict-random": StrictRandom,
        "least-used": LeastUsed,
        "p2c": PowerOfTwo,
        "cost-optimized": CostOptimized,
        "context-optimized": ContextOptimized,
        "lowest-latency": LowestLatency,
        "last-known-good": LastKnownGood,
        "auto": Auto,
        "conditional": Conditional,
        "context-relay": ContextRelay,
        "prefix-affinity": PrefixAffinity,
    }
)
"""Each call makes a strategy with a memory of its own."""


def strategy(name: str, factors: AutoFactors | None = None, handoff_percent: int = 100) -> Strategy:
    """A new strategy by its ``name``; ``factors`` are for `auto`, ``handoff_percent`` is for `context-relay`."""
    if name == "context-relay":
        return ContextRelay(handoff_percent)
    return Auto(factors) if name == "auto" else STRATEGIES[name]()
