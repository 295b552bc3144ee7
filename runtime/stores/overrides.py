"""Overrides in the SQL database, with the secrets they brought: sealed here, opened elsewhere.

Every change counts a revision up, in the same transaction, and is made only upon the revision it was thought of at: two
who change at once cannot make together what neither of them saw compile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import Row, delete, insert, select, update
from typing_extensions import override

from runtime.stores.audit import AuditEntry, add_entry
from runtime.stores.database import Database, insert_new
from runtime.stores.tables import overrides, revisions, stored_secrets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["OverrideChange", "OverrideSet", "SealedSecret", "SqlOverrides", "StoredOverride"]

TOPIC: Final = "overrides"


class StoredOverride(msgspec.Struct, frozen=True, kw_only=True):
    """One entry or setting. ``document`` is its text, None where it is taken away; ``revision`` is the change that made it."""

    section: str
    name: str
    document: str | None
    author: str
    changed_s: float
    revision: int = 0


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as it is kept. ``store_key`` is the id of the key it is encrypted with."""

    id: str
    store_key: str
    sealed: bytes
    created_s: float

    @override
    def __repr__(self) -> str:
        return f"SealedSecret(id={self.id!r}, store_key={self.store_key!r})"


class OverrideSet(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept, at one moment, in the order of sections and names."""

    revision: int = 0
    overrides: tuple[StoredOverride, ...] = ()
    secrets: tuple[SealedSecret, ...] = ()


class OverrideChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change: what is put, what is taken back, the secrets that come, and those that nothing refers to any more."""

    put: tuple[StoredOverride, ...] = ()
    taken: tuple[tuple[str, str], ...] = ()
    secrets: tuple[SealedSecret, ...] = ()
    forgotten: tuple[str, ...] = ()


class SqlOverrides:
    """Every method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        return await self._database.read(_revision)

    async def all(self) -> OverrideSet:
        return await self._database.read(_all)

    async def change(self, change: OverrideChange, upon: int, entries: Collection[AuditEntry]) -> int | None:
        """Make ``change`` and write ``entries`` to the audit log, all of it or nothing; the new revision.

        None where another revision than ``upon`` is there, and nothing was done.
        """
        return await self._database.write(partial(_change, change=change, upon=upon, entries=entries))

    async def reseal(self, secrets: Collection[SealedSecret]) -> None:
        """Put the same secrets under another key. No change of the configuration, so no revision."""
        await self._database.write(partial(_reseal, secrets=secrets))


async def _revision(db: AsyncConnection) -> int:
    found: int | None = await db.scalar(select(revisions.c.revision).where(revisions.c.topic == TOPIC))
    return found or 0


async def _all(db: AsyncConnection) -> OverrideSet:
    revision = await _revision(db)  # first: a change that comes between is then read once more
    rows = await db.execute(select(overrides).order_by(overrides.c.section, overrides.c.name))
    kept = await db.execute(select(stored_secrets).order_by(stored_secrets.c.id))
    return OverrideSet(
        revision=revision,
        overrides=tuple(_override(row) for row in rows),
        secrets=tuple(_secret(row) for row in kept),
    )


async def _change(
    db: AsyncConnection, change: OverrideChange, upon: int, entries: Collection[AuditEntry]
) -> int | None:
    await db.execute(insert_new(db, revisions).values(topic=TOPIC, revision=0))
    seen = (revisions.c.topic == TOPIC) & (revisions.c.revision == upon)
    counted = await db.execute(update(revisions).where(seen).values(revision=upon + 1))
    if not counted.rowcount:
        return None
    for section, name in (*change.taken, *((each.section, each.name) for each in change.put)):
        await db.execute(delete(overrides).where(overrides.c.section == section, overrides.c.name == name))
    for each in change.put:
        columns: Mapping[str, object] = msgspec.structs.asdict(each) | {"revision": upon + 1}
        await db.execute(insert(overrides).values(columns))
    for secret in change.secrets:
        await db.execute(insert(stored_secrets).values(msgspec.structs.asdict(secret)))
    if change.forgotten:
        await db.execute(delete(stored_secrets).where(stored_secrets.c.id.in_(change.forgotten)))
    for entry in entries:
        await add_entry(db, entry)
    return upon + 1


async def _reseal(db: AsyncConnection, secrets: Collection[SealedSecret]) -> None:
    for each in secrets:
        there = update(stored_secrets).where(stored_secrets.c.id == each.id)
        await db.execute(there.values(store_key=each.store_key, sealed=each.sealed))


def _override(row: Row[tuple[object, ...]]) -> StoredOverride:
    return StoredOverride(
        section=row.section,
        name=row.name,
        document=row.document,
        author=row.author,
        changed_s=row.changed_s,
        revision=row.revision,
    )


def _secret(row: Row[tuple[object, ...]]) -> SealedSecret:
    return SealedSecret(id=row.id, store_key=row.store_key, sealed=row.sealed, created_s=row.created_s)
