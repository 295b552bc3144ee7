"""As written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["Priority"]


class Priority(Strategy):
    """The first that can be asked answers. `fill-first` is the same rule: the first one is filled until it refuses."""

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        return choices
