"""The audit log in the SQL database: who changed what, and who tried to. Rows are added and, when old, deleted; never changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Row, delete, func, insert, select

from runtime.stores.database import Database
from runtime.stores.tables import audit_log

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["AuditEntry", "AuditPage", "AuditQuestion", "AuditStatus", "SqlAudit", "add_entry"]

AuditStatus: TypeAlias = Literal["success", "refused", "failed"]

SWEPT: Final = 5000
"""Rows that one transaction deletes at most."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, or refused. ``actor`` is a key's or a person's id, ``details`` holds no secret.

    ``tenant`` is whose it was; ``status`` is `success`, `refused` or `failed`; ``at_s`` are Unix seconds.
    """

    id: str
    at_s: float
    action: str
    actor: str
    target: str = ""
    resource_type: str = ""
    tenant: str = "default"
    status: AuditStatus = "success"
    request_id: str = ""
    ip: str = ""
    details: Mapping[str, object] = {}


class AuditQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; None does not narrow. ``action`` matches what begins with it, too: `auth` is `auth.login`.

    ``before`` is where a page before this one ended.
    """

    action: str | None = None
    actor: str | None = None
    target: str | None = None
    resource_type: str | None = None
    status: str | None = None
    request_id: str | None = None
    tenant: str | None = None
    from_s: float | None = None
    to_s: float | None = None
    limit: int = 50
    offset: int = 0
    before: int | None = None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. ``total`` counts all that match, on whichever page; ``before`` is where this one ended, None at the end."""

    entries: tuple[AuditEntry, ...]
    total: int
    before: int | None = None


class SqlAudit:
    """Every method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entry: AuditEntry) -> None:
        await self._database.write(partial(add_entry, entry=entry))

    async def find(self, question: AuditQuestion) -> AuditPage:
        return await self._database.read(partial(_find, question=question))

    async def sweep(self, before_s: float) -> int:
        """Delete entries made before ``before_s``, a part of them in each transaction; how many went."""
        swept = 0
        while some := await self._database.write(partial(_sweep, before_s=before_s)):
            swept += some
        return swept


async def add_entry(db: AsyncConnection, entry: AuditEntry) -> None:
    """Write ``entry`` in a transaction of somebody else's, so that it stands exactly when what it tells of does."""
    columns = msgspec.structs.asdict(entry) | {"details": msgspec.json.encode(entry.details)}
    await db.execute(insert(audit_log).values(columns))


async def _find(db: AsyncConnection, question: AuditQuestion) -> AuditPage:
    wanted = _conditions(question)
    total = await db.scalar(select(func.count()).select_from(audit_log).where(*wanted))
    newest = select(audit_log).where(*wanted).order_by(audit_log.c.number.desc())
    if question.before is not None:
        newest = newest.where(audit_log.c.number < question.before)
    rows = (await db.execute(newest.limit(question.limit + 1).offset(question.offset))).all()
    shown = rows[: question.limit]
    before = shown[-1].number if len(rows) > question.limit else None
    return AuditPage(entries=tuple(map(_entry, shown)), total=total or 0, before=before)


async def _sweep(db: AsyncConnection, before_s: float) -> int:
    old = select(audit_log.c.number).where(audit_log.c.at_s < before_s).limit(SWEPT)
    return (await db.execute(delete(audit_log).where(audit_log.c.number.in_(old)))).rowcount


def _conditions(question: AuditQuestion) -> list[ColumnElement[bool]]:
    columns = audit_log.c
    exact = {
        columns.actor: question.actor,
        columns.target: question.target,
        columns.resource_type: question.resource_type,
        columns.status: question.status,
        columns.request_id: question.request_id,
        columns.tenant: question.tenant,
    }
    found: list[ColumnElement[bool]] = [column == value for column, value in exact.items() if value is not None]
    if question.action is not None:
        below = columns.action.startswith(f"{question.action}.", autoescape=True)
        found.append((columns.action == question.action) | below)
    if question.from_s is not None:
        found.append(columns.at_s >= question.from_s)
    if question.to_s is not None:
        found.append(columns.at_s <= question.to_s)
    return found


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at_s=row.at_s,
        tenant=row.tenant,
        action=row.action,
        actor=row.actor,
        target=row.target,
        resource_type=row.resource_type,
        status=row.status,
        request_id=row.request_id,
        ip=row.ip,
        details=msgspec.json.decode(row.details),
    )
