"""The directory where backups lie: names that say when and why, nothing else under those names, and how many are kept.

Only files with a name of ours are backups, and only names are taken from outside: no path leads out of the directory.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from runtime.errors import Conflict, InvalidRequest, NotFound
from runtime.stores.snapshot import Stamp

__all__ = ["BACKUPS", "BackupFile", "BackupFiles", "pepper_mark", "stamp_of"]

BACKUPS: Final = "backups"
"""The name of the directory in the data directory."""

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"db_(?P<at>\d{8}T\d{6}Z)_(?P<reason>[a-z]{1,20})_[0-9a-f]{8}\.sqlite")


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. ``reason`` is why it was made: `manual`, `restore`, `import`, `migration`."""

    name: str
    reason: str
    made_s: float
    size_bytes: int


class BackupFiles:
    """``now`` gives Unix seconds, ``random`` so many random bytes."""

    def __init__(self, directory: Path, now: Callable[[], float], random: Callable[[int], bytes]) -> None:
        self._directory = directory
        self._now = now
        self._random = random

    @contextmanager
    def alone(self) -> Generator[None, None, None]:
        """One makes or puts back at a time, of all processes of the machine. Raises Conflict while another does."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Conflict("another backup is made or put back at this moment; wait for it") from None
            self._clear_drafts()
            yield
        finally:
            os.close(descriptor)

    def named(self, reason: str) -> Path:
        """Where a backup made now for ``reason`` is to lie."""
        at = datetime.fromtimestamp(self._now(), UTC).strftime(_TIME)
        return self._directory / f"db_{at}_{reason}_{self._random(4).hex()}.sqlite"

    def draft(self, ending: str = "sqlite") -> Path:
        """Where something lies that is no backup yet, or never becomes one."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._directory / f".{self._random(8).hex()}.{ending}"

    def listed(self) -> list[BackupFile]:
        """The newest first."""
        if not self._directory.is_dir():
            return []
        found = [backup for path in self._directory.iterdir() if (backup := _read(path)) is not None]
        return sorted(found, key=lambda backup: (backup.made_s, backup.name), reverse=True)

    def path(self, name: str) -> Path:
        """The file of a backup. Raises InvalidRequest for what is no name of one, NotFound where there is none."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest("that is no name of a backup; GET /api/db-backups lists them", param="backupId")
        path = self._directory / name
        if _read(path) is None:
            raise NotFound(f"there is no backup {name!r}")
        return path

    def prune(self, keep: int, not_before_s: float | None, made: Path | None = None) -> list[str]:
        """Delete all but the newest ``keep``, and those made before ``not_before_s``; the newest stays. The names.

        What was ``made`` just now is the newest, also where the clock was set back since others were.
        """
        others = [backup for backup in self.listed() if made is None or backup.name != made.name]
        gone = [
            backup.name
            for place, backup in enumerate(others, 0 if made is None else 1)
            if place >= max(keep, 1) or (place > 0 and not_before_s is not None and backup.made_s < not_before_s)
        ]
        for name in gone:
            (self._directory / name).unlink(missing_ok=True)
        return gone

    def _clear_drafts(self) -> None:
        """What a process left that died over it; whoever streams one out has it open, and needs no name."""
        limit_s = self._now() - 3600
        for path in self._directory.glob(".*"):
            if path.name != ".lock" and path.is_file() and path.stat().st_mtime < limit_s:
                path.unlink(missing_ok=True)


def _read(path: Path) -> BackupFile | None:
    match = _NAME.fullmatch(path.name)
    if match is None or path.is_symlink() or not path.is_file():
        return None
    try:
        made = datetime.strptime(match["at"], _TIME).replace(tzinfo=UTC)
        size_bytes = path.stat().st_size
    except (ValueError, OSError):
        return None
    return BackupFile(name=path.name, reason=match["reason"], made_s=made.timestamp(), size_bytes=size_bytes)


def stamp_of(pepper: bytes) -> Stamp:
    """What a gateway with ``pepper`` puts on its snapshots."""
    return Stamp(mark=pepper_mark(pepper), key=hmac.digest(pepper, b"snapshot seal", "sha256"))


def pepper_mark(pepper: bytes) -> int:
    """Says that two stores have keys of the same pepper, and does not say which; never 0."""
    return int.from_bytes(hmac.digest(pepper, b"snapshot", "sha256")[:4], "big") >> 1 | 1
