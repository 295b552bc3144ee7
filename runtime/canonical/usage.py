"""Token counts in one convention: parts are disjoint, totals are sums."""

from __future__ import annotations

from typing import Literal

import msgspec

from runtime.canonical.base import Value

__all__ = ["Usage"]


class Usage(Value, frozen=True):
    """Tokens of one answer.

    ``input`` counts fresh input only: neither ``cache_read`` nor either cache write is inside it. ``output`` counts all
    that was generated, ``reasoning`` is the part of it that was thinking. Audio and image counts are parts of ``input``
    and ``output``. ``estimated`` says that a count of ours stands where the vendor gave none. ``tier`` is the one that the
    vendor says it served this in, where that may cost other than usual.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    accepted_prediction: int = 0
    rejected_prediction: int = 0
    search_requests: int = 0
    estimated: bool = False
    tier: Literal["", "flex", "priority", "fast"] = ""

    def __add__(self, other: Usage) -> Usage:
        """What two answers took together; an estimate in either makes one of the sum."""
        mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        counts = {name: count + theirs[name] for name, count in mine.items() if name != "tier"}
        return Usage(**{**counts, "estimated": self.estimated or other.estimated}, tier="")

    @property
    def total_input(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        return self.total_input + self.output
