"""Where the microseconds of a request go: samples of a serving worker by the part of the gateway they fell in, and flame graphs.

Repeat with: python -m benchmarks.flame [--write]. Needs py-spy, which `make bench-peers` installs, and `cc`.
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
from benchmarks.proxy.contenders import PEERS, Serving, gatewright, running
from benchmarks.proxy.machine import cpu_ns_by_thread, descendants, spent_s
from benchmarks.proxy.scenarios import SCENARIOS, Scenario
from benchmarks.proxy.series import measure
from benchmarks.proxy.tools import have_compiler, provider, tools

__all__ = ["main", "part_of", "shares"]

SHOWN: Final = (
    "chat 1 KB",
    "Anthropic client, OpenAI provider",
    "stream of 100, at once",
    "stream of 100, 10 ms apart",
    "refused key",
)
SAMPLES_A_SECOND: Final = 500
SAMPLED_S: Final = 15.0
PARTS: Final = (
    ("runtime/upstream/", "calling the provider: connections, HTTP, waiting"),
    ("runtime/protocols/", "codecs: reading, splicing, translating"),
    ("runtime/canonical/", "codecs: reading, splicing, translating"),
    ("runtime/accounting/", "journal and prices"),
    ("runtime/limits/", "limits"),
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
MAIN: Final = "granian/server/mp.py"
"""What every stack of the thread that serves has in it."""


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
    """Of samples as py-spy writes them raw, the share of each part, the largest first; other threads do not count."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, times = line.rstrip("\n").rpartition(" ")
        if MAIN in stack:
            found[part_of(stack)] += int(times)
    total = sum(found.values())
    return {part: count / total for part, count in found.most_common()} if total else {}


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
            for scenario in (each for each in SCENARIOS if each.name in SHOWN):
                measure(load, serving, scenario, options.scale / 4)
                whole_ms, thread_ms = min(
                    _split(load, serving, scenario, options.scale / 4) for _ in range(options.rounds)
                )
                raw = _sampled(spy, load, serving, scenario, options.scale, folder, "raw")
                found[scenario.name] = {WHOLE: whole_ms, SERVER: whole_ms - thread_ms}
                found[scenario.name] |= {
                    part: thread_ms * share for part, share in shares(raw.read_text().splitlines()).items()
                }
                if options.write:
                    picture = _sampled(spy, load, serving, scenario, options.scale / 2, folder, "flamegraph")
                    target = Path(__file__).with_name("results") / f"flame-{_slug(scenario.name)}.svg"
                    target.write_text(_titled(picture.read_text(encoding="utf-8"), scenario.name), encoding="utf-8")
    publish(_page(found), "where", write=options.write)
    return 0


def _sampled(spy: str, load: Path, serving: Serving, scenario: Scenario, scale: float, folder: Path, form: str) -> Path:
    """What py-spy saw of the worker under that load, while it held the lock of Python: a thread that waits does not."""
    out = folder / f"samples.{form}"
    worker = _worker(serving)
    command = [
        spy,
        "record",
        "-p",
        str(worker),
        "-r",
        str(SAMPLES_A_SECOND),
        "-d",
        "600",
        "--gil",
        "-f",
        form,
        "-o",
        str(out),
    ]
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


def _split(load: Path, serving: Serving, scenario: Scenario, scale: float) -> tuple[float, float]:
    """CPU of the whole tree and of the thread that runs Python, in ms per request."""
    thread = _worker(serving)  # a process's first thread has its number
    before = cpu_ns_by_thread(serving.pid)
    whole_ms = measure(load, serving, scenario, scale, warm=True).cpu_ms
    after = cpu_ns_by_thread(serving.pid)
    return whole_ms, whole_ms * (after[thread] - before[thread]) / 1e9 / spent_s(before, after)


def _titled(picture: str, name: str) -> str:
    """A flame graph under the scenario's name, in place of the command with this machine's paths."""
    return re.sub(r">[^<>]*py-spy record[^<>]*<", f">{name}<", picture)


def _slug(name: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in name.lower()).split())


def _page(found: Mapping[str, Mapping[str, float]]) -> str:
    parts = list(dict.fromkeys(part for each in found.values() for part in each))
    lines = [
        "# Where the microseconds go",
        "",
        f"{environment()}; `python -m benchmarks.flame`",
        "",
        (
            "µs of CPU per request. The whole and Granian's threads are read from /proc without a sampler, the least of the rounds; "
            "the time of the thread that runs Python is shared out by samples of it, by the part that the innermost frame of "
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
    return "\n".join([*lines, "", f"Flame graphs: {', '.join(pictures)}."]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
