"""A backup of the store as an older release left it, before this one changes its schema. For SQLite; other servers have tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import URL

from runtime.services.backup_files import BACKUPS, BackupFiles
from runtime.stores.database import Database
from runtime.stores.migrate import SCHEMA, schema_version
from runtime.stores.snapshot import Stamp, snapshot

__all__ = ["back_up_before_upgrade"]


async def back_up_before_upgrade(
    url: URL, data_dir: Path, stamp: Stamp, now: Callable[[], float], random: Callable[[int], bytes]
) -> Path | None:
    """The backup, where one was due. Raises StoreError, or Conflict where another process makes one at this moment."""
    database = Database(url)
    try:
        if database.file is None or not database.there():
            return None
        version = await schema_version(database)
        if version is None or version >= SCHEMA:
            return None
        files = BackupFiles(data_dir / BACKUPS, now, random)
        with files.alone():
            path = files.named("migration")
            await snapshot(database, path, stamp)
        return path
    finally:
        await database.aclose()
