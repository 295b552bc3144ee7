"""Token counts as providers write them: an answer is never lost for its bookkeeping.

Whole numbers count in whatever form they come, `12`, `12.0` or `"12"`; anything else was not told. Answers are decoded with
the types that vendors document, and only one that does not fit them is looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeVar, cast

import msgspec

from runtime.protocols.splice import replace

__all__ = ["billed_tier", "count", "read_counted"]

T = TypeVar("T")

_MOST: Final = 10**12
"""No answer takes more, whatever its provider says; and what so many cost is still a number that stores can hold."""

_DIGITS: Final = re.compile(r"\s*(\d{1,18})(?:\.0*)?\s*", re.ASCII)
_IS_COUNT: Final = re.compile("token|count|requests|duration", re.IGNORECASE)
_IS_GROUP: Final = re.compile("details$|^cache_creation$|^server_tool_use$|^web_search$", re.IGNORECASE)
_IS_WORD: Final = frozenset({"service_tier", "speed", "modality", "trafficType"})
_TIERS: Final[Mapping[str, Literal["flex", "priority"]]] = MappingProxyType(
    {"flex": "flex", "priority": "priority", "fast": "priority"}
)
_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def count(value: float | msgspec.UnsetType | None) -> int:
    """How many, of a decoded count. What is not there and what cannot be one is 0."""
    if not value or not 0 < value <= _MOST:
        return 0
    whole = int(value)
    return whole if whole == value else 0


def billed_tier(word: str | msgspec.UnsetType | None) -> Literal["", "flex", "priority"]:
    """The tier by its vendor's ``word``, where it may cost other than usual."""
    return _TIERS.get(word, "") if word else ""


def read_counted(decoder: msgspec.json.Decoder[T], data: bytes, *places: tuple[str, ...]) -> T | None:
    """What ``decoder``, which could not read ``data``, makes of it with sound counts at ``places``; None if it still cannot.

    A place is a path of members to the object that holds the counts, or to a count.
    """
    try:
        for place in places:
            given = _at(data, place)
            if given is not None:
                value: object = msgspec.json.decode(given)
                sound = None if isinstance(value, list) else _sound(place[-1], value)
                data = replace(data, place, msgspec.Raw(msgspec.json.encode(sound)))
        return decoder.decode(data)
    except _FAULTS:
        return None


def _at(data: bytes, place: tuple[str, ...]) -> bytes | None:
    """The member there, None where there is none."""
    for name in place:
        member = _FIELDS.decode(data).get(name) if data[:1] == b"{" else None
        if member is None:
            return None
        data = bytes(member)
    return data


def _sound(name: str, value: object) -> object:
    """``value`` of the member ``name`` as vendors document it, None for what cannot be made so."""
    if name in _IS_WORD:
        return value if isinstance(value, str) else None
    if _IS_GROUP.search(name) or not _IS_COUNT.search(name):
        if isinstance(value, dict):
            members = cast("dict[str, object]", value)
            return {inner: _sound(inner, each) for inner, each in members.items()}
        if isinstance(value, list):
            return [_sound("", cast("object", each)) for each in cast("list[object]", value) if isinstance(each, dict)]
        return None
    if isinstance(value, str):
        digits = _DIGITS.fullmatch(value)
        return int(digits[1]) if digits else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)
