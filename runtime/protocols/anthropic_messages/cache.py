"""Cache marks on the wire: how long they last, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from generated.types.anthropic_messages import CacheControl
from runtime.canonical import CacheMark

__all__ = ["MAX_MARKS", "Marked", "control", "thin_out"]

MAX_MARKS: Final = 4
"""The vendor refuses a request with more."""

_SHORT_S: Final = 300


class Marked(Protocol):
    """A wire value that can carry a mark."""

    cache_control: CacheControl | msgspec.UnsetType


def control(mark: CacheMark) -> CacheControl:
    """The vendor knows five minutes, which it takes when nothing is said, and an hour."""
    if mark.ttl_s is None:
        return CacheControl(type="ephemeral")
    return CacheControl(type="ephemeral", ttl="5m" if mark.ttl_s <= _SHORT_S else "1h")


def thin_out(places: Iterable[Marked], *, top_level: bool) -> bool:
    """Take marks away until there are few enough; True when some went.

    ``places`` are in the order of the prompt. The first mark stays, since it covers what every request of a client
    shares, and so do the last ones, which cover most. ``top_level``: the request itself carries one, too.
    """
    marked = [place for place in places if not isinstance(place.cache_control, msgspec.UnsetType)]
    room = MAX_MARKS - (1 if top_level else 0)
    if len(marked) <= room:
        return False
    for place in marked[1 : len(marked) - room + 1]:
        place.cache_control = msgspec.UNSET
    return True
