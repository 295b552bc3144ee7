"""All that is known of a public name before a request comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from generated.config import HedgeSettings
from runtime.config.plan import SessionMode
from runtime.routing.candidate import Candidate
from runtime.routing.needs import Needs
from runtime.routing.tree import Branch, Order, Place, sole, walk

__all__ = ["Prepared"]


class Prepared(msgspec.Struct, frozen=True):
    """``candidates`` are all that could answer, as they are written; ``only`` is set where nothing is to be chosen.

    ``pin`` is the connection that the request demands. ``sessions`` says what makes a session; ``relays`` and ``affine``
    whether a strategy below keeps sessions at their target, or goes by how conversations begin; ``conversational`` whether
    what a request says has a part in where it goes, beside its name. ``rescue``, with
    ``buffer_limit_bytes``, and ``hedge`` are the combo's, whose name is ``combo``.
    """

    candidates: tuple[Candidate, ...]
    branch: Branch
    refusals: Literal["pass", "next"] = "pass"
    only: Place | None = None
    pin: str | None = None
    sessions: SessionMode = "named"
    relays: bool = False
    affine: bool = False
    rescue: Literal["none", "splice", "buffer"] = "none"
    buffer_limit_bytes: int = 0
    hedge: HedgeSettings | None = None
    combo: str = ""
    endpoint: str = ""
    conversational: bool = False

    @classmethod
    def of(cls, candidates: tuple[Candidate, ...], branch: Branch, refusals: Literal["pass", "next"]) -> Prepared:
        """With ``only`` found out."""
        return cls(candidates, branch, refusals, sole(branch))

    def pinned(self, connection: str) -> Prepared:
        """What of it goes over ``connection``. Raises ValueError where nothing does."""
        left = tuple(each for each in self.candidates if each.connection == connection)
        if not left:
            raise ValueError(connection)
        return msgspec.structs.replace(self, candidates=left, pin=connection)

    def places(self, needs: Callable[[], Needs], order: Order) -> Iterator[Place]:
        """The candidates in the order in which one request tries them, where more than one can be tried."""
        places = walk(self.branch, needs, order)
        return places if self.pin is None else (place for place in places if place.candidate.connection == self.pin)
