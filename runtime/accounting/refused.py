"""Frames that the database refuses: kept beside the journal they came from, until somebody brings them in.

One file for each journal, ``journal/<worker>.refused``, in the journal's own format: as the only file of another journal it is
taken in like one. Whoever holds the journal's lock writes it. Nothing else reads it but who tells an operator of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from runtime.accounting.frames import PriceTable, Refused, encode_frame, scan
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Settlement

__all__ = ["REFUSED", "Aside", "SetAside", "plain", "read_refused", "refused_files"]

REFUSED: Final = ".refused"
_PLAIN: Final = "plain"


class SetAside(msgspec.Struct, frozen=True):
    """``call`` is the settlement's id, or says of which prices it is. ``counted``: limits have counted what it used."""

    call: str
    request_id: str
    file: Path
    reason: str
    counted: bool


class Aside:
    """What one worker sets aside, of its own journal and of those that it takes in. ``directory`` holds the journals."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sound: dict[str, int] = {}  # how far the files are frames, so that each is read once only

    def put(self, worker: str, frame: Refused | PriceTable) -> Path | None:
        """Bring ``frame`` to the disk: into which file, None where it is the last one there already. Raises OSError.

        Whoever dies between this and taking in the rest of the piece does both again.
        """
        path = self._directory / f"{worker}{REFUSED}"
        data = encode_frame(frame)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(file).st_size
            if self._sound.get(worker) != size:
                size = scan(os.pread(file, size, 0)).sound
                os.ftruncate(file, size)
            known = size >= len(data) and os.pread(file, len(data), size - len(data)) == data
            if not known:
                self._sound.pop(worker, None)
                _write(file, data, size)
                size += len(data)
            os.fsync(file)
            self._sound[worker] = size
        finally:
            os.close(file)
        _sync_names(self._directory)
        return None if known else path


def plain(settlement: Settlement) -> Settlement:
    """One of the same time that nobody could have anything against: a database that refuses it, too, refuses all."""
    attempt = AttemptEntry(1, settlement.at_s, _PLAIN, _PLAIN, _PLAIN, "ok", 200, 0, NO_COUNTS, False, 0, False, "")
    return Settlement(
        id=_PLAIN,
        at_s=settlement.at_s,
        request_id=_PLAIN,
        decision=_PLAIN,
        tenant=_PLAIN,
        key=_PLAIN,
        operation=settlement.operation,
        protocol=settlement.protocol,
        model=_PLAIN,
        combo="",
        target=_PLAIN,
        provider=_PLAIN,
        connection=_PLAIN,
        session="",
        stream=False,
        replay="",
        rescues=0,
        outcome="ok",
        error="",
        status=200,
        duration_ms=0,
        first_token_ms=-1,
        counts=NO_COUNTS,
        estimated=False,
        cost_nano_usd=0,
        unpriced=False,
        attempts=(attempt,),
    )


def refused_files(directory: Path) -> list[Path]:
    """Those below ``directory``, which holds the journals."""
    return sorted(directory.glob(f"*{REFUSED}"))


def read_refused(paths: Iterable[Path]) -> list[Settlement]:
    """The settlements in these files, each once. Raises OSError."""
    found = (frame for path in paths for frame in scan(path.read_bytes()).frames)
    return list({each.settlement.id: each.settlement for each in found if isinstance(each, Refused)}.values())


def _write(file: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written


def _sync_names(directory: Path) -> None:
    """A new file is there after a power cut, too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
