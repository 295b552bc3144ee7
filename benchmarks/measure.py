"""Run a command and say what it took: wall time, CPU time, peak memory. And say where: machine and versions."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.proxy.interpreter import described

__all__ = ["Run", "environment", "process_tree_rss_bytes", "publish", "run", "table"]


class Run(msgspec.Struct, frozen=True):
    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> Run:
    """One run to the end. Raises when the command fails, with what it printed."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def process_tree_rss_bytes(pid: int) -> dict[int, int]:
    """Resident bytes of ``pid`` and of each of its children, by process id."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return {each: _rss_bytes(each) for each in (pid, *map(int, children))}


def _rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def environment(python: str = sys.executable) -> str:
    """The machine, the interpreter and the versions, for the head of a page."""
    packages = ("litestar", "msgspec", "granian", "aiohttp", "PyYAML")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {described(python)}; {versions}"


def table(title: str, runs: Mapping[str, Sequence[Run]], targets: Mapping[str, str]) -> str:
    """A Markdown table of medians with [min to max]; ``targets`` maps a row to what is asked of it."""
    lines = [f"## {title}", "", "| what | wall s | CPU s | peak MB | target |", "|---|---|---|---|---|"]
    for name, each in runs.items():
        wall = _spread([run.wall_s for run in each], 2)
        cpu = _spread([run.cpu_s for run in each], 2)
        peak = _spread([run.peak_bytes / 1e6 for run in each], 0)
        lines.append(f"| {name} | {wall} | {cpu} | {peak} | {targets.get(name, '')} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def publish(page: str, name: str, *, write: bool) -> None:
    """Print a page; ``write``: also keep it as ``results/<name>.md``."""
    sys.stdout.write(page)
    if write:
        results = Path(__file__).with_name("results")
        results.mkdir(exist_ok=True)
        results.joinpath(f"{name}.md").write_text(page, encoding="utf-8")
