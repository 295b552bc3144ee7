"""What a tree of processes took of the machine: CPU time and resident memory, from /proc. And what it gives: a free port."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

__all__ = [
    "CpuClock",
    "cpu_ns_by_thread",
    "descendants",
    "forget_peaks",
    "free_port",
    "resident_bytes",
    "spent_s",
    "urgent",
    "worker_bytes",
]

GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


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
        except GONE:
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


def worker_bytes(pid: int, which: Literal["VmRSS", "VmHWM"] = "VmRSS") -> int:
    """Resident bytes of a tree's largest worker: of the processes below ``pid``, or of itself where there are none.

    Pages that it shares with others count in full. `VmHWM`: the most that it had since `forget_peaks`.
    """
    first, *workers = descendants(pid)
    sizes = [0]
    for each in workers or [first]:
        with suppress(*GONE):
            status = Path(f"/proc/{each}/status").read_text(encoding="ascii", errors="replace")
            sizes += [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{which}:")]
    return max(sizes)


def forget_peaks(pid: int) -> None:
    """Let what each process of a tree holds now be the most that it has held."""
    for each in descendants(pid):
        with suppress(*GONE):
            Path(f"/proc/{each}/clear_refs").write_text("5", encoding="ascii")


def free_port() -> int:
    """Of the loopback address; free until somebody else takes it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def urgent() -> None:
    """For a child that is measured: before others on a shared machine, where this user may ask for that."""
    try:
        os.nice(-10)
    except PermissionError:
        return
