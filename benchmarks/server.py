"""What Granian's options change: the same gateway, started with each, in turn.

Repeat with: python -m benchmarks.server [--rounds 7] [--write].
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from benchmarks.measure import environment, publish
from benchmarks.proxy.contenders import floor, gatewright
from benchmarks.proxy.scenarios import SCENARIOS
from benchmarks.proxy.series import Series, measure, spread
from benchmarks.proxy.serving import Contender, running
from benchmarks.proxy.tools import have_compiler, provider, tools

__all__ = ["ALONE", "OPTIONS", "main", "page"]

AS_SERVED: Final = "as it is served"
OPTIONS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        AS_SERVED: {},
        "multi-threaded runtime": {"runtime_mode": "mt"},
        "multi-threaded runtime of 2 threads": {"runtime_mode": "mt", "runtime_threads": 2},
        "HTTP/2 too": {"http": "auto"},
        "one blocking thread of the runtime": {"runtime_blocking_threads": 1},
        "Python's own loop": {"loop": "asyncio"},
        "interpreter handed over after 0.5 ms": {"switch_s": 0.0005},
    }
)
ALONE: Final = "the server alone"
SHOWN: Final = ("chat 1 KB", "stream of 100, at once", "stream of 100, 10 ms apart", "refused key")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=0.3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if not have_compiler():
        sys.stderr.write("benchmarks.server compiles its load generator and needs `cc` (Debian: gcc)\n")
        return 1
    chosen = [each for each in SCENARIOS if each.name in SHOWN]
    found: Series = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        load, program = tools(Path(name))
        port = stack.enter_context(provider(program))
        served = {
            each: stack.enter_context(running(_with(given), Path(name, str(nth)), port))
            for nth, (each, given) in enumerate(OPTIONS.items())
        }
        alone = stack.enter_context(running(floor(app="answering"), Path(name, "alone"), port))
        for number in range(options.rounds):
            found.setdefault((SHOWN[0], ALONE), []).append(measure(load, alone, chosen[0], options.scale))
            for scenario in chosen:
                for each in served if number % 2 == 0 else reversed(served):
                    measured = measure(load, served[each], scenario, options.scale)
                    found.setdefault((scenario.name, each), []).append(measured)
            sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
    publish(page(found, options.rounds), "server", write=options.write)
    return 0


def _with(given: Mapping[str, object]) -> Contender:
    """The gateway with these options of its server."""
    usual = gatewright()

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        command, env = usual.start(folder, port, provider)
        at = command.index("runtime.cli")
        return [*command[:at], "benchmarks.proxy.served", json.dumps(given), *command[at + 1 :]], env

    return msgspec.structs.replace(usual, start=start)


def page(found: Series, rounds: int) -> str:
    scenarios = list(dict.fromkeys(scenario for scenario, each in found if each != ALONE))
    lines = [
        "# Options of the server",
        "",
        f"{environment()}; {rounds} interleaved rounds; `python -m benchmarks.server --rounds {rounds}`",
        "",
        (
            "CPU of the gateway's processes, of what the same call took in the same round as it is served: medians of the rounds with "
            "[least–most]. The first row is in milliseconds."
        ),
        "",
        f"| | {' | '.join(scenarios)} |",
        f"|---|{'---|' * len(scenarios)}",
    ]
    for each in OPTIONS:
        if each == AS_SERVED:
            cells = [spread(one.cpu_ms for one in found[name, each]).text(3) for name in scenarios]
        else:
            cells = [
                spread(
                    one.cpu_ms / usual.cpu_ms
                    for one, usual in zip(found[name, each], found[name, AS_SERVED], strict=True)
                ).text(2)
                for name in scenarios
            ]
        lines.append(f"| {each} | {' | '.join(cells)} |")
    alone = spread(one.cpu_ms for one in found[SHOWN[0], ALONE]).text(3)
    lines += [
        "",
        f"The server alone, with an application that reads the body and answers what was prepared, takes {alone} ms for {SHOWN[0]}.",
        "",
        _memory(found, scenarios[-1]),
    ]
    return "\n".join(lines) + "\n"


def _memory(found: Series, scenario: str) -> str:
    """Resident megabytes after everything."""
    told = (f"{each} {statistics.median(one.resident_mb for one in found[scenario, each]):.0f}" for each in OPTIONS)
    return f"Resident MB after the rounds: {', '.join(told)}."


if __name__ == "__main__":
    sys.exit(main())
