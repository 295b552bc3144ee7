"""What `gatewright doctor` says of what the store keeps: keys, people who may log in, backups, journals. Reads, makes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import URL

from runtime.accounting.journal import JOURNAL, journal_files
from runtime.accounting.price import usd
from runtime.accounting.refused import read_refused, refused_files
from runtime.services.backup_files import BACKUPS, BackupFiles
from runtime.stores.database import Database
from runtime.stores.keys import SqlKeys
from runtime.stores.migrate import SCHEMA, schema_version
from runtime.stores.people import SqlPeople

__all__ = ["backups", "kept", "refused", "waiting"]

OLD_S = 30 * 86_400


async def kept(address: URL) -> str:
    """How many keys and people there are. Raises StoreError."""
    database = Database(address)
    try:
        if not database.there() or (await schema_version(database) or "") < SCHEMA:
            return "what is kept can be told once `serve` has brought the store into shape"
        keys, people = await SqlKeys(database).all(), await SqlPeople(database).all()
    finally:
        await database.aclose()
    now_s = time.time()
    good = sum(1 for key in keys.keys if key.good(now_s))
    revoked = f", {len(keys.revoked)} configured ones revoked" if keys.revoked else ""
    log_in = f"{len(people)} can log in" if people else "nobody can log in (`gatewright people add`)"
    return f"{len(keys.keys)} stored keys, {good} of them good{revoked}; {log_in}"


def waiting(data_dir: Path) -> str:
    """What of the journals is not in the ledger, as far as their files tell."""
    directory = data_dir / JOURNAL
    workers = [each for each in directory.iterdir() if each.is_dir()] if directory.is_dir() else []
    size = sum(path.stat().st_size for each in workers for path in journal_files(each))
    if not workers:
        return "no journal waits: all that calls cost is in the ledger"
    return f"{len(workers)} with {size // 1024} KiB; what dead workers left is taken in by the next that runs"


def refused(data_dir: Path) -> str | None:
    """How many calls the database refused, and where they are kept; None where there are none. Raises OSError."""
    files = refused_files(data_dir / JOURNAL)
    if not files:
        return None
    calls = read_refused(files)
    cost = usd(sum(each.cost_nano_usd for each in calls))
    where = ", ".join(map(str, files))
    return f"{len(calls)} calls, ${cost}, are not in it: the database refused them, and they are kept in {where}"


def backups(data_dir: Path) -> Iterator[tuple[bool, str]]:
    """Whether there is a backup that is not old, and files that others can read."""
    directory = data_dir / BACKUPS
    found = BackupFiles(directory, time.time, bytes).listed()
    if not found:
        yield True, "there are none; `PUT /api/db-backups` makes one"
        return
    age_s = time.time() - found[0].made_s
    yield age_s < OLD_S, f"{len(found)}, the newest is {found[0].name}, {int(age_s // 86_400)} days old"
    for backup in found:
        mode = (directory / backup.name).stat().st_mode & 0o777
        if mode & 0o077:
            yield (
                False,
                f"{directory / backup.name} can be read by others (mode {mode:04o}); run: chmod 600 {directory / backup.name}",
            )
