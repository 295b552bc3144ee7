"""Writing the ledger: what the journals hold goes in once, whoever brings it and however often.

How far a file of the journal was taken in is kept in the transaction that took it. Sums by day and what limits have counted
(`post`) are changed in that transaction, too, so none of them ever disagrees with the rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from sqlalchemy import Table, delete, func, insert, select

from runtime.catalog import Prices
from runtime.stores.base import StoreRefusedError
from runtime.stores.database import MOST, Database, adding, among, give_back, insert_new
from runtime.stores.entries import AttemptEntry, Counts, Settlement
from runtime.stores.tables import USAGE, attempts, days, journals, ledger_marks, prices, settlements

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["DAY_S", "PRUNED", "SUMS", "Post", "SqlLedger", "Taken", "Where", "summed"]

Post: TypeAlias = "Callable[[AsyncConnection, Sequence[Settlement]], Awaitable[None]]"
"""What else is to be counted of settlements that are new, in the transaction that takes them."""

DAY_S: Final = 86_400
PRUNED: Final = "pruned_before_s"
PRUNE_ROWS: Final = 500
_MOST_COUNTED: Final = 2**31 - 1
"""Tokens of one row: PostgreSQL counts them in 32 bits."""

Where: TypeAlias = tuple[int, str, str, str, str, str]
"""A day, and whose it is: tenant, key, model, provider, connection."""

Flags: TypeAlias = tuple[int, int]
"""What is told the driver for False and for True."""


_DIMENSIONS: Final = ("day", "tenant", "key", "model", "provider", "connection")
SUMS: Final = (
    "requests",
    "errors",
    "replays",
    "attempts",
    *USAGE,
    "estimated",
    "unpriced",
    "cost_nano_usd",
)
"""What is summed by day."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a journal's file: what stands between two of its bytes.

    ``spent`` is what only limits count, because its rows are refused. ``counted`` are the ids of ``settlements`` of which that was
    done before.
    """

    file: str
    begins: int
    ends: int
    settlements: Sequence[Settlement]
    prices: Mapping[str, Prices] = {}
    spent: Sequence[Settlement] = ()
    counted: frozenset[str] = frozenset()


class SqlLedger:
    """Every method may raise StoreError."""

    def __init__(self, database: Database, post: Post | None = None) -> None:
        self._database = database
        self._post = post
        self._into = _Insertions.of(database)

    async def drained(self, file: str) -> int:
        """How many bytes of a journal's file are in the ledger."""
        return await self._database.read(partial(_drained, file=file))

    async def take(self, piece: Taken) -> int:
        """Take ``piece`` in, unless it does not begin where the file was taken in up to. How far that is now.

        Raises StoreRefusedError where the database has something against it; nothing of it is there then.
        """
        return await self._database.write(partial(_take, piece=piece, into=self._into, post=self._post))

    async def accepts(self, piece: Taken) -> bool:
        """Whether the database has nothing against ``piece``. It is not taken in."""
        try:
            await self._database.write(partial(_try_out, piece=piece, into=self._into, post=self._post))
        except _TriedOutError:
            return True
        except StoreRefusedError:
            return False
        raise AssertionError

    async def forget(self, file: str) -> None:
        """A journal's file is there no more."""
        await self._database.write(partial(_forget, file=file))

    async def prune(self, before_s: float, keep: int) -> int:
        """Take away some of the requests that began before ``before_s``, or that are more than ``keep``; how many.

        A few rows at a time, the oldest first: to be called again until there are none. Sums by day stay.
        """
        return await self._database.write(partial(_prune, before_s=before_s, keep=keep))


async def _drained(db: AsyncConnection, file: str) -> int:
    found: int | None = await db.scalar(select(journals.c.drained_bytes).where(journals.c.file == file))
    return found or 0


async def _take(db: AsyncConnection, piece: Taken, into: _Insertions, post: Post | None) -> int:
    held = select(journals.c.drained_bytes).where(journals.c.file == piece.file).with_for_update()
    at: int | None = await db.scalar(held)
    if at is None:
        await db.execute(insert_new(db, journals).values(file=piece.file, drained_bytes=0))
        at = int((await db.execute(held)).scalar_one())
    if at != piece.begins:
        return at
    if piece.prices:
        documents = [
            {"version": version, "document": msgspec.json.encode(each)} for version, each in piece.prices.items()
        ]
        await db.execute(insert_new(db, prices), documents)
    new = [_storable(each) for each in await _new(db, piece.settlements)]
    if new:
        await db.exec_driver_sql(into.settlements, [_settlement_row(each, into.flags) for each in new])
        rows = [_attempt_row(each.id, attempt, into.flags) for each in new for attempt in each.attempts]
        if rows:
            await db.exec_driver_sql(into.attempts, rows)
        await _add_days(db, new)
    if post is not None and (new or piece.spent):
        uncounted = [each for each in new if each.id not in piece.counted] if piece.counted else new
        await post(db, [*uncounted, *piece.spent] if piece.spent else uncounted)
    moved = journals.update().where(journals.c.file == piece.file).values(drained_bytes=piece.ends)
    await db.execute(moved)
    return piece.ends


class _TriedOutError(Exception):
    """Undoes a transaction that would have been one."""


async def _try_out(db: AsyncConnection, piece: Taken, into: _Insertions, post: Post | None) -> None:
    await _take(db, piece, into, post)
    raise _TriedOutError


async def _new(db: AsyncConnection, given: Sequence[Settlement]) -> list[Settlement]:
    """Those that are not there; one that is given twice, once."""
    by_id = {each.id: each for each in given}
    if by_id:
        known = await db.execute(select(settlements.c.id).where(among(db, settlements.c.id, list(by_id))))
        for (id_,) in known:
            del by_id[id_]
    return list(by_id.values())


async def _forget(db: AsyncConnection, file: str) -> None:
    await db.execute(delete(journals).where(journals.c.file == file))


async def _prune(db: AsyncConnection, before_s: float, keep: int) -> int:
    oldest = select(settlements.c.number, settlements.c.id, settlements.c.at_s).order_by(settlements.c.at_s)
    due = (await db.execute(oldest.where(settlements.c.at_s < before_s).limit(PRUNE_ROWS))).all()
    if len(due) < PRUNE_ROWS:
        span = select(func.max(settlements.c.number), func.min(settlements.c.number))
        last, first = (await db.execute(span)).one()
        if last is not None and last - first >= keep:  # no fewer rows than numbers: worth counting
            many = (await db.execute(select(func.count()).select_from(settlements))).scalar_one() - keep
            if many > len(due):
                due = (await db.execute(oldest.limit(min(many, PRUNE_ROWS)))).all()
    if not due:
        return 0
    await db.execute(delete(attempts).where(attempts.c.settlement.in_([row.id for row in due])))
    await db.execute(delete(settlements).where(settlements.c.number.in_([row.number for row in due])))
    await _mark(db, max(row.at_s for row in due))
    await give_back(db)
    return len(due)


async def _mark(db: AsyncConnection, pruned_s: float) -> None:
    """Of requests up to ``pruned_s`` some are gone."""
    await db.execute(insert_new(db, ledger_marks).values(name=PRUNED, value=pruned_s))
    later = ledger_marks.update().where(ledger_marks.c.name == PRUNED, ledger_marks.c.value < pruned_s)
    await db.execute(later.values(value=pruned_s))


# -- sums by day


async def _add_days(db: AsyncConnection, given: Iterable[Settlement]) -> None:
    sums = summed(given)
    names: tuple[str, ...] = (*_DIMENSIONS, *SUMS)
    rows: list[dict[str, object]] = [
        dict(zip(names, (*where, *(min(each, MOST) for each in amounts)), strict=True))
        for where, amounts in sorted(sums.items())
    ]
    await db.execute(adding(db.dialect.name, days, SUMS), rows)


def summed(given: Iterable[Settlement]) -> dict[Where, list[int]]:
    """By day, tenant, key, model, provider and connection: what `days` holds of ``given``, in the order of its columns."""
    sums: defaultdict[Where, list[int]] = defaultdict(lambda: [0] * len(SUMS))
    for each in given:
        day = int(each.at_s // DAY_S)
        own = sums[day, each.tenant, each.key, each.target, each.provider, each.connection]
        own[0] += 1
        own[1] += each.outcome == "error"
        own[2] += bool(each.replay)
        for attempt in each.attempts:
            spent = sums[day, each.tenant, each.key, attempt.target, attempt.provider, attempt.connection]
            spent[3] += 1
            for at, count in enumerate(attempt.counts, 4):
                if count:  # most are nothing
                    spent[at] += count
            spent[-3] += attempt.estimated
            spent[-2] += attempt.unpriced
            spent[-1] += attempt.cost_nano_usd
    return sums


# -- rows


def _storable(each: Settlement) -> Settlement:
    """As PostgreSQL can hold it and have it in its indexes: one row must not be in the way of all the others."""
    texts = (each.model, each.target, each.session, *(attempt.target for attempt in each.attempts))
    if all(_is_storable(text) for text in texts):
        return each
    attempts = (msgspec.structs.replace(attempt, target=_cut(attempt.target)) for attempt in each.attempts)
    return msgspec.structs.replace(
        each,
        model=_cut(each.model),
        target=_cut(each.target),
        session=_cut(each.session),
        attempts=tuple(attempts),
    )


def _is_storable(text: str) -> bool:
    return _NUL not in text and len(text) <= _SURE_CHARS


def _cut(text: str) -> str:
    """With a mark for each NUL, and without what is too long."""
    return text.replace(_NUL, _MARK).encode()[:_INDEXED_BYTES].decode(errors="ignore")


def _settlement_row(each: Settlement, flags: Flags) -> tuple[object, ...]:
    row = msgspec.structs.astuple(each)
    spent = (flags[each.estimated], flags[each.unpriced], min(each.cost_nano_usd, MOST))
    return (*row[:_STREAM], flags[each.stream], *row[_STREAM + 1 : _PLAIN], *_held(each.counts), *spent)


def _attempt_row(settlement: str, each: AttemptEntry, flags: Flags) -> tuple[object, ...]:
    row = msgspec.structs.astuple(each)
    spent = (flags[each.estimated], flags[each.unpriced], min(each.cost_nano_usd, MOST))
    counts = _held(each.counts)
    return (settlement, *row[:_PLAIN_ATTEMPT], *counts, *spent, each.price_version, each.requests, each.images)


def _held(counts: Counts) -> Counts:
    """What a row holds of ``counts``: somebody who says more must not be in the way of all the others."""
    return counts if max(counts) <= _MOST_COUNTED else tuple(min(each, _MOST_COUNTED) for each in counts)


class _Insertions(msgspec.Struct, frozen=True, kw_only=True):
    """Statements as the driver wants them; values come in the order of the table's columns.

    So SQLAlchemy does not look at each value, which took more than all the rest of the way into the ledger. ``flags`` are false
    and true: SQLite's driver knows numbers, and looks for what else a bool might be for longer than it takes to write it.
    """

    settlements: str
    attempts: str
    flags: Flags

    @classmethod
    def of(cls, database: Database) -> _Insertions:
        return cls(
            settlements=_insertion(database, settlements, *Settlement.__struct_fields__[:_PLAIN], *USAGE, *_SPENT),
            attempts=_insertion(
                database,
                attempts,
                "settlement",
                *AttemptEntry.__struct_fields__[:_PLAIN_ATTEMPT],
                *USAGE,
                *_SPENT,
                "price_version",
                "requests",
                "images",
            ),
            flags=(0, 1) if database.sqlite else (False, True),
        )


def _insertion(database: Database, table: Table, *names: str) -> str:
    assert list(names) == [each.name for each in table.c if each.name in names], "in the table's own order"
    return database.words(insert(table).inline(), names)


_SPENT: Final = ("estimated", "unpriced", "cost_nano_usd")
_NUL: Final = "\0"
_MARK: Final = "\ufffd"
_INDEXED_BYTES: Final = 1000
"""Of one text. All columns of an index have 2704 together (PostgreSQL, "B-Tree Indexes")."""
_SURE_CHARS: Final = _INDEXED_BYTES // 4
_STREAM: Final = Settlement.__struct_fields__.index("stream")
_PLAIN: Final = Settlement.__struct_fields__.index("counts")
_PLAIN_ATTEMPT: Final = AttemptEntry.__struct_fields__.index("counts")
