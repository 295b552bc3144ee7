"""Going through the books: every cost again from its counts and its price version, every sum again from its rows.

Reads the ledger and nothing else, so it can be done beside a server that writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from runtime.accounting.price import Cost, price, price_version
from runtime.catalog import Prices
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Settlement, usage_of
from runtime.stores.ledger import DAY_S, SUMS, Where, summed
from runtime.stores.ledger_review import Books

__all__ = ["MAX_TOLD", "Difference", "Examined", "examine"]

MAX_TOLD: Final = 1000
"""Differences that are told one by one; more are only counted."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """``kind`` of thing that differs, ``where`` it stands, what the ledger has (``kept``) and what follows from it (``found``)."""

    kind: Literal["cost", "price", "sum", "day"]
    where: str
    kept: str
    found: str


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What the books hold. Days up to ``days_unchecked_to`` (since 1970) have lost requests to retention, and their sums stand alone.

    ``refused`` requests are not in the books, because the database does not take them: `examine` knows of none.
    """

    requests: int
    attempts: int
    cost_nano_usd: int
    estimated: int
    unpriced: int
    lost: int
    price_versions: int
    days_checked: int
    days_unchecked_to: int | None
    differing: int
    differences: tuple[Difference, ...]
    refused: int = 0
    refused_nano_usd: int = 0


async def examine(books: Books) -> Examined:
    """All of ``books``."""
    examination = _Examination(await books.prices())
    pruned_s = await books.pruned_before_s()
    unchecked_to = None if pruned_s is None else int(pruned_s // DAY_S)
    async for settlement in books.settlements():
        examination.take(settlement)
    checked = examination.compare_days(await books.days(), unchecked_to)
    return examination.result(checked, unchecked_to)


class _Examination:
    def __init__(self, prices: Mapping[str, Prices | None]) -> None:
        self._prices = prices
        self._differences: list[Difference] = []
        self._differing = 0
        self._days: dict[Where, list[int]] = {}
        self._requests = self._attempts = self._cost = self._estimated = self._unpriced = self._lost = 0
        for version, each in prices.items():
            found = None if each is None else price_version(each)
            if found != version:
                self._differ("price", f"price version {version}", version, found or "unreadable")

    def take(self, settlement: Settlement) -> None:
        for entry in settlement.attempts:
            self._check_cost(settlement.id, entry)
        self._check_sum(settlement)
        for where, amounts in summed((settlement,)).items():
            kept = self._days.setdefault(where, [0] * len(SUMS))
            for at, amount in enumerate(amounts):
                kept[at] += amount
        self._requests += 1
        self._attempts += len(settlement.attempts)
        self._cost += settlement.cost_nano_usd
        self._estimated += settlement.estimated
        self._unpriced += settlement.unpriced
        self._lost += settlement.outcome == "lost"

    def compare_days(self, kept: Mapping[Where, list[int]], unchecked_to: int | None) -> int:
        """How many days are the sum of their rows, or should be."""
        days = {where for where in (*kept, *self._days) if unchecked_to is None or where[0] > unchecked_to}
        nothing = [0] * len(SUMS)
        for where in sorted(days):
            before, now = kept.get(where, nothing), self._days.get(where, nothing)
            for name, one, other in zip(SUMS, before, now, strict=True):
                if one != other:
                    place = ", ".join(each for each in where[1:] if each)
                    self._differ("day", f"{name} of day {where[0]}, {place}", str(one), str(other))
        return len({where[0] for where in days})

    def result(self, days_checked: int, unchecked_to: int | None) -> Examined:
        return Examined(
            requests=self._requests,
            attempts=self._attempts,
            cost_nano_usd=self._cost,
            estimated=self._estimated,
            unpriced=self._unpriced,
            lost=self._lost,
            price_versions=len(self._prices),
            days_checked=days_checked,
            days_unchecked_to=unchecked_to,
            differing=self._differing,
            differences=tuple(self._differences),
        )

    def _check_cost(self, settlement: str, entry: AttemptEntry) -> None:
        where = f"attempt {entry.number} of {settlement}"
        prices = self._prices.get(entry.price_version)
        if entry.price_version and prices is None:
            if entry.price_version not in self._prices:
                self._differ("price", where, entry.price_version, "no such price version")
            return
        usage = usage_of(entry.counts, estimated=entry.estimated)
        found = price(usage, prices, requests=entry.requests, images=entry.images)
        kept = Cost(entry.cost_nano_usd, entry.unpriced)
        if kept != found:
            self._differ("cost", where, _told(kept), _told(found))

    def _check_sum(self, settlement: Settlement) -> None:
        """A request is its attempts."""
        entries = settlement.attempts
        counts = tuple(map(sum, zip(*(each.counts for each in entries), strict=True))) or NO_COUNTS
        cost = Cost(sum(each.cost_nano_usd for each in entries), any(each.unpriced for each in entries))
        kept = Cost(settlement.cost_nano_usd, settlement.unpriced)
        if kept != cost:
            self._differ("sum", f"request {settlement.id}", _told(kept), _told(cost))
        if settlement.counts != counts:
            self._differ("sum", f"counts of request {settlement.id}", str(settlement.counts), str(counts))

    def _differ(self, kind: Literal["cost", "price", "sum", "day"], where: str, kept: str, found: str) -> None:
        self._differing += 1
        if len(self._differences) < MAX_TOLD:
            self._differences.append(Difference(kind=kind, where=where, kept=kept, found=found))


def _told(cost: Cost) -> str:
    return f"{cost.nano_usd} nano-dollars{' and something without a price' if cost.unpriced else ''}"
