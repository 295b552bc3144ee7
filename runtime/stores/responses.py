"""Responses in the database. Items are kept once per owner, however many responses share them.

A conversation of n turns is n responses that each list all their items; listing costs a few bytes per item, so that a
response can be deleted, or go with age, without breaking those that follow it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from typing_extensions import override

from runtime.stores.base import RUNNING, Item, ItemPage, Key, ResponseStore, Status, StoredResponse
from runtime.stores.database import Database, give_back, insert_new
from runtime.stores.tables import items, links, responses

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SqlResponses"]

BATCH: Final = 100
"""Responses deleted in one transaction, so that nobody waits long for it."""
ROWS: Final = 500
"""Rows written or asked for in one statement; databases bound how many values one may have."""
ROW_BYTES: Final = 200
"""What a row takes beside its body."""
LINK_BYTES: Final = 50
"""What it takes that a response lists an item, with its places in two indexes: more than all else, in long conversations."""

_RUNS: Final = responses.c.status.in_(sorted(RUNNING))
_LISTED: Final = select(items.c.id, items.c.body).join(links, links.c.item == items.c.number)

T = TypeVar("T")


class SqlResponses(ResponseStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put(self, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
        await self._database.write(partial(_put, response=response, context=context, output=output))

    @override
    async def get(self, key: Key) -> StoredResponse | None:
        return await self._database.read(partial(_get, key=key))

    @override
    async def conversation(self, key: Key) -> tuple[Item, ...] | None:
        return await self._database.read(partial(_conversation, key=key))

    @override
    async def context(self, key: Key, *, limit: int, newest_first: bool, after: str | None) -> ItemPage | None:
        ask = partial(_page, key=key, limit=limit, newest_first=newest_first, after=after)
        return await self._database.read(ask)

    @override
    async def item(self, owner: str, item_id: str) -> Item | None:
        return await self._database.read(partial(_item, owner=owner, item_id=item_id))

    @override
    async def set_status(self, key: Key, status: Status, body: bytes, output: Sequence[Item] = ()) -> bool:
        return await self._database.write(partial(_set_status, key=key, status=status, body=body, output=output))

    @override
    async def renew(self, keys: Iterable[Key], lease_until_s: float) -> frozenset[Key]:
        return await self._database.write(partial(_renew, keys=tuple(keys), lease_until_s=lease_until_s))

    @override
    async def delete(self, key: Key) -> bool:
        return await self._database.write(partial(_delete_one, key=key))

    @override
    async def sweep(self, before_s: float, max_bytes: int) -> int:
        swept = 0
        while count := await self._database.write(partial(_delete_old, before_s=before_s)):
            swept += count
        excess = await self._database.read(_used_bytes) - max_bytes
        while excess > 0:
            count, freed = await self._database.write(partial(_delete_oldest, excess=excess))
            if count == 0:
                break
            swept += count
            excess -= freed
        return swept


# -- writing


async def _put(db: AsyncConnection, response: StoredResponse, context: Sequence[Item], output: Sequence[Item]) -> None:
    await _delete_one(db, response.key)
    row = {
        "owner": response.owner,
        "id": response.id,
        "status": response.status,
        "created_s": response.created_s,
        "background": response.background,
        "lease_until_s": response.lease_until_s,
        "bytes": len(response.body) + ROW_BYTES + LINK_BYTES * (len(context) + len(output)),
        "body": response.body,
    }
    number = (await db.execute(insert(responses).values(row).returning(responses.c.number))).scalar_one()
    await _link(db, number, response.owner, context, output=False)
    await _link(db, number, response.owner, output, output=True)


async def _link(db: AsyncConnection, response: int, owner: str, listed: Sequence[Item], *, output: bool) -> None:
    for first, some in _batches(listed):
        named = [(hashlib.sha256(item.id.encode() + b"\0" + item.body).digest(), item) for item in some]
        numbers = await _numbers(db, owner, dict(named))
        rows = [
            {"response": response, "output": output, "position": first + at, "item": numbers[digest]}
            for at, (digest, _) in enumerate(named)
        ]
        await db.execute(insert(links), rows)


async def _numbers(db: AsyncConnection, owner: str, wanted: dict[bytes, Item]) -> dict[bytes, int]:
    """The numbers of items by their digests; those that the owner has not yet are kept now."""
    known = select(items.c.digest, items.c.number).where(items.c.owner == owner, items.c.digest.in_(wanted))
    numbers = {row.digest: row.number for row in await db.execute(known)}
    missing = [
        {"owner": owner, "id": item.id, "digest": digest, "bytes": len(item.body) + ROW_BYTES, "body": item.body}
        for digest, item in wanted.items()
        if digest not in numbers
    ]
    if missing:
        await db.execute(insert_new(db, items).values(missing))
        numbers = {row.digest: row.number for row in await db.execute(known)}  # some may be another writer's
    return numbers


async def _set_status(db: AsyncConnection, key: Key, status: Status, body: bytes, output: Sequence[Item]) -> bool:
    more = len(body) + LINK_BYTES * len(output)
    change = (
        update(responses)
        .where(responses.c.owner == key[0], responses.c.id == key[1], _RUNS)
        .values(status=status, body=body, bytes=responses.c.bytes - func.length(responses.c.body) + more)
    )
    number = (await db.execute(change.returning(responses.c.number))).scalar()
    if number is None:
        return False
    await _link(db, number, key[0], output, output=True)
    return True


async def _renew(db: AsyncConnection, keys: Sequence[Key], lease_until_s: float) -> frozenset[Key]:
    renewed: set[Key] = set()
    for key in keys:
        renewal = update(responses).where(responses.c.owner == key[0], responses.c.id == key[1], _RUNS)
        if (await db.execute(renewal.values(lease_until_s=lease_until_s))).rowcount:
            renewed.add(key)
    return frozenset(renewed)


async def _delete_one(db: AsyncConnection, key: Key) -> bool:
    number = await _number(db, key)
    if number is not None:
        await _delete(db, [number])
    return number is not None


async def _delete_old(db: AsyncConnection, before_s: float) -> int:
    """One batch of those that are too old, as far as nobody makes them any more."""
    over = or_(~_RUNS, responses.c.lease_until_s < before_s)
    old = select(responses.c.number).where(responses.c.created_s < before_s, over)
    numbers = list(await db.scalars(old.order_by(responses.c.created_s).limit(BATCH)))
    await _delete(db, numbers)
    return len(numbers)


async def _delete_oldest(db: AsyncConnection, excess: int) -> tuple[int, int]:
    """One batch of the oldest, until ``excess`` bytes are free; how many responses, and their bytes."""
    oldest = select(responses.c.number).where(~_RUNS).order_by(responses.c.created_s, responses.c.number).limit(BATCH)
    count = freed = 0
    for number in list(await db.scalars(oldest)):
        if freed >= excess:
            break
        freed += await _delete(db, [number])
        count += 1
    return count, freed


async def _used_bytes(db: AsyncConnection) -> int:
    used = 0
    for table in (responses, items):
        used += int((await db.execute(select(func.coalesce(func.sum(table.c.bytes), 0)))).scalar_one())
    return used


async def _delete(db: AsyncConnection, numbers: Sequence[int]) -> int:
    """Delete responses, and the items that were theirs alone; how many bytes that frees."""
    if not numbers:
        return 0
    theirs = set(await db.scalars(delete(links).where(links.c.response.in_(numbers)).returning(links.c.item)))
    gone = delete(responses).where(responses.c.number.in_(numbers))
    freed: int = sum(await db.scalars(gone.returning(responses.c.bytes)))
    for _, some in _batches(sorted(theirs)):
        alone = and_(items.c.number.in_(some), ~exists().where(links.c.item == items.c.number))
        freed += sum(await db.scalars(delete(items).where(alone).returning(items.c.bytes)))
    await give_back(db)
    return freed


# -- reading


async def _number(db: AsyncConnection, key: Key) -> int | None:
    wanted = select(responses.c.number).where(responses.c.owner == key[0], responses.c.id == key[1])
    number: int | None = await db.scalar(wanted)
    return number


async def _get(db: AsyncConnection, key: Key) -> StoredResponse | None:
    wanted = select(responses).where(responses.c.owner == key[0], responses.c.id == key[1])
    row = (await db.execute(wanted)).one_or_none()
    if row is None:
        return None
    return StoredResponse(
        owner=key[0],
        id=key[1],
        status=row.status,
        created_s=row.created_s,
        background=row.background,
        lease_until_s=row.lease_until_s,
        body=row.body,
    )


async def _conversation(db: AsyncConnection, key: Key) -> tuple[Item, ...] | None:
    number = await _number(db, key)
    if number is None:
        return None
    listed = _LISTED.where(links.c.response == number).order_by(links.c.output, links.c.position)
    return tuple(Item(id=id_, body=body) for id_, body in await db.execute(listed))


async def _page(db: AsyncConnection, key: Key, limit: int, newest_first: bool, after: str | None) -> ItemPage | None:
    number = await _number(db, key)
    if number is None:
        return None
    asked = and_(links.c.response == number, ~links.c.output)
    listed, position = _LISTED.where(asked), links.c.position
    if after is not None:  # an id that stands twice is passed for good
        last = (func.min if newest_first else func.max)(position)
        place = await db.scalar(
            select(last).join(items, items.c.number == links.c.item).where(asked, items.c.id == after)
        )
        if place is None:
            raise LookupError(after)
        listed = listed.where(position < place if newest_first else position > place)
    listed = listed.order_by(position.desc() if newest_first else position).limit(limit + 1)
    rows = (await db.execute(listed)).all()
    return ItemPage(items=tuple(Item(id=id_, body=body) for id_, body in rows[:limit]), more=len(rows) > limit)


async def _item(db: AsyncConnection, owner: str, item_id: str) -> Item | None:
    wanted = select(items.c.body).where(items.c.owner == owner, items.c.id == item_id)
    body = await db.scalar(wanted.order_by(items.c.number.desc()).limit(1))
    return None if body is None else Item(id=item_id, body=body)


def _batches(rows: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    """``rows`` in pieces that fit into a statement, each with the place of its first."""
    for first in range(0, len(rows), ROWS):
        yield first, rows[first : first + ROWS]
