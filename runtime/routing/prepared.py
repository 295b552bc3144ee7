"""All that is known of a public name before a request comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Literal

import msgspec

from runtime.routing.base import View
from runtime.routing.candidate import Candidate
from runtime.routing.needs import Needs
from runtime.routing.tree import Branch, Place, sole, walk

__all__ = ["Prepared"]


class Prepared(msgspec.Struct, frozen=True):
    """``candidates`` are all that could answer, as they are written; ``only`` is set where nothing is to be chosen."""

    candidates: tuple[Candidate, ...]
    branch: Branch
    refusals: Literal["pass", "next"] = "pass"
    only: Place | None = None

    @classmethod
    def of(cls, candidates: tuple[Candidate, ...], branch: Branch, refusals: Literal["pass", "next"]) -> Prepared:
        """With ``only`` found out."""
        return cls(candidates, branch, refusals, sole(branch))

    @property
    def size(self) -> int:
        return len(self.candidates)

    def places(self, needs: Callable[[], Needs], view: View, rng: Random) -> Iterator[Place]:
        """The candidates in the order in which one request tries them."""
        return iter((self.only,)) if self.only is not None else walk(self.branch, needs, view, rng)
