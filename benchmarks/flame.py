"""Where the microseconds of a request go: samples of a serving worker by the part of the gateway they fell in, and flame graphs.

Repeat with: python -m benchmarks.flame [--rounds 5] [--write]. Needs py-spy, which `make bench-peers` installs, and `cc`. Shows
every scenario that has a target, half a minute for each.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.measure import environment, publish
from benchmarks.proxy.contenders import PEERS, gatewright
from benchmarks.proxy.machine import cpu_ns_by_thread, descendants, spent_s
from benchmarks.proxy.scenarios import SCENARIOS, Scenario
from benchmarks.proxy.series import measure
from benchmarks.proxy.serving import Serving, running
from benchmarks.proxy.tools import have_compiler, provider, tools
from runtime.stores.threads import THREADS

__all__ = ["BESIDE", "DATABASE", "main", "owners", "part_of", "shares"]

SAMPLES_A_SECOND: Final = 500
SAMPLED_S: Final = 12.0
PARTS: Final = (
    ("runtime/upstream/", "calling the provider: connections, HTTP, waiting"),
    ("runtime/protocols/", "codecs: reading, splicing, translating"),
    ("runtime/canonical/", "codecs: reading, splicing, translating"),
    ("runtime/accounting/", "the database: journal, prices"),
    ("runtime/stores/", "the database: journal, prices"),
    ("sqlalchemy/", "the database: journal, prices"),
    ("runtime/limits/", "limits"),
    ("runtime/limiting", "limits"),
    ("runtime/telemetry/", "log, metrics, what explains a decision"),
    ("runtime/routing/", "choosing a target, health, retries"),
    ("runtime/resilience/", "choosing a target, health, retries"),
    ("runtime/sessions/", "choosing a target, health, retries"),
    ("runtime/gateway", "the path itself: gateway, services, streams"),
    ("runtime/web/", "the client's side: headers, body, key, sending"),
    ("runtime/", "the path itself: gateway, services, streams"),
    ("litestar/", "Litestar"),
    ("granian/", "Granian's task for a call"),
)
WHOLE: Final = "the whole tree of processes"
OTHER: Final = "the loop between our callbacks: sockets, epoll"
SERVER: Final = "Granian's own threads: the clients' sockets, HTTP"
DATABASE: Final = "SQLite's threads: the journal on its way to the file"
BESIDE: Final = "other threads of Python, and the parent process"
MAIN: Final = "granian/server/mp.py"
"""What is above ours in the stack of the thread that serves, but for what runs in a greenlet: that stack begins with itself."""


def part_of(stack: str) -> str:
    """The part that the innermost frame of ours, or of a server's, is in. Frames are separated by `;`, the outermost first."""
    frames = stack.split(";")
    behind = max((at for at, frame in enumerate(frames) if MAIN in frame), default=-1)
    for frame in reversed(frames[behind + 1 :]):
        for path, part in PARTS:
            if path in frame:
                return part
    return OTHER


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Of samples as py-spy writes them raw, the share of each part, the largest first; only the thread that serves counts."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, times = line.rstrip("\n").rpartition(" ")
        if stack.partition(";")[0].endswith(": MainThread"):
            found[part_of(stack)] += int(times)
    total = sum(found.values())
    return {part: count / total for part, count in found.most_common()} if total else {}


def owners(dump: str) -> dict[int, str]:
    """Of the threads in py-spy's dump of a process, those that Python started, which have a name, and what each is there for.

    Threads of Granian's are not in it, or without a name: they run Python now and then.
    """
    threads = re.findall(r'^Thread (\d+) \(.*\): "(.*)"$', dump, re.MULTILINE)
    return {
        int(thread): DATABASE if name.startswith(THREADS) else BESIDE
        for thread, name in threads
        if name != "MainThread"
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of the CPU, of which the least counts")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(PEERS / "clients" / "bin"))
    if spy is None or not have_compiler():
        sys.stdout.write("benchmarks.flame is left out: it needs `py-spy` (`make bench-peers`) and `cc`\n")
        return 0
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load, program = tools(folder)
        with provider(program) as port, running(gatewright(), folder / "gateway", port) as serving:
            for scenario in (each for each in SCENARIOS if each.target):
                measure(load, serving, scenario, options.scale / 4)
                spent = [_spent(load, serving, scenario, options.scale / 4) for _ in range(options.rounds)]
                raw = _sampled(spy, load, serving, scenario, options.scale, folder, "raw")
                found[scenario.name] = _split(
                    min(spent, key=lambda each: sum(each.values())),
                    _worker(serving),
                    spy,
                    raw.read_text(encoding="utf-8"),
                )
                if options.write:
                    picture = _sampled(spy, load, serving, scenario, options.scale / 2, folder, "flamegraph")
                    target = Path(__file__).with_name("results") / f"flame-{_slug(scenario.name)}.svg"
                    target.write_text(_titled(picture.read_text(encoding="utf-8"), scenario.name), encoding="utf-8")
    version = subprocess.run([spy, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    publish(_page(found, options.rounds, version), "where", write=options.write)
    return 0


def _sampled(spy: str, load: Path, serving: Serving, scenario: Scenario, scale: float, folder: Path, form: str) -> Path:
    """What py-spy saw of the worker under that load, while it held the lock of Python: a thread that waits does not."""
    out = folder / f"samples.{form}"
    command = [
        spy, "record", "-p", str(_worker(serving)), "-r", str(SAMPLES_A_SECOND), "-d", "600", "--gil", "--threads", "-f", form,
        "-o", str(out),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(1)
        until = time.monotonic() + SAMPLED_S * scale
        while time.monotonic() < until:
            measure(load, serving, scenario, 1.0, warm=True)
        process.send_signal(signal.SIGINT)
        process.wait()
    return out


def _worker(serving: Serving) -> int:
    """The process that serves: of the tree, the one that ran longest."""
    return max(descendants(serving.pid), key=lambda pid: sum(cpu_ns_by_thread(pid, below=False).values()))


def _spent(load: Path, serving: Serving, scenario: Scenario, scale: float) -> dict[int, float]:
    """CPU of every thread of the tree, in ms per request."""
    before = cpu_ns_by_thread(serving.pid)
    whole_ms = measure(load, serving, scenario, scale, warm=True).cpu_ms
    after = cpu_ns_by_thread(serving.pid)
    each_ms = whole_ms / spent_s(before, after) / 1e9
    return {thread: (ns - before.get(thread, 0)) * each_ms for thread, ns in after.items()}


def _split(spent: Mapping[int, float], worker: int, spy: str, raw: str) -> dict[str, float]:
    """What the threads of the tree spent, by part: the one that serves by its samples, which are ``raw``, others as a whole."""
    dump = subprocess.run([spy, "dump", "-p", str(worker)], capture_output=True, text=True, check=True).stdout
    known, within = owners(dump), cpu_ns_by_thread(worker, below=False)
    found: dict[str, float] = {SERVER: 0, DATABASE: 0, BESIDE: 0}
    for thread, ms in spent.items():
        if thread != worker:  # a process's first thread has its number, and is the one that serves
            found[known.get(thread, SERVER) if thread in within else BESIDE] += ms
    serving = {part: spent[worker] * share for part, share in shares(raw.splitlines()).items()}
    return {WHOLE: sum(spent.values())} | found | serving


def _titled(picture: str, name: str) -> str:
    """A flame graph under the scenario's name, in place of the command with this machine's paths."""
    return re.sub(r">[^<>]*py-spy record[^<>]*<", f">{name}<", picture)


def _slug(name: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in name.lower()).split())


def _page(found: Mapping[str, Mapping[str, float]], rounds: int, version: str) -> str:
    parts = list(dict.fromkeys(part for each in found.values() for part in each))
    lines = [
        "# Where the microseconds go",
        "",
        f"{environment()}, {version}; {rounds} rounds; `python -m benchmarks.flame --rounds {rounds}`",
        "",
        (
            "µs of CPU per request. The whole and what each thread took are read from /proc without a sampler, in the round that "
            "took least; the time of the thread that serves is shared out by samples of it, by the part that the innermost frame of "
            "ours was in: C code, the standard library and what the kernel does for a call count for who called it. Only "
            "samples that held Python's lock count, since a thread that waits looks to the sampler like one that works."
        ),
        "",
        f"| part | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    for part in parts:
        cells = (f"{each.get(part, 0) * 1000:,.0f} ({each.get(part, 0) / each[WHOLE]:.0%})" for each in found.values())
        lines.append(f"| {part} | {' | '.join(cells)} |")
    pictures = (f"[{name}](flame-{_slug(name)}.svg)" for name in found)
    return (
        "\n".join(
            [
                *lines,
                "",
                f"Flame graphs, each of a recording of its own after the one of the table: {', '.join(pictures)}.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
