"""From the journals into the ledger, at least once a second: this worker's, and those that dead workers left behind.

A piece is taken in whole or not at all, and how far is written with it; so it does not matter when this is killed, nor how
often it begins again. While the store cannot be reached the journals wait. A row that it refuses, though it takes others, is set aside.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from runtime.accounting.frames import Frame, Kept, Opened, PriceTable, Refused, Scanned, scan, scan_kept
from runtime.accounting.journal import LOCK, file_name, journal_files, remove
from runtime.accounting.ledger import Ledger
from runtime.accounting.lost import lost_settlements
from runtime.accounting.refused import Aside, SetAside, plain
from runtime.catalog import Prices
from runtime.stores.base import StoreError, StoreRefusedError
from runtime.stores.entries import Settlement
from runtime.stores.ledger import Taken

__all__ = ["Drain", "Standing"]

Standing: TypeAlias = Literal["ok", "behind", "failing", "refusing"]

EVERY_S: Final = 0.5
ADOPT_S: Final = 5.0
BEGUN_S: Final = 5.0
"""How long a worker that starts waits for that. What there is after an hour without a store takes longer."""

PRUNE_S: Final = 5.0
PRUNE_BATCHES: Final = 20
OWN: Final = "own"
OTHERS: Final = "others"
OLD: Final = "old"
"""What is done: one's own journal is drained, others' are taken in, what is old goes. Each may fail by itself."""

_ROWS: Final = (Settlement, PriceTable, Refused)
"""Of a journal's frames those that become rows."""

PIECE_BYTES: Final = 256 << 10
"""What is taken in at once: some five hundred requests. Of a quarter of that, the statements around theirs cost as much as theirs."""


class Store(Protocol):
    """`SqlLedger`."""

    async def drained(self, file: str) -> int: ...
    async def take(self, piece: Taken) -> int: ...
    async def accepts(self, piece: Taken) -> bool: ...
    async def forget(self, file: str) -> None: ...
    async def prune(self, before_s: float, keep: int) -> int: ...


class Drain:
    """``retention`` tells how long in seconds, and how many requests are kept one by one. ``now`` gives Unix seconds.

    ``changed`` hears why the store does not take the journal, and None when it does again; ``refused`` of each row set aside.

    Attributes:
        caught_up: whether what dead workers had left behind at the start is in the ledger, or cannot be read.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        retention: Callable[[], tuple[float, int]],
        now: Callable[[], float],
        changed: Callable[[str | None], None] = lambda _: None,
        refused: Callable[[SetAside], None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._journal = ledger.journal
        self._store = store
        self._retention = retention
        self._now = now
        self._changed = changed
        self._refused = refused
        self._aside = Aside(self._journal.directory.parent)
        self._first = 1
        self._at = 0
        self._turn = asyncio.Lock()
        self._troubles: dict[str, str] = {}
        self._begun = asyncio.Event()
        self.caught_up = False

    @property
    def trouble(self) -> str | None:
        """Why the store does not take what it is brought, or why something cannot be brought."""
        return next(iter(self._troubles.values()), None)

    @property
    def standing(self) -> Standing:
        """`behind` while the store does not take the journal, `failing` while that cannot be written to, `refusing` where calls wait for it."""
        if self._ledger.trouble is not None:
            return "refusing" if self._ledger.refuses else "failing"
        return "ok" if self.trouble is None else "behind"

    async def run(self) -> None:
        """Drain until cancelled."""
        loop = asyncio.get_running_loop()
        adopt_at = prune_at = loop.time()
        while True:
            await self.once()
            if OWN not in self._troubles:  # else the store would say the same again
                if loop.time() >= adopt_at:
                    adopt_at = loop.time() + ADOPT_S
                    await self._quietly(OTHERS, self.catch_up())
                self._begun.set()
                if loop.time() >= prune_at:
                    prune_at = loop.time() + PRUNE_S
                    await self._quietly(OLD, self._prune())
            self._begun.set()
            await asyncio.sleep(EVERY_S)

    async def begun(self) -> None:
        """Until `run` has taken in what dead workers left behind, or found that it cannot; for `BEGUN_S` at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEGUN_S):
                await self._begun.wait()

    async def once(self) -> None:
        """Take in all that this worker's journal has, and hand it to the disk."""
        self._ledger.retry()
        descriptor = self._journal.take_sync()
        if descriptor is not None:
            await asyncio.to_thread(_sync, descriptor)
        await self._quietly(OWN, self._drain())

    async def aclose(self) -> None:
        """The last of it, at the end of the worker; what the store does not take then waits for another worker."""
        await self.once()
        name = self._name(self._journal.current)
        if self._journal.close():
            with suppress(StoreError):
                await self._store.forget(name)

    async def adopt(self) -> int:
        """Take in what dead workers left behind, and settle what they had not; how many journals there were."""
        adopted = 0
        for directory in self._neighbours():
            lock = _take_lock(directory)
            if lock is None:
                continue
            try:
                await self._take_orphan(directory)
                adopted += 1
            finally:
                os.close(lock)
        return adopted

    async def catch_up(self) -> int:
        """`adopt`, and note that it was done once. What can never be read is not waited for; a store that is away is."""
        try:
            adopted = await self.adopt()
        except Exception as error:
            waits = isinstance(error, StoreError) and not isinstance(error, StoreRefusedError)
            self.caught_up = self.caught_up or not waits
            raise
        self.caught_up = True
        return adopted

    async def _quietly(self, what: str, job: Awaitable[int]) -> None:
        """Do ``job``. A store or a file that fails is noted until the same is done, and tried again later."""
        try:
            await job
        except Exception as error:  # noqa: BLE001 — whatever it is, draining must go on when it is over
            why = str(error) or type(error).__name__
            if not self._troubles:
                self._changed(why)
            self._troubles[what] = why
            return
        if self._troubles:
            self._troubles.pop(what, None)
            if what == OWN:  # the store was there, and to take away what is old needs nothing else
                self._troubles.pop(OLD, None)
            if not self._troubles:
                self._changed(None)

    async def _prune(self) -> int:
        for_s, keep = self._retention()
        pruned = 0
        for _ in range(PRUNE_BATCHES):
            some = await self._store.prune(self._now() - for_s, keep)
            pruned += some
            if not some:
                break
        return pruned

    # -- this worker's

    async def _drain(self) -> int:
        """How many pieces were taken in."""
        async with self._turn:
            pieces = 0
            if self._journal.current and not self._journal.directory.exists():
                await self._begin_anew()
            while self._first <= self._journal.current:
                number = self._first
                pieces += await self._drain_file(number)
                if (
                    number == self._journal.current
                ):  # looked at without a pause since the last read: nothing came after it
                    break
                self._first, self._at = number + 1, 0
                (self._journal.directory / file_name(number)).unlink()
                await self._store.forget(self._name(number))
            if self._troubles and not pieces:  # nothing was brought there: it may still be gone
                await self._store.drained(self._name(self._journal.current))
            return pieces

    async def _begin_anew(self) -> None:
        """The files are gone with what waited in them."""
        for number in range(self._first, self._journal.current + 1):
            await self._store.forget(self._name(number))
        self._journal.restart()
        self._first, self._at = 1, 0
        raise FileNotFoundError(f"{self._journal.directory} was taken away, with what waited in it")

    async def _drain_file(self, number: int) -> int:
        path, name = self._journal.directory / file_name(number), self._name(number)
        pieces, size = 0, PIECE_BYTES
        while True:
            data, whole = _read(path, self._at, size)
            scanned = scan_kept(data)
            if scanned.frames:
                taken = await self._bring(name, self._at, scanned.frames, scanned.ends, self._at)
                self._journal.drained(max(0, taken - self._at))
                self._at = taken  # elsewhere than they end where the store was brought back to a backup
                pieces, size = pieces + 1, PIECE_BYTES
            elif whole:
                return pieces
            else:
                size *= 2  # a frame that is longer

    def _name(self, number: int) -> str:
        return f"{self._journal.worker}/{file_name(number)}"

    # -- others'

    def _neighbours(self) -> list[Path]:
        """The journals beside ours, half-made ones included."""
        above = self._journal.directory.parent
        with suppress(FileNotFoundError):
            return [each for each in sorted(above.iterdir()) if each.is_dir() and each != self._journal.directory]
        return []

    async def _take_orphan(self, directory: Path) -> None:
        """All files of a journal, in order; then what was still open is lost, and the journal goes."""
        left = _Left()
        at: dict[str, tuple[int, int]] = {}
        for path in journal_files(directory):
            name = f"{directory.name.lstrip('.')}/{path.name}"
            at[name] = await self._take_orphan_file(name, path, left)
        if left.opened and at:
            await self._settle_lost(*next(reversed(at.items())), left)
        remove(directory)
        for name in at:
            await self._store.forget(name)

    async def _settle_lost(self, name: str, ends: tuple[int, int], left: _Left) -> None:
        """As if they stood behind the file ``name``, a byte each: how many of them are in is known, whatever dies in between."""
        at, begins = min(ends), ends[1]
        prices = (PriceTable(version, each) for version, each in left.prices.items())
        frames: list[Frame] = [*prices, *lost_settlements(left.opened.values(), left.prices)]
        await self._bring_rest(name, begins, frames, range(1, len(frames) + 1), at)

    async def _take_orphan_file(self, name: str, path: Path, left: _Left) -> tuple[int, int]:
        """Take in what is not in the ledger yet, and note what is open; how far it is sound, and was taken in."""
        begins, at, size = await self._store.drained(name), 0, PIECE_BYTES
        while True:
            data, whole = _read(path, at, size)
            scanned = scan(data)
            if scanned.frames:
                left.note(scanned)
                begins = await self._bring_rest(name, begins, scanned.frames, scanned.ends, at)
                at, size = at + scanned.sound, PIECE_BYTES
            elif whole:
                return at, begins
            else:
                size *= 2

    # -- into the store

    async def _bring_rest(self, name: str, begins: int, frames: Sequence[Frame], ends: Sequence[int], at: int) -> int:
        """Take in what of ``frames``, which begin at ``at``, stands behind ``begins``; how far the file was taken in."""
        first = bisect_right(ends, begins - at)
        if first == len(frames):
            return begins
        return await self._bring(name, max(at, begins), frames[first:], ends[first:], at)

    async def _bring(self, name: str, begins: int, frames: Sequence[Frame | Kept], ends: Sequence[int], at: int) -> int:
        """Take in ``frames``, which begin at ``begins`` and end so many bytes behind ``at``; how far the file was taken in.

        What the store refuses of them is looked for by halves, and set aside.
        """
        piece = _piece(name, begins, frames, at + ends[-1])
        try:
            return await self._store.take(piece)
        except StoreRefusedError as error:
            rows = [index for index, each in enumerate(frames) if isinstance(each, _ROWS)]
            if not rows:
                raise
            if len(rows) == 1:
                return await self._set_aside(piece, frames[rows[0]], error)
        middle = rows[len(rows) // 2]
        taken = await self._bring(name, begins, frames[:middle], ends[:middle], at)
        if taken != at + ends[middle - 1]:  # the store was brought back to a backup
            return taken
        return await self._bring(name, taken, frames[middle:], ends[middle:], at)

    async def _set_aside(self, piece: Taken, row: Frame | Kept, error: StoreRefusedError) -> int:
        """Take in ``piece`` without its only row. Limits count that row nevertheless, if the store takes as much.

        Raises StoreRefusedError where the store refuses what nobody could have anything against: then this row is not at fault.
        """
        rest = Taken(file=piece.file, begins=piece.begins, ends=piece.ends, settlements=())
        worker = piece.file.partition("/")[0]
        if isinstance(row, PriceTable):
            if not await self._store.accepts(rest):
                raise error
            if path := await asyncio.to_thread(self._aside.put, worker, row):
                self._refused(SetAside(f"prices {row.version}", "", path, str(error), counted=False))
            return await self._store.take(rest)
        (settlement,) = piece.settlements
        if not await self._store.accepts(msgspec.structs.replace(rest, settlements=(plain(settlement),))):
            raise error
        counting = msgspec.structs.replace(rest, spent=(settlement,))
        before = bool(piece.counted)
        counted = before or await self._store.accepts(counting)
        if path := await asyncio.to_thread(self._aside.put, worker, Refused(settlement, counted)):
            self._refused(SetAside(settlement.id, settlement.request_id, path, str(error), counted=counted))
        return await self._store.take(counting if counted and not before else rest)


class _Left:
    """What the frames of a journal leave open, by the call, and the prices they name."""

    def __init__(self) -> None:
        self.opened: dict[str, dict[int, Opened]] = {}
        self.prices: dict[str, Prices] = {}

    def note(self, scanned: Scanned[Frame]) -> None:
        for frame in scanned.frames:
            match frame:
                case Opened():
                    self.opened.setdefault(frame.id, {})[frame.number] = frame
                case Settlement():
                    self.opened.pop(frame.id, None)
                case Refused():
                    self.opened.pop(frame.settlement.id, None)
                case PriceTable():
                    self.prices[frame.version] = frame.prices


def _piece(name: str, begins: int, frames: Sequence[Frame | Kept], ends: int) -> Taken:
    settlements = [each for each in frames if isinstance(each, Settlement)]
    counted: frozenset[str] = frozenset()
    if again := [each for each in frames if isinstance(each, Refused)]:
        settlements += [each.settlement for each in again]
        counted = frozenset(each.settlement.id for each in again if each.counted)
    return Taken(
        file=name,
        begins=begins,
        ends=ends,
        settlements=settlements,
        prices={each.version: each.prices for each in frames if isinstance(each, PriceTable)},
        counted=counted,
    )


def _read(path: Path, at: int, size: int) -> tuple[bytes, bool]:
    """``size`` bytes from ``at`` on, and whether the file ends in them. Room is made for what is there alone: mostly little is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, min(size, max(0, os.fstat(descriptor).st_size - at)), at)
    finally:
        os.close(descriptor)
    return data, len(data) < size


def _take_lock(directory: Path) -> int | None:
    """The lock of a journal whose worker is dead; None while it lives, or where somebody else was faster."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _sync(descriptor: int) -> None:
    try:
        with suppress(OSError):
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
