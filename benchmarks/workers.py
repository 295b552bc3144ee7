"""What a second worker brings: throughput of one worker and of two, in turn, each held to a part of a core.

Repeat with: python -m benchmarks.workers [--rounds 7] [--write]. Load generator and provider run on the same machine: a worker
may take no more than ``--part`` of a core, so that cores are free for them and for the second one. Where this user may not ask
the kernel for that, nothing is held, and the page says so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.measure import environment, publish
from benchmarks.proxy.contenders import gatewright
from benchmarks.proxy.machine import cpu_ns_by_thread, descendants, spent_s
from benchmarks.proxy.part import held_to
from benchmarks.proxy.scenarios import SCENARIOS, Scenario
from benchmarks.proxy.series import measure, spread
from benchmarks.proxy.serving import Serving, running
from benchmarks.proxy.tools import have_compiler, provider, tools

__all__ = ["Shared", "evenness", "main", "page"]

WORKERS: Final = (1, 2)
SHOWN: Final = ("chat 1 KB, 64 in flight", "Anthropic client, OpenAI provider", "stream of 100, at once")
TARGET: Final = 1.8


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """One round with so many workers. ``cores`` and ``beside``: used by the gateway, and by all that is run beside it, from
    the first call to the end of the pause after the last one, in which the gateway writes down what was called."""

    per_s: float
    cpu_ms: float
    cores: float
    beside: float
    evenness: float


def evenness(spent: Sequence[float], workers: int) -> float:
    """How much the worker that did least did, of what it would have done if all had done the same."""
    found = sorted(spent, reverse=True)[:workers]
    return found[-1] * workers / sum(found) if sum(found) else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--part", type=float, default=0.4, help="of a core, for each worker")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if not have_compiler():
        sys.stderr.write("benchmarks.workers compiles its load generator and needs `cc` (Debian: gcc)\n")
        return 1
    chosen = [each for each in SCENARIOS if each.name in SHOWN]
    found: dict[tuple[str, int], list[Shared]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        load, program = tools(Path(name))
        port = stack.enter_context(provider(program))
        served = {
            workers: stack.enter_context(running(gatewright(workers=workers), Path(name, str(workers)), port))
            for workers in WORKERS
        }
        for serving in served.values():
            for scenario in chosen:
                measure(load, serving, scenario, options.scale)  # every worker has had calls before any are counted
        every = [pid for serving in served.values() for pid in descendants(serving.pid)]
        part = options.part if stack.enter_context(held_to(options.part, every)) else None
        for number in range(options.rounds):
            for scenario in chosen:
                for workers in WORKERS if number % 2 == 0 else reversed(WORKERS):
                    crowd = msgspec.structs.replace(scenario, connections=scenario.connections * workers)
                    shared = _measured(load, served[workers], crowd, options.scale * workers, workers)
                    found.setdefault((scenario.name, workers), []).append(shared)
                    sys.stderr.write(f"round {number + 1}: {workers} {scenario.name}: {shared.per_s:,.0f}/s\n")
        publish(page(found, options.rounds, part), "workers", write=options.write)
    return 0


def _measured(load: Path, serving: Serving, scenario: Scenario, scale: float, workers: int) -> Shared:
    processes = descendants(serving.pid)
    beside = [each for each in descendants(os.getpid()) if each not in processes and each != os.getpid()]
    threads = {pid: cpu_ns_by_thread(pid, below=False) for pid in (*processes, *beside)}
    own, begun = os.times(), time.perf_counter()
    result = measure(load, serving, scenario, scale, warm=True)
    spent = {pid: spent_s(before, cpu_ns_by_thread(pid, below=False)) for pid, before in threads.items()}
    after, elapsed_s = os.times(), time.perf_counter() - begun
    generator_s = after.children_user + after.children_system - own.children_user - own.children_system
    return Shared(
        per_s=result.shot.complete / result.shot.wall_s,
        cpu_ms=result.cpu_ms,
        cores=sum(spent[pid] for pid in processes) / elapsed_s,
        beside=(sum(spent[pid] for pid in beside) + generator_s) / elapsed_s,
        evenness=evenness([spent[pid] for pid in processes], workers),
    )


def page(found: Mapping[tuple[str, int], Sequence[Shared]], rounds: int, part: float | None) -> str:
    """``part`` of a core is what each worker was held to; None where they took what they could."""
    held = f"each held to {part:g} of a core" if part else "none of them held to a part of a core"
    lines = [
        "# Workers",
        "",
        f"{environment()}; {rounds} interleaved rounds; `python -m benchmarks.workers --rounds {rounds}`",
        "",
        (
            f"One worker, and two with twice as many in flight, {held}. Medians of the rounds with [least–most]. "
            f"{os.cpu_count()} cores are all there are, for the load generator and the provider too: *beside* is what they took "
            "of them. Both are means over the whole round, which ends with a pause in which the journal is written. Evenness is what the worker that did least did, of its fair share."
        ),
        "",
        "| scenario | workers | requests a second | ms CPU each | cores used | beside | evenness |",
        "|---|---|---|---|---|---|---|",
    ]
    for (scenario, workers), each in found.items():
        cells = (
            spread(one.per_s for one in each).text(0), spread(one.cpu_ms for one in each).text(3),
            *(f"{statistics.median(values):.2f}" for values in ([o.cores for o in each], [o.beside for o in each],
                                                                [o.evenness for o in each])),
        )  # fmt: skip
        lines.append(f"| {scenario} | {workers} | {' | '.join(cells)} |")
    lines += [
        "",
        (
            f"Two workers against one, round by round: at least {TARGET} times the throughput is asked for where cores are free."
        ),
        "",
        "| scenario | × the throughput | × the CPU of a request |",
        "|---|---|---|",
    ]
    for scenario in dict.fromkeys(scenario for scenario, _ in found):
        pairs = list(zip(found[scenario, 1], found[scenario, 2], strict=True))
        faster = spread(two.per_s / one.per_s for one, two in pairs)
        dearer = spread(two.cpu_ms / one.cpu_ms for one, two in pairs)
        lines.append(f"| {scenario} | {faster.text(2)} | {dearer.text(2)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
