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
from benchmarks.proxy.machine import descendants
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
OTHER: Final = "the loop: sockets, the kernel, waits that look like work"
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
    parser.add_argument("--rounds", type=int, default=1, help="of no use here")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(PEERS / "clients" / "bin"))
    if spy is None or not have_compiler():
        sys.stdout.write("benchmarks.flame is left out: it needs `py-spy` (`make bench-peers`) and `cc`\n")
        return 0
    found: dict[str, tuple[float, Mapping[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load, program = tools(folder)
        with provider(program) as port, running(gatewright(), folder / "gateway", port) as serving:
            for scenario in (each for each in SCENARIOS if each.name in SHOWN):
                plain = measure(load, serving, scenario, options.scale / 2).cpu_ms
                raw = _sampled(spy, load, serving, scenario, options.scale, folder, "raw")
                found[scenario.name] = (plain, shares(raw.read_text().splitlines()))
                if options.write:
                    picture = _sampled(spy, load, serving, scenario, options.scale / 2, folder, "flamegraph")
                    target = Path(__file__).with_name("results") / f"flame-{_slug(scenario.name)}.svg"
                    target.write_text(_titled(picture.read_text(encoding="utf-8"), scenario.name), encoding="utf-8")
    publish(_page(found), "where", write=options.write)
    return 0


def _sampled(spy: str, load: Path, serving: Serving, scenario: Scenario, scale: float, folder: Path, form: str) -> Path:
    """What py-spy saw of the worker under that load."""
    out = folder / f"samples.{form}"
    worker = descendants(serving.pid)[-1]
    command = [spy, "record", "-p", str(worker), "-r", "250", "-d", "600", "-f", form, "-o", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(1)
        measure(load, serving, scenario, scale)
        process.send_signal(signal.SIGINT)
        process.wait()
    return out


def _titled(picture: str, name: str) -> str:
    """A flame graph under the scenario's name, in place of the command with this machine's paths."""
    return re.sub(r">[^<>]*py-spy record[^<>]*<", f">{name}<", picture)


def _slug(name: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in name.lower()).split())


def _page(found: Mapping[str, tuple[float, Mapping[str, float]]]) -> str:
    parts = list(dict.fromkeys(part for _, each in found.values() for part in each))
    lines = [
        "# Where the microseconds go",
        "",
        f"{environment()}; `python -m benchmarks.flame`",
        "",
        (
            "Shares of the samples of the thread that serves, by the part that the innermost frame of ours was in; C code counts "
            "for who called it. The first line is the CPU of the whole process tree per request, measured without the sampler."
        ),
        "",
        f"| part | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
        f"| ms of CPU per request | {' | '.join(f'{cpu:.3f}' for cpu, _ in found.values())} |",
    ]
    for part in parts:
        cells = (f"{each.get(part, 0) * 100:.0f} %" for _, each in found.values())
        lines.append(f"| {part} | {' | '.join(cells)} |")
    pictures = (f"[{name}](flame-{_slug(name)}.svg)" for name in found)
    return "\n".join([*lines, "", f"Flame graphs: {', '.join(pictures)}."]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
