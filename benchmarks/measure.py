"""Run a command and say what it took: wall time, CPU time, peak memory. And say where: machine and versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.proxy.interpreter import described
from benchmarks.proxy.series import spread

__all__ = ["Run", "environment", "publish", "run", "table"]


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


def environment(python: str = sys.executable) -> str:
    """The machine, the interpreter, the versions and the commit, for the head of a page."""
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
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {described(python)}; {versions}{_commit()}"


def _commit() -> str:
    """What is checked out, `+` where files of it were changed; nothing where there is no git."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]  # others may be at the index
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout

    try:
        name = git("rev-parse", "--short", "HEAD").strip()
        return f"; commit {name}{'+' if git('status', '--porcelain', '--untracked-files=no') else ''}"
    except (OSError, subprocess.CalledProcessError):
        return ""


def table(title: str, runs: Mapping[str, Sequence[Run]], targets: Mapping[str, str]) -> str:
    """A Markdown table of medians with [min to max]; ``targets`` maps a row to what is asked of it."""
    lines = [f"## {title}", "", "| what | wall s | CPU s | peak MB | target |", "|---|---|---|---|---|"]
    for name, each in runs.items():
        wall = spread(run.wall_s for run in each).text(2)
        cpu = spread(run.cpu_s for run in each).text(2)
        peak = spread(run.peak_bytes / 1e6 for run in each).text(0)
        lines.append(f"| {name} | {wall} | {cpu} | {peak} | {targets.get(name, '')} |")
    return "\n".join(lines) + "\n"


def publish(page: str, name: str, *, write: bool) -> None:
    """Print a page; ``write``: also keep it as ``results/<name>.md``."""
    sys.stdout.write(page)
    if write:
        results = Path(__file__).with_name("results")
        results.mkdir(exist_ok=True)
        results.joinpath(f"{name}.md").write_text(page, encoding="utf-8")
