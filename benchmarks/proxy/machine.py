"""What a tree of processes took of the machine: CPU time and resident memory, from /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CpuClock", "cpu_ns_by_thread", "descendants", "resident_bytes", "spent_s", "urgent"]


def descendants(pid: int) -> list[int]:
    """``pid`` and every process below it that lives."""
    found = [pid]
    for each in found:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_ns_by_thread(pid: int, *, below: bool = True) -> dict[int, int]:
    """Nanoseconds that each living thread of a tree ran, user and system. Finer than `stat`, which counts in 10 ms.

    ``below``: its children's, too.
    """
    times: dict[int, int] = {}
    for each in descendants(pid) if below else [pid]:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                times[int(task.name)] = int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return times


class CpuClock:
    """CPU seconds of a tree since it was made. A thread that ends meanwhile keeps what was seen of it at the last look."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = cpu_ns_by_thread(pid)
        self._seen: dict[int, int] = dict(self._before)

    def read_s(self) -> float:
        self._seen |= cpu_ns_by_thread(self._pid)
        return spent_s(self._before, self._seen)


def spent_s(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """Seconds between two looks; a thread that was not there before has all of its time in them."""
    return sum(ns - before.get(thread, 0) for thread, ns in after.items()) / 1e9


def resident_bytes(pid: int) -> int:
    """Of the whole tree, pages that its processes share counted once: the sum of the proportional sizes."""
    total = 0
    for each in descendants(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


def urgent() -> None:
    """For a child that is measured: before others on a shared machine, where this user may ask for that."""
    try:
        os.nice(-10)
    except PermissionError:
        return
