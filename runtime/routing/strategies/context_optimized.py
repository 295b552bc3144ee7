"""The largest context first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["ContextOptimized"]


class ContextOptimized(Strategy):
    """By the input a target takes; those of which it is not known last; else as written."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return sorted(choices, key=lambda choice: -(choice.context_tokens or 0))
