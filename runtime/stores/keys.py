"""Client keys in the SQL database: those that were made here, and which configured ones were revoked. No key in the clear.

Every change counts a revision up, in the same transaction: who knows the revision knows whether to read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import Row, and_, delete, func, insert, or_, select, update
from typing_extensions import override

from runtime.stores.base import StoreError
from runtime.stores.database import Database, among, insert_new
from runtime.stores.tables import keys, revisions, revoked_keys
from runtime.window import Limit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["KeyChange", "KeyPage", "KeySet", "SqlKeys", "StoredKey"]

TOPIC: Final = "keys"
AT_ONCE: Final = 200
"""So many keys are read before calls have their turn."""

_NAMES: Final = msgspec.json.Decoder(tuple[str, ...])
_LIMITS: Final = msgspec.json.Decoder(tuple[Limit, ...])


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept: ``hash`` is its HMAC in hex, ``prefix`` what may be shown of it. Times are Unix seconds."""

    id: str
    name: str
    prefix: str
    hash: str
    scopes: tuple[str, ...]
    created_s: float
    tenant: str = "default"
    models: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    expires_s: float | None = None
    active: bool = True
    revoked_s: float | None = None
    last_used_s: float | None = None
    limits: tuple[Limit, ...] = ()

    @override
    def __repr__(self) -> str:
        return f"StoredKey(id={self.id!r}, name={self.name!r}, hash=…)"

    def good(self, now_s: float) -> bool:
        """Whether calls may be made with it now."""
        return self.active and self.revoked_s is None and (self.expires_s is None or now_s < self.expires_s)


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a key; UNSET is left as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    scopes: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    models: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    pins: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    expires_s: float | msgspec.UnsetType | None = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET
    limits: tuple[Limit, ...] | msgspec.UnsetType = msgspec.UNSET


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept, at one moment. ``revoked`` are hashes of keys that are not kept here, and when they were revoked.

    ``unread`` are the ids of keys that this release cannot read, as a newer one may have written them.
    """

    revision: int
    keys: tuple[StoredKey, ...]
    revoked: dict[str, float]
    unread: tuple[str, ...] = ()

    @property
    def ended(self) -> dict[str, float]:
        """The hashes of all keys that are revoked for good, and when they were: here and in the configuration."""
        return {key.hash: key.revoked_s for key in self.keys if key.revoked_s is not None} | self.revoked


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some keys, the oldest first, without those that this release cannot read.

    ``after`` is when the last one was made, and its id, where there are ``more`` and it was asked for one; ``total`` counts all.
    """

    keys: tuple[StoredKey, ...]
    after: tuple[float, str] | None
    more: bool
    total: int


class SqlKeys:
    """Every method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        return await self._database.read(_revision)

    async def all(self) -> KeySet:
        """Calls have their turn while what was found is read."""
        revision, rows, revoked = await self._database.read(_all)
        found: list[StoredKey] = []
        unread: list[str] = []
        for index, row in enumerate(rows, 1):
            if index % AT_ONCE == 0:
                await asyncio.sleep(0)
            key = _readable(row)
            if key is None:
                unread.append(row.id)
            else:
                found.append(key)
        return KeySet(revision=revision, keys=tuple(found), revoked=revoked, unread=tuple(unread))

    async def page(self, tenant: str | None, *, limit: int, after: tuple[float, str] | None = None) -> KeyPage:
        """At most ``limit`` keys of ``tenant``, of everybody with None, made after the one that ``after`` tells of."""
        total, rows = await self._database.read(partial(_page, tenant=tenant, limit=limit, after=after))
        shown = rows[:limit]
        keys = [key for row in shown if (key := _readable(row)) is not None]
        more = len(rows) > limit
        last = (shown[-1].created_s, shown[-1].id) if more and shown else None
        return KeyPage(keys=tuple(keys), after=last, more=more, total=total)

    async def ended(self, hashes: Sequence[str]) -> dict[str, float]:
        """Those of ``hashes`` whose keys are revoked for good, and when they were."""
        return await self._database.read(partial(_ended, hashes=hashes))

    async def get(self, id_: str) -> StoredKey | None:
        return await self._database.read(partial(_get, id_=id_))

    async def add(self, key: StoredKey) -> None:
        await self._database.write(partial(_add, key=key))

    async def change(self, id_: str, decide: Callable[[StoredKey], KeyChange]) -> StoredKey | None:
        """The key after the change that ``decide`` makes of what it is; None where there is no such key.

        Nobody else changes it between the two. ``decide`` may be asked again; what it raises is raised, and nothing is changed.
        """
        return await self._database.write(partial(_change, id_=id_, decide=decide))

    async def revoke(self, id_: str, now_s: float) -> StoredKey | None:
        """For good: a key stays revoked since the first time. None where there is no such key."""
        return await self._database.write(partial(_revoke, id_=id_, now_s=now_s))

    async def revoke_configured(self, id_: str, hash_: str, now_s: float) -> float:
        """Since when it is revoked."""
        return await self._database.write(partial(_revoke_configured, id_=id_, hash_=hash_, now_s=now_s))

    async def delete(self, id_: str) -> bool:
        """Whether there was one. If it was revoked, that is remembered: it may come back from a backup."""
        return await self._database.write(partial(_delete, id_=id_))

    async def used(self, when_s: Mapping[str, float]) -> None:
        """Note when keys were used last, by their ids; a later use that is known stands."""
        await self._database.write(partial(_used, when_s=when_s))


async def _revision(db: AsyncConnection) -> int:
    found: int | None = await db.scalar(select(revisions.c.revision).where(revisions.c.topic == TOPIC))
    return found or 0


async def _changed(db: AsyncConnection) -> None:
    await db.execute(insert_new(db, revisions).values(topic=TOPIC, revision=0))
    counted = update(revisions).where(revisions.c.topic == TOPIC)
    await db.execute(counted.values(revision=revisions.c.revision + 1))


async def _all(db: AsyncConnection) -> tuple[int, Sequence[Row[tuple[object, ...]]], dict[str, float]]:
    """The revision, the keys, and the hashes of those that are revoked and gone."""
    revision = await _revision(db)  # first: a change that comes between is then read once more
    rows = (await db.execute(select(keys).order_by(keys.c.created_s, keys.c.id))).all()
    revoked = await db.execute(select(revoked_keys.c.hash, revoked_keys.c.revoked_s))
    return revision, rows, {row[0]: row[1] for row in revoked}


async def _page(
    db: AsyncConnection, tenant: str | None, limit: int, after: tuple[float, str] | None
) -> tuple[int, Sequence[Row[tuple[object, ...]]]]:
    """How many there are, and one row more than ``limit`` where there are so many."""
    whose = [] if tenant is None else [keys.c.tenant == tenant]
    total: int | None = await db.scalar(select(func.count()).select_from(keys).where(*whose))
    query = select(keys).where(*whose).order_by(keys.c.created_s, keys.c.id).limit(limit + 1)
    if after is not None:
        made_s, id_ = after
        query = query.where(or_(keys.c.created_s > made_s, and_(keys.c.created_s == made_s, keys.c.id > id_)))
    return total or 0, (await db.execute(query)).all()


async def _ended(db: AsyncConnection, hashes: Sequence[str]) -> dict[str, float]:
    here = select(keys.c.hash, keys.c.revoked_s).where(among(db, keys.c.hash, hashes), keys.c.revoked_s.is_not(None))
    gone = select(revoked_keys.c.hash, revoked_keys.c.revoked_s).where(among(db, revoked_keys.c.hash, hashes))
    return {row[0]: row[1] for query in (here, gone) for row in await db.execute(query)}


async def _get(db: AsyncConnection, id_: str) -> StoredKey | None:
    row = (await db.execute(select(keys).where(keys.c.id == id_))).one_or_none()
    return None if row is None else _key(row)


async def _add(db: AsyncConnection, key: StoredKey) -> None:
    await db.execute(insert(keys).values(_columns(msgspec.structs.asdict(key))))
    await _changed(db)


async def _change(db: AsyncConnection, id_: str, decide: Callable[[StoredKey], KeyChange]) -> StoredKey | None:
    row = (await db.execute(select(keys).where(keys.c.id == id_).with_for_update())).one_or_none()
    if row is None:
        return None
    change = decide(_key(row))
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
    if given:
        await db.execute(update(keys).where(keys.c.id == id_).values(_columns(given)))
        await _changed(db)
    return await _get(db, id_)


async def _revoke(db: AsyncConnection, id_: str, now_s: float) -> StoredKey | None:
    await db.execute(update(keys).where(keys.c.id == id_, keys.c.revoked_s.is_(None)).values(revoked_s=now_s))
    await _changed(db)
    return await _get(db, id_)


async def _revoke_configured(db: AsyncConnection, id_: str, hash_: str, now_s: float) -> float:
    await db.execute(insert_new(db, revoked_keys).values(hash=hash_, id=id_, revoked_s=now_s))
    await _changed(db)
    since: float = (await db.execute(select(revoked_keys.c.revoked_s).where(revoked_keys.c.hash == hash_))).scalar_one()
    return since


async def _delete(db: AsyncConnection, id_: str) -> bool:
    ended = select(keys.c.hash, keys.c.id, keys.c.revoked_s).where(keys.c.id == id_, keys.c.revoked_s.is_not(None))
    if (row := (await db.execute(ended)).one_or_none()) is not None:
        await db.execute(insert_new(db, revoked_keys).values(hash=row.hash, id=row.id, revoked_s=row.revoked_s))
    there = bool((await db.execute(delete(keys).where(keys.c.id == id_))).rowcount)
    if there:
        await _changed(db)
    return there


async def _used(db: AsyncConnection, when_s: Mapping[str, float]) -> None:
    for id_, at_s in sorted(when_s.items()):
        earlier = or_(keys.c.last_used_s.is_(None), keys.c.last_used_s < at_s)
        await db.execute(update(keys).where(keys.c.id == id_, earlier).values(last_used_s=at_s))


def _columns(values: dict[str, object]) -> dict[str, object]:
    """Lists as JSON."""
    return {name: msgspec.json.encode(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _readable(row: Row[tuple[object, ...]]) -> StoredKey | None:
    """None for one that this release cannot read."""
    try:
        return _key(row)
    except StoreError:
        return None


def _key(row: Row[tuple[object, ...]]) -> StoredKey:
    """Raises StoreError."""
    try:
        scopes, models, pins = _NAMES.decode(row.scopes), _NAMES.decode(row.models), _NAMES.decode(row.pins)
        limits = () if row.limits is None else _LIMITS.decode(row.limits)
    except msgspec.DecodeError as error:
        raise StoreError(f"what is kept of the key {row.id!r} cannot be read: {error}") from error
    return StoredKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        prefix=row.prefix,
        hash=row.hash,
        scopes=scopes,
        models=models,
        pins=pins,
        created_s=row.created_s,
        expires_s=row.expires_s,
        active=row.active,
        revoked_s=row.revoked_s,
        last_used_s=row.last_used_s,
        limits=limits,
    )
