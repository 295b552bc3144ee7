"""What keys, tenants, combos and policies used, as far as the ledger has it: by the minute, the hour and the day.

It is added to in the transaction that brings settlements into the ledger, so that it is exactly what the ledger says, and
counters of limits begin from it. Minutes and hours are kept as long as a limit could ask for them, days for good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import add
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec
from sqlalchemy import delete, or_, select

from runtime.stores.database import MOST, Database, adding, insert_new
from runtime.stores.tables import ledger_marks, spent

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SPAN_S", "Span", "Spending", "SpentRow", "SqlSpending", "post_spend", "subjects_of"]

Span: TypeAlias = Literal["minute", "hour", "day"]

SPAN_S: Final[Mapping[Span, int]] = MappingProxyType({"minute": 60, "hour": 3600, "day": 86_400})

_KEPT_S: Final = MappingProxyType({"minute": 3 * 3600, "hour": 3 * 86_400})
_BATCH: Final = 500
_AMOUNTS: Final = ("requests", "tokens", "nano_usd")
_TOLD: Final = "told"


class Spending(Protocol):
    """What one request came to, as `runtime.stores.entries.Settlement` has it. Times are Unix seconds."""

    @property
    def at_s(self) -> float: ...
    @property
    def tenant(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def combo(self) -> str: ...
    @property
    def counters(self) -> Sequence[str]: ...
    @property
    def tokens(self) -> int: ...
    @property
    def nano_usd(self) -> int: ...
    @property
    def attempts(self) -> Sequence[object]: ...
    @property
    def admitted(self) -> int: ...
    @property
    def let_in(self) -> bool: ...


class SpentRow(msgspec.Struct, frozen=True):
    """What ``subject`` used in one span of time, from ``start_s`` on."""

    subject: str
    start_s: int
    requests: int
    tokens: int
    nano_usd: int


def subjects_of(tenant: str, key: str, combo: str, counters: Iterable[str] = ()) -> list[str]:
    """For whom a request counts."""
    named = (("key/", key), ("tenant/", tenant), ("combo/", combo))
    return [*(prefix + name for prefix, name in named if name), *counters]


async def post_spend(connection: AsyncConnection, settlements: Iterable[Spending]) -> None:
    """Add what ``settlements`` used, which must be new; in the transaction that makes them so."""
    minutes: defaultdict[tuple[int, str, str, str, tuple[str, ...]], list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in settlements:
        if each.attempts or each.let_in:
            total = minutes[int(each.at_s) // 60, each.tenant, each.key, each.combo, tuple(each.counters)]
            total[0] += each.admitted
            total[1] += each.tokens
            total[2] += each.nano_usd
    sums: defaultdict[tuple[str, Span, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for (minute, tenant, key, combo, counters), used in minutes.items():
        for subject in subjects_of(tenant, key, combo, counters):
            for span, length_s in SPAN_S.items():  # each of them begins with a minute
                start_s = minute * 60 // length_s * length_s
                where = subject, span, start_s
                sums[where] = list(map(add, sums[where], used))
    rows = [
        {"subject": subject, "span": span, "start_s": start_s}
        | {name: min(amount, MOST) for name, amount in zip(_AMOUNTS, used, strict=True)}
        for (subject, span, start_s), used in sorted(sums.items())  # in one order: nobody waits in a circle
    ]
    if rows:
        await connection.execute(adding(connection.dialect.name, spent, _AMOUNTS), rows)


class SqlSpending:
    """Every method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]:
        """For each subject and span what was used in the spans that begin at so many seconds or later, in order."""
        return await self._database.read(partial(_since, wanted=wanted))

    async def days(self, subjects: Sequence[str], start_s: int) -> dict[str, list[SpentRow]]:
        """What each of ``subjects`` used on the days that begin at ``start_s`` or later, in order; those that used nothing are left out."""
        return await self._database.read(partial(_days, subjects=subjects, start_s=start_s))

    async def first(self, what: str, of: str, window_s: int) -> bool:
        """Whether nobody has told of ``of`` yet that it used so much, ``what``, in the window that began then. From now on somebody has."""
        return await self._database.write(partial(_first, what=what, of=of, window_s=window_s))

    async def sweep(self, now_s: float) -> int:
        """Forget the minutes and hours that no limit asks for any more; how many."""
        return await self._database.write(partial(_sweep, now_s=now_s))


async def _since(db: AsyncConnection, wanted: Sequence[tuple[str, Span, int]]) -> list[list[SpentRow]]:
    found: list[list[SpentRow]] = []
    columns = (spent.c.subject, spent.c.start_s, spent.c.requests, spent.c.tokens, spent.c.nano_usd)
    for subject, span, start_s in wanted:
        of_subject = select(*columns).where(spent.c.subject == subject, spent.c.span == span)
        rows = await db.execute(of_subject.where(spent.c.start_s >= start_s).order_by(spent.c.start_s))
        found.append([SpentRow(*row) for row in rows])
    return found


async def _days(db: AsyncConnection, subjects: Sequence[str], start_s: int) -> dict[str, list[SpentRow]]:
    found: dict[str, list[SpentRow]] = {}
    columns = (spent.c.subject, spent.c.start_s, spent.c.requests, spent.c.tokens, spent.c.nano_usd)
    since = select(*columns).where(spent.c.span == "day", spent.c.start_s >= start_s).order_by(spent.c.start_s)
    for first in range(0, len(subjects), _BATCH):
        for row in await db.execute(since.where(spent.c.subject.in_(subjects[first : first + _BATCH]))):
            found.setdefault(row.subject, []).append(SpentRow(*row))
    return found


async def _first(db: AsyncConnection, what: str, of: str, window_s: int) -> bool:
    """What earlier windows left behind goes."""
    name = ledger_marks.c.name
    about = f"{_TOLD}/{of}/"
    await db.execute(
        delete(ledger_marks).where(name.startswith(about, autoescape=True), ledger_marks.c.value < window_s)
    )
    await db.execute(insert_new(db, ledger_marks).values(name=about + what, value=0))
    mine = ledger_marks.update().where(name == about + what, ledger_marks.c.value < window_s).values(value=window_s)
    return (await db.execute(mine)).rowcount == 1


async def _sweep(db: AsyncConnection, now_s: float) -> int:
    old = [(spent.c.span == span) & (spent.c.start_s < int(now_s) - kept_s) for span, kept_s in _KEPT_S.items()]
    return (await db.execute(delete(spent).where(or_(*old)))).rowcount
