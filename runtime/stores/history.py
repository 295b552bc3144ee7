"""Reading the ledger: single requests, newest first, and totals by day, which are sums already and never counted anew.

Whose rows may be read is always an argument: a tenant's own, or with None everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import BigInteger, Double, Integer, Row, Select, and_, cast, func, literal_column, select

from runtime.stores.database import Database
from runtime.stores.entries import AttemptEntry, Counts, Settlement
from runtime.stores.tables import USAGE, attempts, days, settlements

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Label
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Dimension", "History", "Logged", "LoggedPage", "Total", "Wanted", "attempt_of", "settlement_of"]

Dimension: TypeAlias = Literal["day", "tenant", "key", "model", "provider", "connection"]

_COUNTED: Final = ("requests", "errors", "replays", "attempts", "estimated", "unpriced")
_HALF: Final = 32
_BITS: Final = literal_column(str(_HALF), Integer)
_LOW: Final = literal_column(str(2**_HALF - 1), BigInteger)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests: None is any. ``model`` is the name that was asked for, ``target`` the public id that answered. Unix seconds."""

    tenant: str | None
    key: str | None = None
    model: str | None = None
    combo: str | None = None
    target: str | None = None
    provider: str | None = None
    connection: str | None = None
    session: str | None = None
    operation: str | None = None
    outcome: str | None = None
    status: int | None = None
    request_id: str | None = None
    since_s: float | None = None
    until_s: float | None = None


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Its attempts are there only where it was asked for by itself."""

    number: int
    settlement: Settlement


class LoggedPage(msgspec.Struct, frozen=True, kw_only=True):
    """``before`` is where the next page begins; None at the end."""

    requests: tuple[Logged, ...]
    before: int | None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """``by`` is what the sum is of, in the order that was asked for; a day is a number of days since 1970, in text."""

    by: tuple[str, ...]
    requests: int
    errors: int
    replays: int
    attempts: int
    counts: Counts
    estimated: int
    unpriced: int
    cost_nano_usd: int


class History:
    """Every method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def requests(self, wanted: Wanted, *, limit: int, before: int | None = None) -> LoggedPage:
        """The newest ``limit`` requests, of those with a number below ``before``."""
        return await self._database.read(partial(_requests, wanted=wanted, limit=limit, before=before))

    async def request(self, tenant: str | None, id_: str) -> Logged | None:
        """One request with its attempts, by the ledger's id or the request's, of which the last counts."""
        return await self._database.read(partial(_request, tenant=tenant, id_=id_))

    async def totals(
        self,
        tenant: str | None,
        *,
        by: Sequence[Dimension] = (),
        since_day: int | None = None,
        until_day: int | None = None,
        key: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        connection: str | None = None,
    ) -> tuple[Total, ...]:
        """Sums of the days from ``since_day`` on and before ``until_day``, the dearest first. ``model`` is a target's public id."""
        only = {"tenant": tenant, "key": key, "model": model, "provider": provider, "connection": connection}
        return await self._database.read(partial(_totals, by=by, since=since_day, until=until_day, only=only))


async def _requests(db: AsyncConnection, wanted: Wanted, limit: int, before: int | None) -> LoggedPage:
    query = _narrowed(select(settlements), wanted).order_by(settlements.c.number.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(settlements.c.number < before)
    rows = (await db.execute(query)).all()
    found = tuple(Logged(number=row.number, settlement=settlement_of(row, ())) for row in rows[:limit])
    return LoggedPage(requests=found, before=found[-1].number if len(rows) > limit else None)


def _narrowed(query: Select[*tuple[object, ...]], wanted: Wanted) -> Select[*tuple[object, ...]]:
    for name, value in msgspec.structs.asdict(wanted).items():
        if value is not None and name not in {"since_s", "until_s"}:
            query = query.where(settlements.c[name] == value)
    if wanted.outcome not in {None, "ok"}:
        query = query.where(settlements.c.outcome != "ok")  # says to SQLite that its index of the others will do
    if wanted.since_s is not None:
        query = query.where(settlements.c.at_s >= wanted.since_s)
    if wanted.until_s is not None:
        query = query.where(settlements.c.at_s < wanted.until_s)
    return query


async def _request(db: AsyncConnection, tenant: str | None, id_: str) -> Logged | None:
    for column in (settlements.c.id, settlements.c.request_id):
        query = select(settlements).where(column == id_).order_by(settlements.c.number.desc()).limit(1)
        if tenant is not None:
            query = query.where(settlements.c.tenant == tenant)
        row = (await db.execute(query)).one_or_none()
        if row is not None:
            of_it = select(attempts).where(attempts.c.settlement == row.id).order_by(attempts.c.number)
            entries = tuple(attempt_of(each) for each in await db.execute(of_it))
            return Logged(number=row.number, settlement=settlement_of(row, entries))
    return None


async def _totals(
    db: AsyncConnection, by: Sequence[Dimension], since: int | None, until: int | None, only: dict[str, str | None]
) -> tuple[Total, ...]:
    named = [days.c[name] for name in by]
    limits = [days.c[name] == value for name, value in only.items() if value is not None]
    if since is not None:
        limits.append(days.c.day >= since)
    if until is not None:
        limits.append(days.c.day < until)
    query = select(*named, *_sums()).where(and_(True, *limits)).group_by(*named)
    dearest = func.sum(cast(days.c.cost_nano_usd, Double)).desc()
    return tuple(
        Total(
            by=tuple(str(value) for value in row[: len(by)]),
            counts=_counts(row),
            cost_nano_usd=(int(row.high) << _HALF) + int(row.low),
            **{name: int(getattr(row, name)) for name in _COUNTED},
        )
        for row in await db.execute(query.order_by(dearest, *named))
    )


@cache
def _sums() -> tuple[Label[int], ...]:
    """The columns of a sum, which take longer to be put together than to be asked for."""
    cost = days.c.cost_nano_usd  # in halves: SQLite refuses to add up what is more than 64 bits
    summed: dict[str, ColumnElement[int]] = {name: days.c[name] for name in (*_COUNTED, *USAGE)}
    summed |= {"high": cost.op(">>")(_BITS), "low": cost.op("&")(_LOW)}
    return tuple(func.coalesce(func.sum(each), 0).label(name) for name, each in summed.items())


def settlement_of(row: Row[*tuple[object, ...]], entries: tuple[AttemptEntry, ...]) -> Settlement:
    """What a row of `settlements` holds."""
    plain = {name: getattr(row, name) for name in Settlement.__struct_fields__ if name in settlements.c}
    return Settlement(**plain, counts=_counts(row), attempts=entries)


def attempt_of(row: Row[*tuple[object, ...]]) -> AttemptEntry:
    """What a row of `attempts` holds."""
    plain = {name: getattr(row, name) for name in AttemptEntry.__struct_fields__ if name in attempts.c}
    return AttemptEntry(**plain, counts=_counts(row))


def _counts(row: Row[*tuple[object, ...]]) -> Counts:
    return tuple(int(getattr(row, name)) for name in USAGE)
