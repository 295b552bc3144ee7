"""The journal of one worker: what it owes the ledger, in files that only grow.

One `write` per entry, so that an entry is there as a whole or not at all, whatever kills the process. Files are handed to
the disk once a second (`sync`): only a power cut can cost the last second. A write that fails leaves nothing behind.

Layout: ``journal/<worker>/00000001.log`` and so on, beside ``lock``, which the worker holds while it lives. What a file
needs of the ones before it, it repeats: the calls that are still open, and the prices they name. So files go one by one,
the oldest first, each as soon as it is drained.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["JOURNAL", "LOCK", "Journal", "file_name", "journal_files", "remove"]

JOURNAL: Final = "journal"
LOCK: Final = "lock"
ROTATE_BYTES: Final = 16 << 20


class Journal:
    """Makes its files with the first entry. ``limit_bytes`` is how much may wait to be drained."""

    def __init__(self, directory: Path, worker: str, limit_bytes: int, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.directory = directory / worker
        self.worker = worker
        self._limit_bytes = limit_bytes
        self._rotate_bytes = rotate_bytes
        self._lock = -1
        self._file = -1
        self._number = 0
        self._size = 0
        self._unsynced = False
        self._prices: dict[str, bytes] = {}
        self._open: dict[str, bytes] = {}
        self.waiting_bytes = 0

    @property
    def full(self) -> bool:
        """Whether as much waits to be drained as may."""
        return self.waiting_bytes >= self._limit_bytes

    @property
    def current(self) -> int:
        """The number of the file that grows; 0 before there is one."""
        return self._number

    def knows(self, price_version: str) -> bool:
        """Whether the file that grows has these prices."""
        return price_version in self._prices

    def open(self, id_: str, frame: bytes, prices: tuple[str, bytes] | None) -> None:
        """Note that an attempt of call ``id_`` is about to be sent, at ``prices``: their version, and the frame that tells of them. Raises OSError."""
        if self.waiting_bytes >= self._limit_bytes:
            raise OSError(0, "it holds as much as it may, and the store does not take it")
        if prices is None or prices[0] in self._prices:
            self._append(frame)
        else:
            self._append(prices[1] + frame)
            self._prices[prices[0]] = prices[1]
        self._open[id_] = self._open[id_] + frame if id_ in self._open else frame

    def settle(self, id_: str, frame: bytes) -> bool:
        """Note what call ``id_`` came to; not where it has taken in twice as much as may wait, from calls that went on all the same. Raises OSError."""
        if self.waiting_bytes >= 2 * self._limit_bytes:
            return False
        self._append(frame)
        self._open.pop(id_, None)
        return True

    def drained(self, size: int) -> None:
        """So many bytes more need not wait any longer."""
        self.waiting_bytes = max(0, self.waiting_bytes - size)

    def take_sync(self) -> int | None:
        """A descriptor of its own for the file that has news for the disk, to be synced and closed; None without news."""
        if not self._unsynced or self._file < 0:
            return None
        self._unsynced = False
        return os.dup(self._file)

    def restart(self) -> None:
        """Begin anew with the next entry: somebody has taken the files away."""
        self.close_files()
        self._number = self._size = self.waiting_bytes = 0
        self._prices.clear()

    def close(self) -> bool:
        """Let go of the files, and take them away if nothing waits in them; else whoever looks for orphans finds them."""
        done = self._number > 0 and not self.waiting_bytes and not self._open
        if done:
            remove(self.directory)  # while the lock is held: to others it is nobody's orphan
        self.close_files()
        return done

    def close_files(self) -> None:
        """As the death of the process does."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    # -- inside

    def _append(self, data: bytes) -> None:
        if self._file < 0:
            self._begin()
        elif self._size >= self._rotate_bytes:
            self._rotate()
        size = len(data)
        try:
            if os.write(self._file, data) < size:
                raise _full()
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += size
        self.waiting_bytes += size
        self._unsynced = True

    def _begin(self) -> None:
        """Make the directory with the lock already held in it, so that nobody takes it for an orphan."""
        draft = self.directory.with_name(f".{self.worker}")
        draft.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(draft / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file = self._make(draft, 1)
            draft.rename(self.directory)
        except BaseException:
            os.close(lock)
            raise
        self._lock, self._file, self._number, self._size = lock, file, 1, 0

    def _rotate(self) -> None:
        """Go on in a new file; where that cannot be, in the old one."""
        carried = b"".join((*self._prices.values(), *self._open.values()))
        try:
            file = self._make(self.directory, self._number + 1)
        except OSError:
            return
        try:
            if os.write(file, carried) < len(carried):
                raise _full()
        except OSError:
            os.close(file)
            with suppress(OSError):
                (self.directory / file_name(self._number + 1)).unlink()
            return
        with suppress(OSError):
            os.fdatasync(self._file)
        os.close(self._file)
        self._file, self._number, self._size = file, self._number + 1, len(carried)
        self.waiting_bytes += len(carried)

    @staticmethod
    def _make(directory: Path, number: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC
        return os.open(directory / file_name(number), flags, 0o600)


def _full() -> OSError:
    """Of what was to be written, some was."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def file_name(number: int) -> str:
    return f"{number:08d}.log"


def journal_files(directory: Path) -> list[Path]:
    """The files of one worker, the oldest first."""
    return sorted(directory.glob("[0-9]*.log"))


def remove(directory: Path) -> None:
    """Take away a journal that is drained, files first: what is left by a crash is an orphan with nothing to say."""
    for path in (*journal_files(directory), directory / LOCK):
        with suppress(FileNotFoundError):
            path.unlink()
    with suppress(OSError):
        directory.rmdir()
