"""People who log in, and the browsers where they did. Passwords and tokens are here as hashes only.

A login is looked up at every call it makes, so that one that ended has ended everywhere.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Row, delete, exists, insert, select, update
from typing_extensions import override

from runtime.stores.database import Database
from runtime.stores.tables import logins, people

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Login", "Person", "SqlPeople"]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a password. ``scopes`` are what they may do, in their tenant. Times are Unix seconds."""

    name: str
    password: str
    tenant: str = "default"
    scopes: tuple[str, ...] = ("admin",)
    created_s: float = 0.0
    changed_s: float = 0.0

    @override
    def __repr__(self) -> str:
        return f"Person(name={self.name!r}, tenant={self.tenant!r}, password=…)"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A browser where somebody logged in, until ``expires_s``."""

    name: str
    tenant: str
    scopes: tuple[str, ...]
    created_s: float
    expires_s: float


class SqlPeople:
    """Every method may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def any(self) -> bool:
        """Whether there is anybody."""
        return await self._database.read(_any)

    async def all(self) -> tuple[Person, ...]:
        return await self._database.read(_all)

    async def get(self, name: str) -> Person | None:
        return await self._database.read(partial(_get, name=name))

    async def add_first(self, person: Person) -> bool:
        """Add the very first one; False where there is somebody already, however many ask at once."""
        return await self._database.write(partial(_add_first, person=person))

    async def add(self, person: Person) -> bool:
        """False where there is one of this name."""
        return await self._database.write(partial(_add, person=person))

    async def set_password(self, name: str, password: str, now_s: float, keep: str | None = None) -> bool:
        """Change the password, and end all of their logins but that with the hash ``keep``. False: no such person."""
        return await self._database.write(partial(_set_password, name=name, password=password, now_s=now_s, keep=keep))

    async def remove(self, name: str) -> bool:
        """With all of their logins. False: no such person."""
        return await self._database.write(partial(_remove, name=name))

    async def open(self, token: str, name: str, now_s: float, expires_s: float) -> None:
        """A new login under the hash ``token``. Those that are over are forgotten on this occasion."""
        await self._database.write(partial(_open, token=token, name=name, now_s=now_s, expires_s=expires_s))

    async def who(self, token: str, now_s: float) -> Login | None:
        """Whose login this is, if it is not over."""
        return await self._database.read(partial(_who, token=token, now_s=now_s))

    async def prolong(self, token: str, expires_s: float) -> bool:
        """Whether there still was such a login."""
        return await self._database.write(partial(_prolong, token=token, expires_s=expires_s))

    async def close(self, token: str) -> str | None:
        """End a login; whose it was."""
        return await self._database.write(partial(_close, token=token))


async def _any(db: AsyncConnection) -> bool:
    return bool(await db.scalar(select(exists(select(people.c.name)))))


async def _all(db: AsyncConnection) -> tuple[Person, ...]:
    return tuple(_person(row) for row in await db.execute(select(people).order_by(people.c.name)))


async def _get(db: AsyncConnection, name: str) -> Person | None:
    row = (await db.execute(select(people).where(people.c.name == name))).one_or_none()
    return None if row is None else _person(row)


async def _add_first(db: AsyncConnection, person: Person) -> bool:
    if db.dialect.name == "postgresql":  # two that add different names collide with nothing else
        await db.exec_driver_sql("LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE")
    if await _any(db):
        return False
    return await _add(db, person)


async def _add(db: AsyncConnection, person: Person) -> bool:
    if await _get(db, person.name) is not None:
        return False
    row = msgspec.structs.asdict(person)
    await db.execute(insert(people).values({**row, "scopes": msgspec.json.encode(person.scopes)}))
    return True


async def _set_password(db: AsyncConnection, name: str, password: str, now_s: float, keep: str | None) -> bool:
    changed = update(people).where(people.c.name == name).values(password=password, changed_s=now_s)
    if not (await db.execute(changed)).rowcount:
        return False
    ended = delete(logins).where(logins.c.name == name)
    await db.execute(ended if keep is None else ended.where(logins.c.token != keep))
    return True


async def _remove(db: AsyncConnection, name: str) -> bool:
    await db.execute(delete(logins).where(logins.c.name == name))
    return bool((await db.execute(delete(people).where(people.c.name == name))).rowcount)


async def _open(db: AsyncConnection, token: str, name: str, now_s: float, expires_s: float) -> None:
    await db.execute(delete(logins).where(logins.c.expires_s <= now_s))
    await db.execute(insert(logins).values(token=token, name=name, created_s=now_s, expires_s=expires_s))


async def _who(db: AsyncConnection, token: str, now_s: float) -> Login | None:
    wanted = select(people.c.name, people.c.tenant, people.c.scopes, logins.c.created_s, logins.c.expires_s)
    wanted = wanted.join(people, people.c.name == logins.c.name)
    row = (await db.execute(wanted.where(logins.c.token == token, logins.c.expires_s > now_s))).one_or_none()
    if row is None:
        return None
    return Login(
        name=row.name,
        tenant=row.tenant,
        scopes=msgspec.json.decode(row.scopes, type=tuple[str, ...]),
        created_s=row.created_s,
        expires_s=row.expires_s,
    )


async def _prolong(db: AsyncConnection, token: str, expires_s: float) -> bool:
    later = update(logins).where(logins.c.token == token).values(expires_s=expires_s)
    return bool((await db.execute(later)).rowcount)


async def _close(db: AsyncConnection, token: str) -> str | None:
    name: str | None = await db.scalar(delete(logins).where(logins.c.token == token).returning(logins.c.name))
    return name


def _person(row: Row[tuple[object, ...]]) -> Person:
    return Person(
        name=row.name,
        tenant=row.tenant,
        scopes=msgspec.json.decode(row.scopes, type=tuple[str, ...]),
        password=row.password,
        created_s=row.created_s,
        changed_s=row.changed_s,
    )
