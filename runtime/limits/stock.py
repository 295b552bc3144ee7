"""What a worker took of shared limits in advance, so that most of its calls need not ask. What is not used soon goes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from runtime.limits.rule import Rule, Want

__all__ = ["LEASE_MS", "Stock", "ahead"]

LEASE_MS: Final = 200
"""How long it is kept: shorter than others wait before they refuse. Requests are counted at its end, so that their window
never ends too early."""

_AHEAD: Final = 32
"""How many calls like the one that asks are thought of; counters grant a small part of what is left at the most."""

_SHORTEST: Final = 200
"""Windows shorter than so many leases are asked for call by call."""


class _Lot(msgspec.Struct):
    rule: Rule
    left: int
    bucket: int
    until_ms: int
    standing: int


class Stock:
    """By counter."""

    def __init__(self) -> None:
        self._lots: dict[str, _Lot] = {}

    def __bool__(self) -> bool:
        return bool(self._lots)

    def draw(self, wants: tuple[Want, ...], now_ms: int) -> tuple[int, ...] | None:
        """Take all of ``wants`` from it, and how each counter stands; None, and nothing is taken, where it has too little."""
        lots: list[_Lot] = []
        for want in wants:
            lot = self._lots.get(want.rule.counter)
            if lot is None or lot.left < want.amount or lot.until_ms <= now_ms:
                return None
            lots.append(lot)
        for lot, want in zip(lots, wants, strict=True):
            lot.left -= want.amount
        return tuple(lot.standing - lot.left for lot in lots)

    def put(self, rule: Rule, more: int, bucket: int, standing: int, now_ms: int) -> None:
        """So much was taken in advance, and ``standing`` is all of it."""
        self._lots[rule.counter] = _Lot(rule, more, bucket, now_ms + LEASE_MS, standing)

    def holds(self, counter: str) -> bool:
        return counter in self._lots

    def without(self, counters: Iterable[str]) -> list[tuple[Rule, int, int]]:
        """What goes back of ``counters``: the rule, how much, and where it was counted."""
        found = [lot for counter in counters if (lot := self._lots.pop(counter, None)) is not None]
        return [(lot.rule, lot.left, lot.bucket) for lot in found if lot.left]

    @property
    def due_ms(self) -> int | None:
        """When the first of it goes back."""
        return min((lot.until_ms for lot in self._lots.values()), default=None)

    def over(self, now_ms: int) -> list[tuple[Rule, int, int]]:
        """What goes back because its time is over."""
        return self.without([counter for counter, lot in self._lots.items() if lot.until_ms <= now_ms])


def ahead(want: Want) -> int:
    """How much more is asked for together with ``want``. Of calls at the same time nothing: each that is there, others want."""
    length_ms = want.rule.limit.length_ms
    if want.rule.limit.of == "concurrency":
        return 0
    return 0 if 0 < length_ms < _SHORTEST * LEASE_MS else want.amount * _AHEAD
