"""Bringing the database to the shape this code knows, before anything is served.

Steps only expand, until no running release needs what a later step takes away: so a release works on the shape of the
next one, and machines can be replaced one after the other. Alembic is loaded only where a step is missing.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from runtime.stores.base import StoreError
from runtime.stores.database import Database

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SCHEMA", "migrate", "migrate_apart", "schema_version"]

SCHEMA: Final = "0006"
"""The step that this code is written for: the last one of `migrations/versions`."""

_LOCK: Final = 0x67617465
"""Any number, the same in every process: who migrates a PostgreSQL database holds it."""


async def schema_version(database: Database) -> str | None:
    """The last step that was made; None in a new database. Raises StoreError."""
    return await database.read(lambda connection: connection.run_sync(_version))


async def migrate(database: Database) -> str:
    """Make the steps that are missing, in one transaction; the version before, or "" for a new database.

    Several processes may ask at once: one does it, the others wait. Raises StoreError, also for a database of something
    else. One that is newer than this code stays as it is.
    """
    before = await schema_version(database)
    if before is None or before < SCHEMA:
        before = await database.write(_upgrade)
    return before or ""


def migrate_apart(url: URL) -> None:
    """Make the steps that are missing in a process of its own, of which nothing stays: who is forked later would keep it all.

    Says nothing of what goes wrong: whoever migrates afterwards meets it again.
    """
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_migrated(url))
        finally:
            os._exit(0)
    with suppress(ChildProcessError):  # where signals of children are ignored, it is gone when it has ended
        os.waitpid(child, 0)


async def _migrated(url: URL) -> None:
    database = Database(url)
    try:
        await migrate(database)
    finally:
        await database.aclose()


async def _upgrade(connection: AsyncConnection) -> str | None:
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return await connection.run_sync(_make_steps)


def _make_steps(connection: Connection) -> str | None:
    from alembic import command
    from alembic.config import Config

    before = _version(connection)
    if before is None and inspect(connection).get_table_names():
        raise StoreError("the database holds tables of something else")
    if before is None or before < SCHEMA:
        config = Config()
        config.set_main_option("script_location", "runtime.stores:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("schema_version"):
        return None
    return connection.execute(text("SELECT version_num FROM schema_version")).scalar()
