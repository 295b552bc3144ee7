"""Part of a core for a process, by the kernel's own accounting: so that on a small machine a gateway leaves cores free."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["held_to"]

PERIOD_US: Final = 50_000
ROOTS: Final = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
"""Where groups are made for the first and the second version of the kernel's interface."""


@contextmanager
def held_to(part: float, pids: Iterable[int], roots: Iterable[Path] = ROOTS) -> Generator[bool]:
    """Let each of ``pids`` take ``part`` of a core at most; False, and nothing is held, where this user may not ask for that."""
    made: list[tuple[Path, Path]] = []
    try:
        for root in roots:
            if _holds(root, part, pids, made):
                yield True
                return
        yield False
    finally:
        for root, group in made:
            for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
                with suppress(ProcessLookupError):
                    (root / "cgroup.procs").write_text(pid, encoding="ascii")
            group.rmdir()


def _holds(root: Path, part: float, pids: Iterable[int], made: list[tuple[Path, Path]]) -> bool:
    quota, period = str(int(part * PERIOD_US)), str(PERIOD_US)
    for pid in pids:
        group = root / f"gatewright-benchmark-{os.getpid()}-{pid}"
        try:
            group.mkdir()
        except OSError:
            return False
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(period, encoding="ascii")
            (group / "cpu.cfs_quota_us").write_text(quota, encoding="ascii")
        elif (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {period}", encoding="ascii")
        else:
            group.rmdir()
            return False
        made.append((root, group))
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
    return True
