"""What is remembered of one session."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["Bound", "Session"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """``connections`` by provider, ``targets`` (models by public id) by the name that was asked for.

    ``key`` is the id of the client key whose session it is. Times are Unix seconds; ``last_s`` and ``requests`` lag behind by a
    minute at most, and by what a worker counted that ended.
    """

    key: str
    id: str
    created_s: float
    last_s: float
    requests: int = 0
    connections: dict[str, str] = {}
    targets: dict[str, str] = {}


class Bound(msgspec.Struct, frozen=True):
    """One thing that a session is to be bound to: ``now`` in the place of ``before``. ``at`` is a provider, or a name."""

    at: str
    before: str | None
    now: str

    def within(self, bound: Mapping[str, str], most: int) -> dict[str, str]:
        """``bound`` with this, unless somebody else has bound it meanwhile: of ``most`` entries those that are newest."""
        if bound.get(self.at) not in {None, self.before}:
            return dict(bound)
        kept = {at: value for at, value in bound.items() if at != self.at}
        return dict([*kept.items(), (self.at, self.now)][-most:])
