"""Backups of the store while the gateway serves: made, listed, put back, taken away and brought in.

Whatever is put back is read from a copy of our own, examined and brought to the present schema first; its overrides have to
compile; the store as it is becomes a backup; then it is exchanged in one transaction, and every worker reads anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import UNSET

from generated.config import BackupSettings
from generated.types.backups import (
    Backup,
    BackupCleaning,
    BackupCreated,
    BackupList,
    BackupRestored,
    BackupsCleaned,
    BackupToRestore,
    DatabaseImported,
)
from runtime.errors import ClientClosed, ConfigError, Conflict, InvalidRequest, PermissionDenied, RouteUnavailable
from runtime.services.audit import Audit
from runtime.services.backup_files import BackupFiles
from runtime.services.bundle import Bundle, bundled
from runtime.services.entrance import Entrance
from runtime.services.keyring import KEYS
from runtime.services.overrides import OVERRIDES, Overrides
from runtime.services.upload import receive_file
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.restore import fit, overrides_in, restore
from runtime.stores.snapshot import Contents, Stamp, Unfit, snapshot
from runtime.web.exchange import Exchange
from runtime.web.header import KEPT_BY_NOBODY
from runtime.web.json_exchange import respond_json
from runtime.web.key import KeyRecord

__all__ = ["Backups"]

PIECE_BYTES: Final = 256 << 10
SQLITE: Final = "application/vnd.sqlite3"


class Backups:
    """Implements `generated.api.backups.BackupsService`. ``stamp`` stands for the pepper, ``bundle`` says what else is exported.

    ``fixed``: the configuration, which a file would bring, is not changed here.
    """

    def __init__(
        self,
        settings: BackupSettings,
        files: BackupFiles,
        database: Database,
        overrides: Overrides,
        colleagues: Colleagues,
        entrance: Entrance,
        audit: Audit,
        stamp: Stamp,
        bundle: Callable[[], Bundle],
        now: Callable[[], float],
        *,
        fixed: bool,
    ) -> None:
        self._settings = settings
        self._files = files
        self._database = database
        self._overrides = overrides
        self._colleagues = colleagues
        self._entrance = entrance
        self._audit = audit
        self._stamp = stamp
        self._bundle = bundle
        self._now = now
        self._fixed = fixed

    async def list_backups(self, caller: KeyRecord) -> BackupList:
        caller.require_manages()
        found = await asyncio.to_thread(self._files.listed)
        return BackupList(
            backups=[
                Backup(
                    id=each.name,
                    filename=each.name,
                    createdAt=_time(each.made_s),
                    size=each.size_bytes,
                    reason=each.reason,
                )
                for each in found
            ]
        )

    async def create_backup(self, caller: KeyRecord) -> BackupCreated:
        caller.require_manages()
        async with self._alone():
            path, contents = await self._made("manual")
        await self._note("backup.created", caller, path.name, {"size": contents.size_bytes})
        return BackupCreated(created=True, id=path.name, filename=path.name, size=contents.size_bytes)

    async def restore_backup(self, caller: KeyRecord, data: BackupToRestore) -> BackupRestored:
        caller.require_manages()
        path = self._files.path(data.backupId)
        draft = self._files.draft()
        try:
            async with self._alone():
                await asyncio.to_thread(shutil.copyfile, path, draft)
                await self._fitting(draft, "backupId")
                before = await self._put_back(draft, "restore")
        finally:
            draft.unlink(missing_ok=True)
        await self._note("backup.restored", caller, path.name, {"before": before})
        return BackupRestored(restored=True, backupId=path.name, previous=before)

    async def clean_backups(self, caller: KeyRecord, data: BackupCleaning) -> BackupsCleaned:
        caller.require_manages()
        days = data.retentionDays
        if days is UNSET and data.keepLatest is UNSET:
            raise InvalidRequest("nothing says what is kept: give `keepLatest` or `retentionDays`", param="keepLatest")
        not_before_s = None if days is UNSET or days == 0 else self._now() - days * 86_400
        async with self._alone():
            keep = self._settings.keep if data.keepLatest is UNSET else data.keepLatest
            gone = await asyncio.to_thread(self._files.prune, keep, not_before_s)
        await self._note("backup.cleaned", caller, "", {"deleted": gone})
        return BackupsCleaned(cleaned=True, deleted=gone)

    async def export_database(self, exchange: Exchange) -> None:
        caller = await self._admitted(exchange)
        draft = self._files.draft()
        try:
            async with _stored():
                contents = await snapshot(self._database, draft, self._stamp)
            await self._note("backup.exported", caller, "", {"size": contents.size_bytes})
            await _send_file(exchange, draft, SQLITE, f"gatewright-{self._moment}.sqlite")
        finally:
            draft.unlink(missing_ok=True)

    async def export_all(self, exchange: Exchange) -> None:
        caller = await self._admitted(exchange)
        draft, archive = self._files.draft(), self._files.draft("tar.gz")
        try:
            async with _stored():
                contents = await snapshot(self._database, draft, self._stamp)
                await asyncio.to_thread(bundled, archive, draft, contents, self._bundle(), _time(self._now()))
            await self._note("backup.exported", caller, "", {"size": archive.stat().st_size, "all": True})
            await _send_file(exchange, archive, "application/gzip", f"gatewright-{self._moment}.tar.gz")
        finally:
            for path in (draft, archive):
                path.unlink(missing_ok=True)

    async def import_database(self, exchange: Exchange) -> None:
        caller = await self._admitted(exchange)
        if self._fixed:
            raise PermissionDenied("the store is not exchanged here: `server.management` is `read_only`")
        draft = self._files.draft()
        try:
            async with _stored():
                await receive_file(exchange, draft, self._settings.upload_limit_bytes)
            async with self._alone():
                contents = await self._fitting(draft, "file")
                before = await self._put_back(draft, "import")
        finally:
            draft.unlink(missing_ok=True)
        await self._note("backup.imported", caller, "", {"before": before, "rows": contents.rows})
        answer = DatabaseImported(
            imported=True,
            filename=before,
            apiKeyCount=contents.rows["keys"],
            overrideCount=contents.rows["overrides"],
            personCount=contents.rows["people"],
            responseCount=contents.rows["responses"],
        )
        await respond_json(exchange, answer)

    # -- inside

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None, None]:
        """One at a time, on this machine. Raises Conflict, or RouteUnavailable where the directory cannot be used."""
        async with _stored():
            with self._files.alone():
                yield

    async def _admitted(self, exchange: Exchange) -> KeyRecord:
        caller = await self._entrance.enter(exchange)
        caller.require_manages()
        return caller

    async def _made(self, reason: str) -> tuple[Path, Contents]:
        """A backup of now; then there may be one too many."""
        path = self._files.named(reason)
        async with _stored():
            contents = await snapshot(self._database, path, self._stamp)
        keep_for_ms = self._settings.keep_for_ms
        not_before_s = None if keep_for_ms is None else self._now() - keep_for_ms / 1000
        await asyncio.to_thread(self._files.prune, self._settings.keep, not_before_s, path)
        return path, contents

    async def _fitting(self, draft: Path, param: str) -> Contents:
        """What is in ``draft``, in the present schema. Raises what is told where it cannot be put back."""
        try:
            contents = await asyncio.to_thread(fit, draft)
        except Unfit as unfit:
            raise InvalidRequest(f"the file cannot be put back: {unfit}", param=param) from None
        if contents.mark not in {0, self._stamp.mark}:
            raise Conflict(
                "the keys in it are hashed with another pepper, and none of them would be good here; give this gateway the "
                "pepper of the one it came from (GATEWRIGHT_PEPPER, or the file `pepper` in its data directory)"
            )
        try:
            await self._overrides.demand_fit(await overrides_in(draft), ours=contents.sealed_by(self._stamp.key))
        except (StoreError, ConfigError) as error:
            raise Conflict(f"its overrides cannot be in force here: {error}") from error
        return contents

    async def _put_back(self, draft: Path, reason: str) -> str:
        """Exchange the store for ``draft``; the name of the backup of what was before."""
        path, _ = await self._made(reason)
        async with _stored():
            await restore(self._database, draft)
        with suppress(SharedError):  # they ask the store themselves
            for news in (KEYS, OVERRIDES):
                await self._colleagues.tell(news, b"")
        return path.name

    async def _note(self, action: str, caller: KeyRecord, target: str, details: dict[str, object]) -> None:
        async with _stored():
            await self._audit.write(action, actor=caller, target=target, resource_type="backup", details=details)

    @property
    def _moment(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%dT%H%M%SZ")


@asynccontextmanager
async def _stored() -> AsyncGenerator[None, None]:
    try:
        yield
    except (StoreError, OSError) as error:
        raise RouteUnavailable(f"the store cannot be backed up or exchanged now: {error}", retry_after_s=5) from error


async def _send_file(exchange: Exchange, path: Path, media_type: str, name: str) -> None:
    """The file as an attachment, piece by piece; it may lose its name meanwhile."""
    with path.open("rb") as file:
        headers = [
            ("content-type", media_type),
            ("content-length", str(os.fstat(file.fileno()).st_size)),
            ("content-disposition", f'attachment; filename="{name}"'),
            KEPT_BY_NOBODY,
            ("x-request-id", exchange.request_id),
        ]
        with suppress(ClientClosed):
            await exchange.start(200, headers)
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                await exchange.send(piece)
            await exchange.finish()


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
